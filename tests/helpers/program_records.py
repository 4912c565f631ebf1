"""What there is to say about a program that has run, in words that model and run share."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from helpers.programs import Place


@dataclass(frozen=True)
class Sight:
    """What code can see where it runs: its thread, its event loop, and what came with it.

    Of context variables the places that have set them, of the handled exception a description.
    """

    thread: int
    loop: int | None
    variables: tuple[Place | None, ...]
    handled: str | None


@dataclass
class Observed:
    """What has happened when a program ran."""

    sights: dict[Place, Sight] = field(default_factory=dict)
    # How the program, at (), and the tasks that were cancelled at a point have ended.
    ends: dict[Place, str] = field(default_factory=dict)
    # The errors that the bridge has logged because nobody was left to take them.
    logged: Counter[str] = field(default_factory=Counter)
    # What must not be, whatever the program.
    problems: list[str] = field(default_factory=list)


NORMAL = "normal"
CANCELLED = "cancelled"
STOP = "StopIteration"
# RuntimeErrors of the bridge, told apart by a part of their message.
REFUSED = "same thread as an async event loop"
WOULD_DEADLOCK = "would deadlock"
HAS_EXITED = "ThreadSensitiveContext has exited"
RAISED_STOP = "raised StopIteration"


def boom(place: Place) -> str:
    """The description of the error that the program raises at `place`."""
    return f"Boom at {place}"


class Boom(Exception):
    """The error that programs raise."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.place = place


def describe_error(error: BaseException | None) -> str:
    """The same words for an error that the model uses for it."""
    match error:
        case None:
            return NORMAL
        case Boom():
            return boom(error.place)
        case StopIteration():
            return STOP
        case RuntimeError():
            for part in (REFUSED, WOULD_DEADLOCK, HAS_EXITED, RAISED_STOP):
                if part in str(error):
                    return part
    return repr(error)
