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
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from asgi_server._validation import sections
from asgi_server._validation.checks import shown
from asgi_server._validation.forms import Form, Offer, broken_rules, rules_of, settled, step_of
from asgi_server._validation.violations import Party, Section, violation

__all__ = ["Conversation", "Protocol", "State", "Track", "Unfinished", "rules_of_protocol"]


class State(enum.Enum):
    """Base of the states of a track; a value completes "sent ... when"."""


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


def rules_of_protocol(protocol: Protocol) -> Iterator[str]:
    """Yield the names of all rules of a protocol, but for its scope."""
    for form in [*protocol.received.values(), *protocol.sent.values()]:
        yield from rules_of(form)
        if form.extension is not None:
            yield f"{form.name}/extension"
        steps = {form.name, f"{form.name}+{form.flag}"}
        # Some may come at any time, such as a disconnect.
        if any(
            steps & track.steps and not steps & allowed.keys()
            for track in protocol.tracks
            for allowed in track.table.values()
        ):
            yield f"{form.name}/order"
    for track in protocol.tracks:
        for unfinished in track.unfinished.values():
            yield f"{protocol.name}/return/{unfinished.aspect}"


class Conversation:
    """The state of one call of an application. Pure: it only says what is wrong with a message.

    Args:
        protocol: Its rules; None for one that is not known, whose messages only have to be
            events.
        offer: What the server understands.
        takes_unknown: The server offers an extension that is not known here, which may bring
            messages of any type.
        ignored: The rules that may be broken.
    """

    def __init__(
        self,
        protocol: Protocol | None,
        offer: Offer,
        takes_unknown: bool,
        ignored: Collection[str],
    ) -> None:
        self._protocol = protocol
        self._offer = offer
        self._takes_unknown = takes_unknown
        self._ignored = ignored
        self._tracks = protocol.tracks if protocol else ()
        self._states = [track.start for track in self._tracks]
        self._is_over = False

    def received(self, message: Any) -> Any:
        """Check and note a message from the server; return it, or an equal one to pass on.

        Raises:
            ProtocolViolationError: The server broke a rule; nothing has changed.
        """
        _raise_unless_event(message, "receive", "server")
        if self._protocol is None:
            return message
        known, others = self._protocol.received, self._protocol.sent
        message = self._checked(message, "receive", "server", known, others)
        if message["type"] == self._protocol.farewell:
            self.end()
        return message

    def sent(self, message: Any) -> Any:
        """Check and note a message from the application; return it, or an equal one to pass on.

        Raises:
            ProtocolViolationError: The application broke a rule; nothing has changed.
        """
        _raise_unless_event(message, "send", "application")
        if self._protocol is None:
            return message
        known, others = self._protocol.sent, self._protocol.received
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
        for track, state in zip(self._tracks, self._states, strict=True):
            unfinished = track.unfinished.get(state)
            if unfinished is not None:
                rule = f"{self._protocol.name}/return/{unfinished.aspect}"
                finding = f"returned {unfinished.finding}"
                self._object(rule, "application", unfinished.section, finding)

    def _object(self, rule: str, party: Party, section: Section, finding: str) -> None:
        if rule not in self._ignored:
            raise violation(rule, party, section, finding)

    def _checked(
        self,
        message: dict[str, Any],
        direction: str,
        party: Party,
        known: Mapping[str, Form],
        others: Mapping[str, Form],
    ) -> dict[str, Any]:
        kind = message["type"]
        form = known.get(kind)
        if form is not None:
            message = settled(form, message)
            self._check_content(message, form, party)
            self._take(step_of(form, message), form, party)
        elif kind in others:
            finding = f"sent {kind!r}, which goes the other way"
            self._object(f"{direction}/direction", party, others[kind].section, finding)
        elif not self._may_be_unknown(kind, direction):
            finding = f"sent {kind!r}, which neither the protocol nor an extension in the scope has"
            self._object(f"{direction}/unknown", party, sections.ERROR_HANDLING, finding)
        return message

    def _may_be_unknown(self, kind: str, direction: str) -> bool:
        if self._protocol is None or self._takes_unknown:
            return True
        # An application must bear with events that are not the server's (main, "Events").
        return direction == "receive" and not kind.startswith(f"{self._protocol.name}.")

    def _check_content(self, message: Mapping[str, Any], form: Form, party: Party) -> None:
        if form.extension is not None and form.extension not in self._offer.extensions:
            finding = f"sent {form.name!r} without the extension {form.extension!r} in the scope"
            self._object(f"{form.name}/extension", party, form.section, finding)
        for rule, fault in broken_rules(form, message, self._offer):
            self._object(rule, party, form.section, f"sent {shown(message)}, in which {fault}")

    def _take(self, step: str, form: Form, party: Party) -> None:
        following = self._states.copy()
        for number, (track, state) in enumerate(zip(self._tracks, self._states, strict=True)):
            if step in track.table[state]:
                following[number] = track.table[state][step]
            elif step in track.steps:
                finding = _out_of_order(step, state, track)
                self._object(f"{form.name}/order", party, form.section, finding)
        self._states = following


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
