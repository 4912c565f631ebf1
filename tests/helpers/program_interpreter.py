"""Runs a program for real, and notes what happens; it knows no rule."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from typing import Any

from asgi_sync import (
    AsyncSingleThreadContext,
    ThreadSensitiveContext,
    async_to_sync,
    sync_to_async,
)
from helpers import program_cancelling as cancelling
from helpers import programs as p
from helpers.program_recorder import VARIABLES, Around, Recorder, Value, traceback_length
from helpers.program_records import NORMAL, Boom, describe_error
from helpers.program_waiting import Flights, run_all, wait_for_all
from helpers.programs import Block, Loop, Place, Program, Step


class Interpreter:
    """Runs one program, once, in the calling thread.

    Attributes:
        recorder: Is told what happens.
    """

    def __init__(self, program: Program, recorder: Recorder) -> None:
        self._program = program
        self.recorder = recorder

    def run(self) -> None:
        block, around = self._program.body, Around(Flights())
        try:
            if self._program.is_async:
                asyncio.run(self.async_block(block, (), around))
            else:
                self._sync_block(block, (), around)
        except Exception as error:
            self.recorder.end((), describe_error(error))
        else:
            self.recorder.end((), NORMAL)

    # Sync code

    def _sync_block(self, block: Block, place: Place, around: Around) -> None:
        self.recorder.see((*place, p.START))
        for number, step in enumerate(block):
            step_place = (*place, number)
            _SYNC_STEPS[type(step)](self, step, step_place, around)
            self.recorder.see(step_place)

    def _set_variable(self, step: p.SetVariable, place: Place, around: Around) -> None:
        VARIABLES[step.number].set(Value(place))

    def _fail(self, step: p.Fail, place: Place, around: Around) -> None:
        raise StopIteration if step.stop else Boom(place)

    def _try_sync(self, step: p.Try, place: Place, around: Around) -> None:
        try:
            self._sync_block(step.body, (*place, 0), around)
        except Exception as error:
            length = traceback_length(error)
            self._sync_block(step.handler, (*place, 1), around)
            self.recorder.check_traceback(error, length, place)

    def _call_async(self, step: p.CallAsync, place: Place, around: Around) -> None:
        result = object()

        async def function() -> object:
            around.waits_for.append(place)
            try:
                await self.async_block(step.body, (*place, 0), around)
            finally:
                around.waits_for.remove(place)
            return result

        if step.loop is Loop.RUN:
            returned = asyncio.run(function())
        else:
            returned = async_to_sync(function, force_new_loop=step.loop is Loop.NEW)()
        if returned is not result:
            self.recorder.problem(place, f"a result has become {returned!r}")

    def _single_thread(self, step: p.SingleThread, place: Place, around: Around) -> None:
        with AsyncSingleThreadContext():
            self._sync_block(step.body, (*place, 0), around)

    def _stray_call(self, step: p.StrayCall, place: Place, around: Around) -> None:
        assert around.loop is not None
        call = sync_to_async(lambda: self.recorder.problem(place, "ran in spite of all"))()
        asyncio.run_coroutine_threadsafe(call, around.loop).result()

    def _busy(self, step: p.Busy, place: Place, around: Around) -> None:
        assert around.handshake is not None
        around.handshake.wait_until_caller_is_gone()

    # Async code

    async def async_block(self, block: Block, place: Place, around: Around) -> None:
        """Run a block of async code."""
        self.recorder.see((*place, p.START))
        for number, step in enumerate(block):
            step_place = (*place, number)
            if isinstance(step, p.SetVariable | p.Fail):
                _SYNC_STEPS[type(step)](self, step, step_place, around)
            else:
                await _ASYNC_STEPS[type(step)](self, step, step_place, around)
            self.recorder.see(step_place)

    async def _end_of(
        self, block: Block, place: Place, around: Around, first: asyncio.Event | None = None
    ) -> Exception | None:
        """Run a block, after `first`, and return its error instead of raising it."""
        try:
            if first is not None:
                await first.wait()
            await self.async_block(block, place, around)
        except Exception as error:
            return error
        return None

    async def _try_async(self, step: p.Try, place: Place, around: Around) -> None:
        try:
            await self.async_block(step.body, (*place, 0), around)
        except Exception as error:
            length = traceback_length(error)
            await self.async_block(step.handler, (*place, 1), around)
            self.recorder.check_traceback(error, length, place)

    async def _sleep(self, step: p.Sleep, place: Place, around: Around) -> None:
        await asyncio.sleep(0)

    async def call_sync(self, step: p.CallSync, place: Place, around: Around) -> None:
        """Await a block of sync code."""
        result = object()
        inside = replace(around, loop=asyncio.get_running_loop(), waits_for=[])

        def function() -> object:
            with around.flights.one_more():
                self._sync_block(step.body, (*place, 0), inside)
            return result

        function.__qualname__ = self.recorder.name
        context = contextvars.copy_context() if step.own_context else None
        call = sync_to_async(function, thread_sensitive=step.sensitive, context=context)
        try:
            returned = await call()
        except asyncio.CancelledError:
            # A function that was left to itself may call async code after that.
            if inside.waits_for and not around.is_free:
                self.recorder.problem(
                    place, f"cancelled before the code at {inside.waits_for} had ended"
                )
            if around.handshake is not None:
                around.handshake.caller_is_gone()
            raise
        if returned is not result:
            self.recorder.problem(place, f"a result has become {returned!r}")

    async def _refused(self, step: p.Refused, place: Place, around: Around) -> None:
        async def never() -> None:
            self.recorder.problem(place, "ran in spite of all")

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
            await self.async_block(step.body, (*place, 0), around)

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

        function.__qualname__ = self.recorder.name
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


@asynccontextmanager
async def _context_on(executor: ThreadPoolExecutor) -> AsyncIterator[None]:
    try:
        async with ThreadSensitiveContext(executor=executor):
            yield
    finally:
        # Without waiting: a function that was left behind may need this event loop.
        executor.shutdown(wait=False)


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
    p.CallSync: Interpreter.call_sync,
    p.Refused: Interpreter._refused,
    p.Together: Interpreter._together,
    p.InContext: Interpreter._in_context,
    p.LeftBehind: Interpreter._left_behind,
    p.Point: cancelling.point,
    p.Queued: cancelling.queued,
    p.CancelAtPoint: cancelling.cancel_at_point,
    p.CancelAnywhere: cancelling.cancel_anywhere,
}
