"""Compares what has happened with what must happen."""

from __future__ import annotations

from collections.abc import Iterator

from helpers.program_model import MAIN, SHARED, Expected, Prediction
from helpers.program_records import Observed, Sight


def differences(prediction: Prediction, observed: Observed) -> list[str]:
    """What is otherwise than predicted, in words; nothing if all is well."""
    return [
        *observed.problems,
        *_ends(prediction, observed),
        *_logged(prediction, observed),
        *_missing_and_unexpected(prediction, observed),
        *_Sights(prediction, observed).differences(),
    ]


def _ends(prediction: Prediction, observed: Observed) -> Iterator[str]:
    for place in sorted({*prediction.ends, *observed.ends}):
        expected, end = prediction.ends.get(place), observed.ends.get(place)
        if end != expected:
            yield f"at {place}: the end must be {expected}, is {end}"


def _logged(prediction: Prediction, observed: Observed) -> Iterator[str]:
    if missing := prediction.logged - observed.logged:
        yield f"not logged: {dict(missing)}"
    if not prediction.free and (more := observed.logged - prediction.logged):
        yield f"logged: {dict(more)}"


def _missing_and_unexpected(prediction: Prediction, observed: Observed) -> Iterator[str]:
    for place, expected in prediction.sights.items():
        if expected.here.certain and place not in observed.sights:
            yield f"at {place}: has not run"
    for place in observed.sights.keys() - prediction.sights.keys():
        if not any(place[: len(free)] == free for free in prediction.free):
            yield f"at {place}: must not run"


class _Sights:
    """Sees to it that each name of a thread or of an event loop stands for one."""

    def __init__(self, prediction: Prediction, observed: Observed) -> None:
        self._sights = {
            place: (prediction.sights[place], sight)
            for place, sight in observed.sights.items()
            if place in prediction.sights
        }
        self._threads: dict[str, int] = {}
        self._loops: dict[str, int] = {}

    def differences(self) -> Iterator[str]:
        for place, (expected, sight) in self._sights.items():
            for difference in self._of(expected, sight):
                yield f"at {place}: {difference}"
        main, shared = self._threads.get(MAIN), self._threads.get(SHARED)
        for name, thread in self._threads.items():
            if (name != MAIN and thread == main) or (name != SHARED and thread == shared):
                yield f"{name} is the main or the shared thread"

    def _of(self, expected: Expected, sight: Sight) -> Iterator[str]:
        here = expected.here
        if sight.variables != expected.variables:
            yield f"variables must be {expected.variables}, are {sight.variables}"
        # Where nothing is handled, what code further up handles may be visible, or not.
        may_see = {here.handled} if here.handled is not None else {None, *here.ambient}
        if sight.handled not in may_see:
            yield f"handled must be one of {may_see}, is {sight.handled}"
        if here.thread is None:
            yield from self._loop_of(expected, sight)
        elif sight.loop is not None:
            yield "an event loop is running in sync code"
        elif self._threads.setdefault(here.thread, sight.thread) != sight.thread:
            yield f"does not run in {here.thread}"

    def _loop_of(self, expected: Expected, sight: Sight) -> Iterator[str]:
        here = expected.here
        # What a cancelled call has left behind may outlive its event loop.
        if not here.certain or here.loop is None or sight.loop is None:
            return
        if self._loops.setdefault(here.loop, sight.loop) != sight.loop:
            yield f"does not run on {here.loop}"
        for other in here.other_loops:
            if self._loops.get(other) == sight.loop:
                yield f"{here.loop} is also {other}, which is running"
