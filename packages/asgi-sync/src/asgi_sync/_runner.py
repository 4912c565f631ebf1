"""Runs the async side of an `async_to_sync` call, on an event loop that suits."""

from __future__ import annotations

import asyncio
import functools
import threading
from asyncio import AbstractEventLoop
from collections.abc import Awaitable
from contextvars import Context, ContextVar, copy_context
from typing import Any, Generic, TypeVar

from asgi_sync import _lifecycle
from asgi_sync._affinity import loop_drivers
from asgi_sync._context import Crossing, await_while_handling
from asgi_sync._frames import BlockedCall, chain
from asgi_sync._lineage import LoopUse, loop_uses
from asgi_sync._workers import Worker, workers

_R = TypeVar("_R")

# The event loop of the `AsyncSingleThreadContext` in force.
own_loop_in_force: ContextVar[OwnLoop | None] = ContextVar("asgi_sync.own_loop", default=None)


class AsyncSide(Generic[_R]):
    """One awaitable on its way to an event loop, and its outcome on the way back.

    Made by the thread that waits; `run` is the body of a task on the loop. What it sets
    may be read by the waiting thread once `record.ended` is done.
    """

    def __init__(
        self, record: BlockedCall, awaitable: Awaitable[_R], error: BaseException | None
    ) -> None:
        self.record = record
        self.context: Context = copy_context()
        self._awaitable = awaitable
        self._handled_error = error
        self._crossing = Crossing()
        self._has_started = False
        self._error: BaseException | None = None
        self._result: Any = None

    @property
    def handles_error(self) -> bool:
        """Whether the caller is handling an exception."""
        return self._handled_error is not None

    async def run(self) -> None:
        """Await it, in a task of its own, and keep the outcome for `publish`."""
        __traceback_hide__ = True
        self._has_started = True
        handle = self.record.cancel_handle
        task = asyncio.current_task()
        assert task is not None
        self._crossing.arrive(self.record)
        try:
            if not handle.attach(task):
                self.discard()
                raise asyncio.CancelledError
            self._result = await await_while_handling(self._handled_error, self._awaitable)
        except GeneratorExit:
            # The coroutine is collected, with its loop gone: in a context, and maybe a
            # thread, that have nothing to do with it.
            self.fail(RuntimeError(f"The event loop of {self.record.name} was closed."))
            handle.detach()
            self.publish()
            raise
        except BaseException as error:
            # KeyboardInterrupt and SystemExit are for the waiting thread, not for the loop.
            self.fail(error)
        handle.detach()
        self._crossing.leave()
        # A task factory may have given the task a context of its own.
        self.context = copy_context()

    def fail(self, error: BaseException) -> None:
        self._error = error

    def discard(self) -> None:
        """Close the awaitable, which will not be awaited."""
        close = getattr(self._awaitable, "close", None)
        if close is not None:
            close()

    def publish(self) -> None:
        """Tell the waiting thread that the outcome is there: the last thing done here."""
        if not self._has_started:
            # The task was cancelled before its first step, or could not be made.
            self.discard()
            self._error = self._error or asyncio.CancelledError()
        self._handled_error = None
        self.record.ended.set()

    def take_result(self) -> _R:
        """Return what the awaitable returned, or raise what it raised."""
        error, self._error = self._error, None
        if error is None:
            result: _R = self._result
            self._result = None
            return result
        try:
            raise error
        finally:
            # The error's traceback holds this frame, which must not hold the error.
            del error

    def _show_error_in(self, interrupt: BaseException) -> None:
        """Make the error of async code that was interrupted the context of the interrupt.

        Nobody else would hear of it.
        """
        error, self._error = self._error, None
        if error is not None and not isinstance(error, asyncio.CancelledError):
            interrupt.__context__ = error

    def start_on(self, loop: AbstractEventLoop, use: LoopUse | None) -> bool:
        """Start it on a loop that another thread runs, for `use`; false if that has closed."""
        try:
            loop.call_soon_threadsafe(self._start, loop, use, context=self.context)
        except RuntimeError:
            return False
        return True

    def _start(self, loop: AbstractEventLoop, use: LoopUse | None) -> None:
        if loop_uses.get(loop) is not use:
            # The call that the loop was driven for has ended in between; this is another's.
            self.fail(RuntimeError(f"The event loop of {self.record.name} is not run any more."))
            self.publish()
            return
        coroutine = self._run_and_publish()
        try:
            # Event loops refer to tasks weakly: until its first step the task is kept by
            # the call of that step, which is scheduled, and then by the cancel handle.
            task = loop.create_task(coroutine)
        except BaseException as error:
            # The loop has a task factory that fails.
            coroutine.close()
            self.fail(error)
            self.publish()
        else:
            # A task that is cancelled before its first step never comes to the end of its
            # coroutine. The others have published there, without another turn of the loop,
            # in which a task left behind could get its sync code served inside this call.
            task.add_done_callback(self._publish_if_not_begun)

    async def _run_and_publish(self) -> None:
        await self.run()
        self.publish()

    def _publish_if_not_begun(self, task: asyncio.Task[None]) -> None:
        if not self._has_started:
            self.publish()

    def give_up(self, interrupt: BaseException) -> None:
        """Leave the async side to itself: the waiting thread has stopped waiting."""
        if not self.record.cancel_handle.cancel():
            # It has not begun, and now never will.
            self.discard()
        self._show_error_in(interrupt)


class OwnLoop:
    """An event loop on a worker thread of its own, for one call or for several.

    The loop is made by `asyncio.Runner`, so by the event loop policy in force, and closed
    as `asyncio.run` does: tasks that are left are cancelled and awaited, asynchronous
    generators closed. Methods with an underscore run in the worker thread, one at a time.

    `_worker` and `_closing` change under `_lock`, by the threads that call `run`.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._worker: Worker | None = None
        self._closing = False
        self._runner: asyncio.Runner | None = None
        self._process = _lifecycle.current_process()

    def can_run(self, record: BlockedCall) -> bool:
        """Whether it can run a call; not one that it would have to finish another for."""
        return self._is_usable and not any(
            isinstance(above, BlockedCall) and above.own_loop is self and above.is_open
            for above in chain(record.parent)
        )

    def run(self, side: AsyncSide[Any], *, then_close: bool) -> bool:
        """Run one call's async side, after those before it, and publish its outcome.

        With `then_close` it is published after the loop has closed: code that runs while
        it does, such as the clean-up of cancelled tasks, may need the waiting thread.

        Returns false if the loop has been closed, or is about to be, by another thread.
        """
        with self._lock:
            if not self._is_usable:
                return False
            if self._worker is None:
                self._worker = workers.lease("asgi-sync event loop")
            side.record.own_loop = self
            accepted = self._worker.put(functools.partial(self._run, side, then_close))
            if then_close:
                self._closing = True
                self._worker.release()
        return accepted

    @property
    def has_run(self) -> bool:
        """Whether there is anything to close, in this process."""
        return self._worker is not None and self._is_usable

    @property
    def _is_usable(self) -> bool:
        return not self._closing and self._process is _lifecycle.current_process()

    def _run(self, side: AsyncSide[Any], then_close: bool) -> None:
        try:
            runner = self._runner = self._runner or asyncio.Runner()
            loop = runner.get_loop()
            loop_drivers[loop] = side.record
            try:
                self._drive(runner, side, then_close)
            finally:
                del loop_drivers[loop]
        except BaseException as error:
            side.fail(error)
        side.publish()

    def _drive(self, runner: asyncio.Runner, side: AsyncSide[Any], then_close: bool) -> None:
        completed = False
        try:
            runner.run(side.run(), context=side.context)
            completed = True
        finally:
            # Ended early, by SystemExit in another task or by loop.stop(), the loop still
            # has the call's own task, which must not go on in somebody else's call.
            if then_close or not completed:
                self._runner = None
                runner.close()
