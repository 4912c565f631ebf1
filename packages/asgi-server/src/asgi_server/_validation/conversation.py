"""One call of an application as a conversation between it and the server: whose turn is what.

Each protocol has one or more tracks. A track is a table from its states to the steps that are
right in them, and to the state that each step leads to; a step is a message, told apart by a flag
where that matters ("http.request+more_body"). A step must be right in every track that has it
anywhere; where it is nowhere, its order does not matter. States change when a message is handed
over, not when it has been taken: the answer to it may come while `send()` still waits.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from asgi_server._validation import sections
from asgi_server._validation.checks import shown
from asgi_server._validation.forms import Form, Offer, broken_rule, settled, step_of
from asgi_server._validation.violations import Party, Section, violation

__all__ = ["Conversation", "Protocol", "State", "Track", "Unfinished"]


class State(enum.Enum):
    """Base of the states of a track; a value completes "... cannot come when "."""


@dataclass(frozen=True)
class Unfinished:
    """Why an application may not return in a state."""

    aspect: str
    section: Section
    finding: str


@dataclass(frozen=True)
class Track:
    """A table of states, its first state, and those in which the application must go on."""

    start: State
    table: Mapping[State, Mapping[str, State]]
    unfinished: Mapping[State, Unfinished] = field(default_factory=dict)

    @functools.cached_property
    def steps(self) -> frozenset[str]:
        """All steps that the track has a say in."""
        return frozenset(step for steps in self.table.values() for step in steps)


@dataclass(frozen=True)
class Protocol:
    """The tables of one protocol.

    Attributes:
        name: The type of its scopes.
        received: The messages that the server sends, by type.
        sent: The messages that the application sends, by type.
        tracks: The order of both.
        farewell: The type of the message after which nothing is expected of the application.
    """

    name: str
    received: Mapping[str, Form]
    sent: Mapping[str, Form]
    tracks: tuple[Track, ...]
    farewell: str | None = None


class Conversation:
    """The state of one call of an application. Pure: it only says what is wrong with a message.

    Args:
        protocol: Its rules; None for one that is not known, whose messages only have to be
            events.
        offer: What the server understands.
        takes_unknown: The server offers an extension that is not known here, which may bring
            messages of any type.
    """

    def __init__(self, protocol: Protocol | None, offer: Offer, takes_unknown: bool) -> None:
        self._protocol = protocol
        self._offer = offer
        self._takes_unknown = takes_unknown
        self._states: dict[int, State] = {}
        for number, track in enumerate(protocol.tracks if protocol else ()):
            self._states[number] = track.start
        self._is_over = False

    def received(self, message: Any) -> Any:
        """Check and note a message from the server; return it, or an equal one to pass on.

        Raises:
            ProtocolViolationError: The server broke a rule; nothing has changed.
        """
        known = self._protocol.received if self._protocol else {}
        others = self._protocol.sent if self._protocol else {}
        message = self._checked(message, "receive", "server", known, others)
        if self._protocol and message["type"] == self._protocol.farewell:
            self.end()
        return message

    def sent(self, message: Any) -> Any:
        """Check and note a message from the application; return it, or an equal one to pass on.

        Raises:
            ProtocolViolationError: The application broke a rule; nothing has changed.
        """
        known = self._protocol.sent if self._protocol else {}
        others = self._protocol.received if self._protocol else {}
        return self._checked(message, "send", "application", known, others)

    def end(self) -> None:
        """Note that the connection is lost: the application may return at any time."""
        self._is_over = True

    def returned(self) -> None:
        """Check that the application may return now.

        Raises:
            ProtocolViolationError: It had to go on.
        """
        if self._protocol is None or self._is_over:
            return
        for number, track in enumerate(self._protocol.tracks):
            unfinished = track.unfinished.get(self._states[number])
            if unfinished is not None:
                rule = f"{self._protocol.name}/return/{unfinished.aspect}"
                finding = f"returned {unfinished.finding}"
                raise violation(rule, "application", unfinished.section, finding)

    def _checked(
        self,
        message: Any,
        direction: str,
        party: Party,
        known: Mapping[str, Form],
        others: Mapping[str, Form],
    ) -> Any:
        message = settled(message)
        _raise_unless_event(message, direction, party)
        kind = message["type"]
        form = known.get(kind)
        if form is None:
            self._raise_unless_allowed(kind, direction, party, others)
            return message
        if form.extension is not None and form.extension not in self._offer.extensions:
            finding = f"sent {kind!r} without the extension {form.extension!r} in the scope"
            raise violation(f"{kind}/extension", party, form.section, finding)
        broken = broken_rule(form, message, self._offer)
        if broken is not None:
            rule, fault = broken
            finding = f"sent {shown(message)}, in which {fault}"
            raise violation(rule, party, form.section, finding)
        self._take(step_of(form, message), form, party)
        return message

    def _raise_unless_allowed(
        self, kind: str, direction: str, party: Party, others: Mapping[str, Form]
    ) -> None:
        if kind in others:
            finding = f"sent {kind!r}, which goes the other way"
            raise violation(f"{direction}/direction", party, others[kind].section, finding)
        if self._protocol is None or self._takes_unknown:
            return
        # An application must bear with events that are not the server's (main, "Events").
        if direction == "receive" and not kind.startswith(f"{self._protocol.name}."):
            return
        finding = f"sent {kind!r}, which neither the protocol nor an extension in the scope has"
        raise violation(f"{direction}/unknown", party, sections.ERROR_HANDLING, finding)

    def _take(self, step: str, form: Form, party: Party) -> None:
        tracks = self._protocol.tracks if self._protocol else ()
        following = {}
        for number, track in enumerate(tracks):
            if step not in track.steps:
                continue
            state = self._states[number]
            if step not in track.table[state]:
                raise violation(
                    f"{form.name}/order", party, form.section, _out_of_order(step, state, track)
                )
            following[number] = track.table[state][step]
        self._states |= following


def _out_of_order(step: str, state: State, track: Track) -> str:
    allowed = ", ".join(map(repr, track.table[state]))
    now = f"what may come then is {allowed}" if allowed else "nothing more may come then"
    return f"sent {step!r} when {state.value}: {now}"


def _raise_unless_event(message: Any, direction: str, party: Party) -> None:
    if not isinstance(message, dict):
        aspect, fault = "dict", "an event is a dict"
    elif not all(isinstance(key, str) for key in message):
        aspect, fault = "keys", "all keys are Unicode strings"
    elif not isinstance(message.get("type"), str):
        aspect, fault = "type", "'type' must be there, a Unicode string"
    else:
        return
    finding = f"sent {shown(message)}: {fault}"
    raise violation(f"{direction}/{aspect}", party, sections.EVENTS, finding)
