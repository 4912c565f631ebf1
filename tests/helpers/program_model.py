"""What must follow from a program: the rules R1 to R8 as a walk over its tree.

The model runs a program as if it had one thread and no event loop. `Here` says where the code
that it has come to would be: in which thread, on which event loop, below what. Threads and event
loops have names; code that is in threads of one name must be in one thread.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from helpers import programs as p
from helpers.program_records import (
    CANCELLED,
    HAS_EXITED,
    NORMAL,
    RAISED_STOP,
    REFUSED,
    STOP,
    WOULD_DEADLOCK,
    boom,
)
from helpers.programs import Block, Loop, Place, Program, Step, Way

MAIN = "the main thread"
SHARED = "the shared thread"
# Instead of a thread, where sensitive calls raise an error since their context has exited.
NOWHERE = "nowhere"

Variables: TypeAlias = list[Place | None]


@dataclass(frozen=True)
class Here:
    """Where code runs, and what it can see.

    Attributes:
        thread: Of sync code, its thread.
        sensitive: Where sensitive calls go that are made here, or by async code above.
        in_sensitive: This is sync code, called as sensitive.
        has_thread: A blocked thread, or a context, claims the sensitive calls made here.
        loop: The event loop of async code, or the one above sync code.
        other_loops: Those that are running further up.
        single_loop: That of an `AsyncSingleThreadContext` which no call above uses.
        handled: The exception that is being handled.
        ambient: All those that code further up is handling.
        certain: The code is sure to come here: nobody may have cancelled it before.
    """

    thread: str | None
    sensitive: str = SHARED
    in_sensitive: bool = False
    has_thread: bool = False
    loop: str | None = None
    other_loops: frozenset[str] = frozenset()
    single_loop: str | None = None
    handled: str | None = None
    ambient: frozenset[str] = frozenset()
    certain: bool = True


@dataclass(frozen=True)
class Expected:
    """What code must see: where it is, and these variables."""

    here: Here
    variables: tuple[Place | None, ...]


@dataclass
class Prediction:
    """All that must follow from a program."""

    sights: dict[Place, Expected] = field(default_factory=dict)
    ends: dict[Place, str] = field(default_factory=dict)
    logged: Counter[str] = field(default_factory=Counter)
    # The tasks that are cancelled anywhere: what they leave behind may do and log more.
    free: list[Place] = field(default_factory=list)


class Error(Exception):
    """The program raises an error, with this description."""


class Cancelled(Exception):
    """The program raises CancelledError."""


def predict(program: Program) -> Prediction:
    """What must follow from a program."""
    return _Walk().run(program)


class _Walk:
    def __init__(self) -> None:
        self._prediction = Prediction()
        # How many points the code has come to, of those where it is now cancelled.
        self._cancels = 0

    def run(self, program: Program) -> Prediction:
        variables: Variables = [None] * p.VARIABLES
        here = Here(thread=MAIN)
        if program.is_async:
            here = Here(thread=None, loop="the loop of the program")
        self._prediction.ends[()] = self._end_of(program.body, (), here, variables)
        return self._prediction

    def _end_of(self, block: Block, place: Place, here: Here, variables: Variables) -> str:
        try:
            self._block(block, place, here, variables)
        except Error as error:
            return str(error)
        except Cancelled:
            return CANCELLED
        return NORMAL

    def _block(self, block: Block, place: Place, here: Here, variables: Variables) -> None:
        self._see((*place, p.START), here, variables)
        for number, step in enumerate(block):
            step_place = (*place, number)
            _STEPS[type(step)](self, step, step_place, here, variables)
            self._see(step_place, here, variables)

    def _see(self, place: Place, here: Here, variables: Variables) -> None:
        self._prediction.sights[place] = Expected(here, tuple(variables))

    def _set_variable(
        self, step: p.SetVariable, place: Place, here: Here, variables: Variables
    ) -> None:
        variables[step.number] = place

    def _fail(self, step: p.Fail, place: Place, here: Here, variables: Variables) -> None:
        raise Error(STOP if step.stop else boom(place))

    def _try(self, step: p.Try, place: Place, here: Here, variables: Variables) -> None:
        try:
            self._block(step.body, (*place, 0), here, variables)
        except Error as error:
            self._block(step.handler, (*place, 1), _while_handling(here, str(error)), variables)

    def _call_async(
        self, step: p.CallAsync, place: Place, here: Here, variables: Variables
    ) -> None:
        below = _async_code_below(here, step.loop, place)
        # R5: what asyncio.run() copies does not come back, what the bridge copies does.
        inside = list(variables) if step.loop is Loop.RUN else variables
        self._block(step.body, (*place, 0), below, inside)

    def _single_thread(
        self, step: p.SingleThread, place: Place, here: Here, variables: Variables
    ) -> None:
        # Inside another one it changes nothing.
        name = here.single_loop or f"the loop of the block at {place}"
        inside = replace(here, single_loop=name)
        self._block(step.body, (*place, 0), inside, variables)

    def _stray_call(
        self, step: p.StrayCall, place: Place, here: Here, variables: Variables
    ) -> None:
        # R8: its thread is busy with the code that waits for it.
        raise Error(WOULD_DEADLOCK)

    def _busy(self, step: p.Busy, place: Place, here: Here, variables: Variables) -> None:
        # R7: one that runs is left to finish.
        self._cancels += 1

    def _sleep(self, step: p.Sleep, place: Place, here: Here, variables: Variables) -> None:
        pass

    def _call_sync(self, step: p.CallSync, place: Place, here: Here, variables: Variables) -> None:
        if step.sensitive and here.sensitive == NOWHERE:
            raise Error(HAS_EXITED)
        thread = here.sensitive if step.sensitive else f"the thread of the call at {place}"
        below = replace(here, thread=thread, in_sensitive=step.sensitive)
        inside = list(variables)
        cancels_before = self._cancels
        end = self._end_of(step.body, (*place, 0), below, inside)
        if self._cancels > cancels_before:
            # R7: the task ends cancelled, whatever the function does, and takes nothing.
            if end not in (NORMAL, CANCELLED):
                self._log(end, here)
            raise Cancelled
        if not step.own_context:
            variables[:] = inside
        if end == STOP:
            raise Error(RAISED_STOP)
        if end != NORMAL:
            raise Error(end)

    def _log(self, end: str, here: Here) -> None:
        if here.certain:
            self._prediction.logged[end] += 1

    def _refused(self, step: p.Refused, place: Place, here: Here, variables: Variables) -> None:
        raise Error(REFUSED)

    def _together(self, step: p.Together, place: Place, here: Here, variables: Variables) -> None:
        # asyncio.wait_for() makes a task of a coroutine up to Python 3.11.
        in_tasks = step.way is not Way.WAIT_FOR or sys.version_info < (3, 12)
        inside = _in_a_task(here) if in_tasks else here
        cancels_before = self._cancels
        ends = [
            self._end_of(body, (*place, number), inside, list(variables) if in_tasks else variables)
            for number, body in enumerate(step.bodies)
        ]
        # A gather that was cancelled raises CancelledError, whatever its children do.
        if CANCELLED in ends or (step.way is Way.GATHER and self._cancels > cancels_before):
            raise Cancelled
        for end in ends:
            if end != NORMAL:
                raise Error(end)

    def _in_context(
        self, step: p.InContext, place: Place, here: Here, variables: Variables
    ) -> None:
        inside = here
        # One without an executor counts only where no thread is claimed already.
        if step.executor or not here.has_thread:
            thread = f"the thread of the context at {place}"
            inside = replace(here, sensitive=thread, has_thread=True)
        self._block(step.body, (*place, 0), inside, variables)

    def _left_behind(
        self, step: p.LeftBehind, place: Place, here: Here, variables: Variables
    ) -> None:
        if step.sensitive and here.sensitive == NOWHERE and not step.in_context:
            raise Error(HAS_EXITED)
        inside = _in_a_task(here)
        if step.in_context:
            inside = replace(inside, sensitive=NOWHERE)
        end = self._end_of(step.body, (*place, 0), inside, list(variables))
        if end != NORMAL:
            raise Error(end)

    def _point(self, step: p.Point, place: Place, here: Here, variables: Variables) -> None:
        self._cancels += 1
        self._block(step.cleanup, (*place, 0), here, variables)
        if not step.swallow:
            raise Cancelled

    def _queued(self, step: p.Queued, place: Place, here: Here, variables: Variables) -> None:
        if here.sensitive == NOWHERE:
            raise Error(HAS_EXITED)
        # R7: one that has not started never starts.
        self._cancels += 1
        raise Cancelled

    def _cancel_at_point(
        self, step: p.CancelAtPoint, place: Place, here: Here, variables: Variables
    ) -> None:
        cancels_before = self._cancels
        end = self._end_of(step.body, (*place, 0), _in_a_task(here), list(variables))
        self._cancels = cancels_before
        if here.certain:
            self._prediction.ends[place] = end

    def _cancel_anywhere(
        self, step: p.CancelAnywhere, place: Place, here: Here, variables: Variables
    ) -> None:
        self._prediction.free.append(place)
        inside = replace(_in_a_task(here), certain=False)
        cancels_before = self._cancels
        self._end_of(step.body, (*place, 0), inside, list(variables))
        self._cancels = cancels_before


def _while_handling(here: Here, error: str) -> Here:
    return replace(here, handled=error, ambient=here.ambient | {error})


def _in_a_task(here: Here) -> Here:
    return replace(here, handled=None)


def _async_code_below(here: Here, loop: Loop, place: Place) -> Here:
    """Where the async code runs that sync code calls: rules R1, R3 and R4."""
    running = here.other_loops if here.loop is None else here.other_loops | {here.loop}
    own_loop = f"the loop of the call at {place}"
    if loop is Loop.RUN:
        # An outermost layer of its own, in a thread that cannot serve meanwhile.
        thread = f"a thread that is kept by {own_loop}" if here.in_sensitive else here.sensitive
        return replace(here, thread=None, sensitive=thread, loop=own_loop, other_loops=running)
    # R4: the thread that waits serves.
    assert here.thread is not None
    below = replace(here, thread=None, sensitive=here.thread, has_thread=True)
    if loop is Loop.PARENT and here.loop is not None:
        return below
    if here.single_loop is not None:
        return replace(below, loop=here.single_loop, other_loops=running, single_loop=None)
    return replace(below, loop=own_loop, other_loops=running)


_STEPS: dict[type[Step], Callable[[_Walk, Any, Place, Here, Variables], None]] = {
    p.SetVariable: _Walk._set_variable,
    p.Fail: _Walk._fail,
    p.Try: _Walk._try,
    p.CallAsync: _Walk._call_async,
    p.SingleThread: _Walk._single_thread,
    p.StrayCall: _Walk._stray_call,
    p.Busy: _Walk._busy,
    p.Sleep: _Walk._sleep,
    p.CallSync: _Walk._call_sync,
    p.Refused: _Walk._refused,
    p.Together: _Walk._together,
    p.InContext: _Walk._in_context,
    p.LeftBehind: _Walk._left_behind,
    p.Point: _Walk._point,
    p.Queued: _Walk._queued,
    p.CancelAtPoint: _Walk._cancel_at_point,
    p.CancelAnywhere: _Walk._cancel_anywhere,
}
