"""Runs a program for real, and notes what happens; it knows no rule."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

from asgi_sync import (
    AsyncSingleThreadContext,
    ThreadSensitiveContext,
    async_to_sync,
    sync_to_async,
)
from helpers import programs as p
from helpers.program_records import (
    CANCELLED,
    NORMAL,
    Boom,
    Observed,
    Sight,
    describe_error,
)
from helpers.program_waiting import Flights, Handshake, run_all, wait_for_all
from helpers.programs import Block, Loop, Place, Program, Step


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


class Interpreter:
    """Runs one program, once, in the calling thread.

    Attributes:
        name: A part of the name of each sync function that the program calls.
    """

    def __init__(self, program: Program, observed: Observed) -> None:
        self.name = f"function of program {next(_numbers)}."
        self._program = program
        self._observed = observed
        self._loops: dict[int, asyncio.AbstractEventLoop] = {}

    def run(self) -> None:
        block, around = self._program.body, Around(Flights())
        try:
            if self._program.is_async:
                asyncio.run(self._async_block(block, (), around))
            else:
                self._sync_block(block, (), around)
        except Exception as error:
            self._observed.ends[()] = describe_error(error)
        else:
            self._observed.ends[()] = NORMAL

    def _problem(self, place: Place, what: str) -> None:
        self._observed.problems.append(f"at {place}: {what}")

    def _see(self, place: Place) -> None:
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
            self._problem(place, "ran twice")

    # Sync code

    def _sync_block(self, block: Block, place: Place, around: Around) -> None:
        self._see((*place, p.START))
        for number, step in enumerate(block):
            step_place = (*place, number)
            _SYNC_STEPS[type(step)](self, step, step_place, around)
            self._see(step_place)

    def _set_variable(self, step: p.SetVariable, place: Place, around: Around) -> None:
        VARIABLES[step.number].set(Value(place))

    def _fail(self, step: p.Fail, place: Place, around: Around) -> None:
        raise StopIteration if step.stop else Boom(place)

    def _try_sync(self, step: p.Try, place: Place, around: Around) -> None:
        try:
            self._sync_block(step.body, (*place, 0), around)
        except Exception as error:
            length = _traceback_length(error)
            self._sync_block(step.handler, (*place, 1), around)
            self._check_traceback(error, length, place, around)

    def _call_async(self, step: p.CallAsync, place: Place, around: Around) -> None:
        result = object()

        async def function() -> object:
            around.waits_for.append(place)
            try:
                await self._async_block(step.body, (*place, 0), around)
            finally:
                around.waits_for.remove(place)
            return result

        if step.loop is Loop.RUN:
            returned = asyncio.run(function())
        else:
            returned = async_to_sync(function, force_new_loop=step.loop is Loop.NEW)()
        if returned is not result:
            self._problem(place, f"a result has become {returned!r}")

    def _single_thread(self, step: p.SingleThread, place: Place, around: Around) -> None:
        with AsyncSingleThreadContext():
            self._sync_block(step.body, (*place, 0), around)

    def _stray_call(self, step: p.StrayCall, place: Place, around: Around) -> None:
        assert around.loop is not None
        call = sync_to_async(lambda: self._problem(place, "ran in spite of all"))()
        asyncio.run_coroutine_threadsafe(call, around.loop).result()

    def _busy(self, step: p.Busy, place: Place, around: Around) -> None:
        assert around.handshake is not None
        around.handshake.wait_until_caller_is_gone()

    def _check_traceback(
        self, error: BaseException, length: int, place: Place, around: Around
    ) -> None:
        # Not where a call may have been left behind that still works with the error.
        if not around.is_free and _traceback_length(error) != length:
            self._problem(place, "the traceback of the handled exception has been changed")

    # Async code

    async def _async_block(self, block: Block, place: Place, around: Around) -> None:
        self._see((*place, p.START))
        for number, step in enumerate(block):
            step_place = (*place, number)
            if isinstance(step, p.SetVariable | p.Fail):
                _SYNC_STEPS[type(step)](self, step, step_place, around)
            else:
                await _ASYNC_STEPS[type(step)](self, step, step_place, around)
            self._see(step_place)

    async def _end_of(
        self, block: Block, place: Place, around: Around, first: asyncio.Event | None = None
    ) -> Exception | None:
        """Run a block, after `first`, and return its error instead of raising it."""
        try:
            if first is not None:
                await first.wait()
            await self._async_block(block, place, around)
        except Exception as error:
            return error
        return None

    async def _try_async(self, step: p.Try, place: Place, around: Around) -> None:
        try:
            await self._async_block(step.body, (*place, 0), around)
        except Exception as error:
            length = _traceback_length(error)
            await self._async_block(step.handler, (*place, 1), around)
            self._check_traceback(error, length, place, around)

    async def _sleep(self, step: p.Sleep, place: Place, around: Around) -> None:
        await asyncio.sleep(0)

    async def _call_sync(self, step: p.CallSync, place: Place, around: Around) -> None:
        result = object()
        inside = replace(around, loop=asyncio.get_running_loop(), waits_for=[])

        def function() -> object:
            with around.flights.one_more():
                self._sync_block(step.body, (*place, 0), inside)
            return result

        function.__qualname__ = self.name
        context = contextvars.copy_context() if step.own_context else None
        call = sync_to_async(function, thread_sensitive=step.sensitive, context=context)
        try:
            returned = await call()
        except asyncio.CancelledError:
            # A function that was left to itself may call async code after that.
            if inside.waits_for and not around.is_free:
                self._problem(place, f"cancelled before the code at {inside.waits_for} had ended")
            if around.handshake is not None:
                around.handshake.caller_is_gone()
            raise
        if returned is not result:
            self._problem(place, f"a result has become {returned!r}")

    async def _refused(self, step: p.Refused, place: Place, around: Around) -> None:
        async def never() -> None:
            self._problem(place, "ran in spite of all")

        async_to_sync(never)()

    async def _together(self, step: p.Together, place: Place, around: Around) -> None:
        errors = await run_all[step.way](
            [
                lambda number=number, body=body: self._end_of(body, (*place, number), around)
                for number, body in enumerate(step.bodies)
            ]
        )
        for error in errors:
            if error is not None:
                raise error

    async def _in_context(self, step: p.InContext, place: Place, around: Around) -> None:
        context = _context_on(ThreadPoolExecutor(1)) if step.executor else ThreadSensitiveContext()
        async with context:
            await self._async_block(step.body, (*place, 0), around)

    async def _left_behind(self, step: p.LeftBehind, place: Place, around: Around) -> None:
        starter_has_ended = asyncio.Event()
        tasks: list[asyncio.Task[Exception | None]] = []
        executor = ThreadPoolExecutor(1) if step.in_context else None

        async def start() -> None:
            later = self._end_of(step.body, (*place, 0), around, starter_has_ended)
            tasks.append(asyncio.create_task(later))

        def function() -> None:
            with around.flights.one_more():
                async_to_sync(start)()

        function.__qualname__ = self.name
        if step.early:
            starter_has_ended.set()
        call = sync_to_async(function, thread_sensitive=step.sensitive)
        try:
            async with nullcontext() if executor is None else _context_on(executor):
                await call()
            starter_has_ended.set()
            error = await tasks[0]
        finally:
            starter_has_ended.set()
            await wait_for_all(tasks, cancel=True)
        if error is not None:
            raise error

    # Cancellation

    async def _point(self, step: p.Point, place: Place, around: Around) -> None:
        assert around.handshake is not None
        try:
            for _ in range(around.handshake.times - 1):
                try:
                    await around.handshake.wait_to_be_cancelled()
                except asyncio.CancelledError:
                    continue
            await around.handshake.wait_to_be_cancelled()
        except asyncio.CancelledError:
            # Outside of the handler, whose exception the code would see.
            pass
        await self._async_block(step.cleanup, (*place, 0), around)
        if not step.swallow:
            raise asyncio.CancelledError

    async def _queued(self, step: p.Queued, place: Place, around: Around) -> None:
        assert around.handshake is not None
        loop, inside, release = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

        def hold_the_thread() -> None:
            loop.call_soon_threadsafe(inside.set)
            release.wait()

        async def hold() -> None:
            try:
                await sync_to_async(hold_the_thread)()
            finally:
                inside.set()

        holder = asyncio.create_task(hold())
        try:
            await inside.wait()
            if holder.done():
                await holder
            loop.call_soon(around.handshake.reach)
            await self._call_sync(p.CallSync(step.body), (*place, 0), around)
        finally:
            release.set()
            await wait_for_all([holder])

    async def _cancel_at_point(self, step: p.CancelAtPoint, place: Place, around: Around) -> None:
        handshake, flights = Handshake(step.times), Flights(around.flights)
        inside = replace(around, handshake=handshake, flights=flights)
        task = asyncio.create_task(self._async_block(step.body, (*place, 0), inside))
        try:
            for _ in range(step.times):
                await handshake.wait_until_reached(task)
                task.cancel()
            await asyncio.wait([task])
        except asyncio.CancelledError:
            handshake.close()
            await wait_for_all([task], flights, cancel=True)
            raise
        # A function may be left that goes on, but none that waits for this.
        await wait_for_all([task], flights)
        if not around.is_free:
            end = CANCELLED if task.cancelled() else describe_error(task.exception())
            self._observed.ends[place] = end

    async def _cancel_anywhere(self, step: p.CancelAnywhere, place: Place, around: Around) -> None:
        flights = Flights(around.flights)
        inside = replace(around, flights=flights, handshake=None, is_free=True)
        task = asyncio.create_task(self._async_block(step.body, (*place, 0), inside))
        try:
            await asyncio.sleep(step.pause)
            has_ended_before = task.done()
            for _ in range(step.times):
                task.cancel()
                await asyncio.sleep(0)
            await asyncio.wait([task])
        except asyncio.CancelledError:
            await wait_for_all([task], flights, cancel=True)
            raise
        if not has_ended_before and not task.cancelled():
            self._problem(place, f"cancelled, the task has ended otherwise: {task!r}")
        await wait_for_all([task], flights)


@asynccontextmanager
async def _context_on(executor: ThreadPoolExecutor) -> AsyncIterator[None]:
    try:
        async with ThreadSensitiveContext(executor=executor):
            yield
    finally:
        # Without waiting: a function that was left behind may need this event loop.
        executor.shutdown(wait=False)


def _traceback_length(error: BaseException) -> int:
    length, traceback = 0, error.__traceback__
    while traceback is not None:
        length, traceback = length + 1, traceback.tb_next
    return length


_SYNC_STEPS: dict[type[Step], Callable[[Interpreter, Any, Place, Around], None]] = {
    p.SetVariable: Interpreter._set_variable,
    p.Fail: Interpreter._fail,
    p.Try: Interpreter._try_sync,
    p.CallAsync: Interpreter._call_async,
    p.SingleThread: Interpreter._single_thread,
    p.StrayCall: Interpreter._stray_call,
    p.Busy: Interpreter._busy,
}
_ASYNC_STEPS: dict[
    type[Step], Callable[[Interpreter, Any, Place, Around], Coroutine[Any, Any, None]]
] = {
    p.Try: Interpreter._try_async,
    p.Sleep: Interpreter._sleep,
    p.CallSync: Interpreter._call_sync,
    p.Refused: Interpreter._refused,
    p.Together: Interpreter._together,
    p.InContext: Interpreter._in_context,
    p.LeftBehind: Interpreter._left_behind,
    p.Point: Interpreter._point,
    p.Queued: Interpreter._queued,
    p.CancelAtPoint: Interpreter._cancel_at_point,
    p.CancelAnywhere: Interpreter._cancel_anywhere,
}
