"""The async side of an `async_to_sync` call: what is awaited, in which task, and its outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context, ContextVar, copy_context
from typing import Any, Generic, Protocol, TypeVar

from asgi_sync._context import CopiedContext, await_while_handling
from asgi_sync._frames import BlockedCall
from asgi_sync._lineage import Passage, has_home

_R = TypeVar("_R")


class OwnsLoop(Protocol):
    """An `AsyncSingleThreadContext`'s event loop, which runs calls one after the other."""

    def can_run(self, record: BlockedCall) -> bool: ...
    def run(self, side: AsyncSide[Any], *, then_close: bool) -> bool: ...


# That of the context in force.
own_loop_in_force: ContextVar[OwnsLoop | None] = ContextVar("asgi_sync.own_loop", default=None)


class AsyncSide(Generic[_R]):
    """One awaitable on its way to an event loop, and its outcome on the way back.

    Made by the thread that waits; `run` is the body of a task on the loop. What it sets
    may be read by the waiting thread once `record.ended` is done.
    """

    __slots__ = (
        "_awaitable",
        "_copied",
        "_error",
        "_handled_error",
        "_has_started",
        "_passage",
        "_result",
        "handles_error",
        "record",
    )

    def __init__(
        self, record: BlockedCall, awaitable: Awaitable[_R], error: BaseException | None
    ) -> None:
        self.record = record
        # Whether the caller is handling an exception.
        self.handles_error = error is not None
        self._copied = CopiedContext(record)
        self._passage = Passage(None) if has_home() else None
        self._awaitable = awaitable
        self._handled_error = error
        self._has_started = False
        self._error: BaseException | None = None
        self._result: Any = None

    @property
    def context(self) -> Context:
        """The context to run it in."""
        return self._copied.context

    async def run(
        self,
        at_end: Callable[[asyncio.Task[None]], None] | None = None,
        may_begin: Callable[[], bool] | None = None,
    ) -> None:
        """Await it, in a task of its own, and keep the outcome for `publish`.

        `at_end` is called last, in the task and with it; `may_begin` first, where it may have
        been decided meanwhile that it is run elsewhere.
        """
        __traceback_hide__ = True
        if may_begin is not None and not may_begin():
            return
        self._has_started = True
        handle = self.record.cancel_handle
        task = asyncio.current_task()
        assert task is not None
        if self._passage is not None:
            self._passage.arrive()
        try:
            if not handle.attach(task):
                self.discard()
                raise asyncio.CancelledError
            if self._handled_error is None:
                self._result = await self._awaitable
            else:
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
        if self._passage is not None:
            self._passage.leave()
        # A task factory may have given the task a context of its own.
        self._copied.context = copy_context()
        if at_end is not None:
            at_end(task)

    def leave_context(self) -> None:
        """Have it run in another context, the same as that which others may still enter."""
        self._copied.context = self._copied.context.copy()

    def bring_back(self) -> None:
        """Set in the waiting thread's context what the coroutine has set in its own."""
        self._copied.bring_back()

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
        __traceback_hide__ = True
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

    def give_up(self, interrupt: BaseException) -> None:
        """Leave the async side to itself: the waiting thread has stopped waiting."""
        if not self.record.cancel_handle.cancel():
            # It has not begun, and now never will.
            self.discard()
        self._show_error_in(interrupt)
