"""Cancellation across the bridge.

A task that waits in `sync_to_async` was cancelled. What then (rule R7):

1. The function has not started: it never will, and the task ends cancelled.
2. It runs, and is blocked in `async_to_sync`: the async code it waits for is cancelled,
   as if the task had awaited it directly. It may clean up, and each further cancel is
   passed on to it. When it has ended, the task ends cancelled, whatever it returned.
3. It runs, and is busy: no thread can be interrupted, so it is left to finish.

In 2 and 3 nobody is left to take what the function returns or raises: a result is
dropped, an error is logged once. `asyncio.shield` is of no use here: it reports errors
of what it shields to the event loop's exception handler once its waiter is gone.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol

from asgi_sync._completions import post_when_done

logger = logging.getLogger("asgi_sync")


class HasEnd(Protocol):
    """A future of any kind, as far as waiting for it goes."""

    def done(self) -> bool: ...
    def add_done_callback(self, fn: Callable[[Any], None], /) -> object: ...


class CancelHandle:
    """Cancels a task from any thread, also one that has not been made yet.

    `_lock` guards the fields: `attach` and `detach` run in the task, on its loop;
    `cancel` runs anywhere.
    """

    __slots__ = ("_attached", "_lock", "_loop", "_requested", "_task")

    def __init__(self) -> None:
        # Re-entrant: a signal handler may cancel in the midst of a cancel.
        self._lock = threading.RLock()
        self._task: asyncio.Task[Any] | None = None
        self._loop: AbstractEventLoop | None = None
        self._requested = False
        self._attached = False

    def attach(self, task: asyncio.Task[Any]) -> bool:
        """Have `cancel` cancel `task` from now on; false if that was asked for before."""
        with self._lock:
            if self._requested:
                return False
            self._attached = True
            self._task = task
            self._loop = task.get_loop()
            return True

    def detach(self) -> None:
        """Forget the task: what it was to do is done."""
        with self._lock:
            self._task = self._loop = None

    def cancel(self) -> bool:
        """Cancel the task, if there is one; if not, none will be attached any more.

        Returns whether there has been one. Thread-safe, signal-safe, waits for nothing.
        """
        with self._lock:
            self._requested = True
            task, loop = self._task, self._loop
            has_been_attached = self._attached
        if task is not None and loop is not None:
            try:
                loop.call_soon_threadsafe(self._cancel_if_attached, task)
            except RuntimeError:
                # The loop has closed, and a closed loop's task runs no more.
                pass
        return has_been_attached

    def _cancel_if_attached(self, task: asyncio.Task[Any]) -> None:
        # The work may have ended since, with the task in its last steps.
        with self._lock:
            attached = self._task is task
        if attached:
            task.cancel()


async def wait_for_call(
    future: Future[Any], name: str, cancel_inner: Callable[[], HasEnd | None]
) -> None:
    """Wait in a task until a sync function in some thread has ended.

    `future` gets the function's outcome, which is the caller's to take. `cancel_inner`
    cancels the async code that the function is blocked on, if any, and returns what is
    done when that has ended. Raises RuntimeError if the function was never run.
    """
    try:
        await _until_done(future)
    except asyncio.CancelledError:
        await _abandon(future, name, cancel_inner)
        raise
    except GeneratorExit:
        # The coroutine is being closed, with its loop gone: nothing can be awaited.
        _drop(future, name)
        raise
    if future.cancelled():
        raise RuntimeError(f"The executor dropped the call of {name} without running it.")


async def _abandon(
    future: Future[Any], name: str, cancel_inner: Callable[[], HasEnd | None]
) -> None:
    """Leave a call to itself after its caller was cancelled, as the top of the file says."""
    _drop(future, name)
    inner = cancel_inner()
    while inner is not None and not inner.done():
        try:
            await _until_done(inner)
        except asyncio.CancelledError:
            cancel_inner()


async def _until_done(future: HasEnd) -> None:
    # If the loop closes meanwhile, this can never go on. An error of the call is reported
    # when its coroutine is closed.
    waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    post_when_done(future, waiter)
    await waiter


def _drop(future: Future[Any], name: str) -> None:
    if not future.cancel():
        future.add_done_callback(functools.partial(_report_error, name))


def _report_error(name: str, future: Future[Any]) -> None:
    """Log the error of a call that nobody waits for, unless it is the cancel itself."""
    error = None if future.cancelled() else future.exception()
    if error is not None and not isinstance(error, asyncio.CancelledError):
        logger.error("Error in %s, after its caller was cancelled", name, exc_info=error)
