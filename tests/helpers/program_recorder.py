"""What is noted while a program runs."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import sys
import threading
from dataclasses import dataclass, field

from helpers import programs as p
from helpers.program_records import Observed, Sight, describe_error
from helpers.program_waiting import Flights, Handshake
from helpers.programs import Place


class Value:
    """The value of a variable, which must not be compared by equality."""

    def __init__(self, place: Place) -> None:
        self.place = place

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


VARIABLES: list[contextvars.ContextVar[Value | None]] = [
    contextvars.ContextVar(f"variable {number}", default=None) for number in range(p.VARIABLES)
]


@dataclass(frozen=True)
class Around:
    """What is around the code that runs.

    Attributes:
        flights: Counts the sync functions that run.
        loop: The event loop above, for sync code.
        waits_for: The async code that the sync function waits for which this is, or is below.
        handshake: With the task that cancels this code.
        is_free: This code may be cancelled anywhere.
    """

    flights: Flights
    loop: asyncio.AbstractEventLoop | None = None
    waits_for: list[Place] = field(default_factory=list)
    handshake: Handshake | None = None
    is_free: bool = False


_numbers = itertools.count()


class Recorder:
    """Notes what the code of one program sees, and what must not be.

    Attributes:
        name: A part of the name of each sync function that the program calls.
        has_left_calls: Calls may have been left behind that still work with errors of others.
    """

    def __init__(self, observed: Observed) -> None:
        self.name = f"function of program {next(_numbers)}."
        self.has_left_calls = False
        self._observed = observed
        self._loops: dict[int, asyncio.AbstractEventLoop] = {}

    def problem(self, place: Place, what: str) -> None:
        """Note what must not be."""
        self._observed.problems.append(f"at {place}: {what}")

    def see(self, place: Place) -> None:
        """Note what the code that calls can see."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            number = None
        else:
            # Kept, so that no other loop can get the number.
            number = id(loop)
            self._loops[number] = loop
        handled = sys.exc_info()[1]
        sight = Sight(
            threading.get_ident(),
            number,
            tuple(value and value.place for value in (v.get() for v in VARIABLES)),
            None if handled is None else describe_error(handled),
        )
        if self._observed.sights.setdefault(place, sight) is not sight:
            self.problem(place, "ran twice")

    def end(self, place: Place, end: str) -> None:
        """Note how a task, or the program, has ended."""
        self._observed.ends[place] = end

    def check_traceback(self, error: BaseException, length: int, place: Place) -> None:
        """Note a problem if the traceback of a handled error is not as long as before."""
        if not self.has_left_calls and traceback_length(error) != length:
            self.problem(place, "the traceback of the handled exception has been changed")


def traceback_length(error: BaseException) -> int:
    """The number of entries of the error's traceback."""
    length, traceback = 0, error.__traceback__
    while traceback is not None:
        length, traceback = length + 1, traceback.tb_next
    return length
