"""The sync side of a `sync_to_async` call: what is run, in which context, and its outcome."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextvars import Context
from typing import Any, Generic, TypeVar

from asgi_sync._completions import Waiter, mailbox_of
from asgi_sync._context import CopiedContext, EnteredContext, ExcInfo
from asgi_sync._frames import SyncCall, interrupt_waiting_call
from asgi_sync._jobs import Job, JobExecutor, submit_job

_R = TypeVar("_R")

logger = logging.getLogger("asgi_sync")


class SyncSide(Generic[_R]):
    """One sync function on its way to a thread, and its outcome on the way back.

    Made by the task that waits. A job, for whatever executor the call goes to:

    | from    | to        | by                                | guard               |
    |---------|-----------|-----------------------------------|---------------------|
    | waiting | running   | the thread that runs it           | takes `_turn`       |
    | waiting | ended     | the executor that drops it        | takes `_turn`       |
    | waiting | cancelled | the task that waits               | takes `_turn`       |
    | running | ended     | the thread that runs it           | it has `_turn`      |

    `_turn` is a lock that is never released: there is one turn. What the thread sets may be
    read by the task once `has_ended`, which is set last.
    """

    __slots__ = (
        "__weakref__",
        "_child",
        "_error",
        "_exc_info",
        "_foreign",
        "_handler",
        "_has_run",
        "_mailbox",
        "_orphan",
        "_result",
        "_turn",
        "call",
        "context",
        "has_ended",
        "is_cancelled",
        "waiter",
    )

    def __init__(
        self,
        call: SyncCall,
        handler: Callable[..., _R],
        context: CopiedContext | EnteredContext,
        child: Callable[[], _R],
    ) -> None:
        loop = call.loop
        assert loop is not None
        self.call = call
        self.context = context
        self.has_ended = False
        self._handler: Callable[..., _R] | None = handler
        self._child: Callable[[], _R] | None = child
        self._exc_info: ExcInfo | None = sys.exc_info()
        self._turn = threading.Lock()
        self._mailbox = mailbox_of(loop)
        # What the task awaits.
        self.waiter = self._make_waiter(loop)
        self.is_cancelled = False
        # Or dropped: the outcome is there, and only to be published.
        self._has_run = False
        self._foreign: Future[None] | None = None
        self._orphan: threading.Lock | None = None
        self._error: BaseException | None = None
        self._result: Any = None

    @property
    def has_begun(self) -> bool:
        """Whether it runs, or ever did or will not: it does not wait any more."""
        return self._turn.locked()

    def run(self) -> None:
        """Run the function in this thread, unless it was cancelled or dropped before."""
        if not self._turn.acquire(blocking=False):
            return
        call = self.call
        try:
            call.begin()
            assert self._handler is not None
            self._result = self._handler(
                call.loop, self._exc_info, call, self.context.run, self._child
            )
        except BaseException as error:  # SystemExit and KeyboardInterrupt belong to the caller
            __traceback_hide__ = True
            self._error = error
        try:
            call.end()
        except BaseException as error:
            # What takes over the calls that were left has failed. Nobody else would tell.
            self._error = self._error or error
        self._has_run = True
        # The error's traceback holds this frame: without this, a reference cycle.
        del self

    def publish(self) -> None:
        """Tell the task that the outcome is there: the last thing done here."""
        if not self._has_run:
            return
        self._has_run = False
        self._forget_call()
        self.has_ended = True
        if self._orphan is not None:
            self._report_error(self._orphan)
        self._mailbox.post(self.waiter)

    def drop(self, because: BaseException | None = None) -> None:
        """Tell the task that the function will not be run."""
        if self._turn.acquire(blocking=False):
            self._error = because or RuntimeError(
                f"The executor dropped the call of {self.call.name} without running it."
            )
            self._has_run = True
            self.publish()

    def cancel(self) -> bool:
        """Have it never run; false if it does, or did."""
        if self.is_cancelled:
            return True
        if not self._turn.acquire(blocking=False):
            return False
        self.is_cancelled = True
        self._forget_call()
        # It may stay in a queue for long.
        del self.context
        if self._foreign is not None:
            self._foreign.cancel()
            self._foreign = None
        return True

    async def wait_again(self) -> None:
        """Wait in the task until it has ended, after the waiter was cancelled."""
        # In this order: the thread says that it has ended first, and wakes this second.
        self.waiter = self._make_waiter(self.waiter.get_loop())
        if not self.has_ended:
            await self.waiter

    def take_result(self) -> _R:
        """Return what the function returned, or raise what it raised."""
        # An executor's future and its callback, which is this, refer to each other.
        self._foreign = None
        error, self._error = self._error, None
        if error is None:
            result: _R = self._result
            self._result = None
            return result
        __traceback_hide__ = True
        try:
            raise error
        except StopIteration as stop:
            # Not StopAsyncIteration, with which an `__anext__` made of sync code ends.
            raise RuntimeError(
                f"{self.call.name} raised StopIteration, which a coroutine cannot do"
            ) from stop
        finally:
            # The error's traceback holds this frame, which must not hold the error.
            del error

    def call_soon(self, callback: Callable[..., None], *args: Any) -> None:
        """Have the task's loop call `callback`, in a context of its own; on that loop."""
        self.waiter.get_loop().call_soon(callback, *args, context=Context())

    def submit_by(self, submit: Callable[..., None], *args: Any) -> None:
        """Have `submit(self, *args)` put it into an executor; raises what that does."""
        submit(self, *args)

    def put_into(self, executor: Executor) -> Job | None:
        """Have `executor` run it, soon; raises what the executor does.

        Returns the job that it has to wait for, if that is known.
        """
        if isinstance(executor, JobExecutor):
            return executor.put(self)
        # The slot of an executor of another kind may be freed by a cancel.
        self._foreign = submit_job(executor, self)
        return None

    def leave_alone(self) -> None:
        """Nobody takes the outcome: a result is dropped, an error is logged, once."""
        self._foreign = None
        self._orphan = threading.Lock()
        # In this order: the thread says that it has ended first, and looks for this second.
        if self.has_ended:
            self._report_error(self._orphan)

    def _make_waiter(self, loop: AbstractEventLoop) -> Waiter:
        return Waiter.on(loop)

    def _forget_call(self) -> None:
        # An error may be kept for long, and its traceback's frames refer to this.
        self._handler = self._child = self._exc_info = None

    def _report_error(self, orphan: threading.Lock) -> None:
        if not orphan.acquire(blocking=False):
            # The other side has found both as well, and is at it.
            return
        error, self._error = self._error, None
        self._result = None
        if isinstance(error, KeyboardInterrupt) and interrupt_waiting_call():
            # It was pressed while this thread, which waits for async code, served a call.
            pass
        elif error is not None and not isinstance(error, asyncio.CancelledError):
            logger.error(
                "Error in %s, after its caller was cancelled", self.call.name, exc_info=error
            )
        del error
