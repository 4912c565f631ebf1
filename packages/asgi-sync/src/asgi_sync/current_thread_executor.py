"""A blocked thread that runs calls for others."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, ParamSpec, TypeVar

from asgi_sync import _lifecycle
from asgi_sync._workers import WorkItem

__all__ = ["CurrentThreadExecutor"]

# How often a waiting thread looks whether its wait still makes sense. A guess: soon enough
# for somebody who looks at a program that stands still, and next to no work.
IDLE_CHECK_SECONDS = 0.5

# On Windows a wait for a lock cannot be interrupted, so it must not be a long one.
_CTRL_C_ENDS_A_WAIT = sys.platform != "win32"

_P = ParamSpec("_P")
_R = TypeVar("_R")


class CurrentThreadExecutor(Executor):
    """An executor whose one thread is the thread that made it, while that waits.

    `async_to_sync` waits in one, so that thread-sensitive code below it runs on the
    calling thread. There is one for each thread, shared by all `async_to_sync` calls
    nested on it: whichever is innermost runs what was submitted, and what is left when
    it ends is there for the next one out.

    States, changed by the owning thread, under the lock that `submit` takes:

    | from | to     | when                                                               |
    |------|--------|--------------------------------------------------------------------|
    | open | closed | `run_until_future` ends; or, for the bridge, the outermost call ends |

    Calls left over when it closes, and those submitted later, go to the executor that
    takes over; without one, `submit` raises RuntimeError and what was left is cancelled.

    Parameters: `old_executor`, the executor that takes over, or None. Make it in the
    thread that is to run the calls.
    """

    def __init__(self, old_executor: Executor | None = None) -> None:
        self._old_executor = old_executor
        self._thread = threading.get_ident()
        self._process = _lifecycle.current_process()
        self._closing = threading.Lock()
        self._closed = False
        # None wakes the thread, to see whether what it waits for has come.
        self._items: queue.SimpleQueue[WorkItem | None] = queue.SimpleQueue()

    def submit(self, fn: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_R]:
        """Have `fn(*args, **kwargs)` called in the owning thread; thread-safe.

        Returns the future of its result. Raises RuntimeError when called from the owning
        thread, which could then never come to run it, or when the executor has closed
        and none takes over.
        """
        if threading.get_ident() == self._thread:
            raise RuntimeError("You cannot submit onto CurrentThreadExecutor from its own thread")
        item = WorkItem(fn, args, kwargs)
        with self._closing:
            if not self._closed:
                self._items.put(item)
                return item.future
        if self._old_executor is None:
            raise RuntimeError("CurrentThreadExecutor already quit or is broken")
        return self._old_executor.submit(fn, *args, **kwargs)

    def run_until_future(self, future: Future[Any]) -> None:
        """Run submitted calls in this thread until `future` is done, then close.

        Raises RuntimeError in a thread other than the one that made the executor.
        """
        try:
            self.serve_until(future)
        finally:
            self.close()

    def serve_until(
        self, future: Future[Any], while_idle: Callable[[], None] | None = None
    ) -> None:
        """Run submitted calls in this thread until `future` is done, and stay open.

        `while_idle` is called every `IDLE_CHECK_SECONDS` in which nothing came, and may
        raise to end the wait.

        Raises RuntimeError in a thread that does not own the executor, and in a child
        process that was forked by one of the calls: nobody completes `future` there.
        """
        if threading.get_ident() != self._thread:
            raise RuntimeError("CurrentThreadExecutor can only be run by the thread that made it")
        future.add_done_callback(self._wake)
        while not future.done():
            item = self._next_item(while_idle)
            if item is not None:
                item.run()
                del item
            if self._process is not _lifecycle.current_process():
                raise RuntimeError(
                    "This process was forked while its thread waited in async_to_sync; the"
                    " call it waits for goes on in the parent process only."
                    " End a forked child with os._exit()."
                )

    def _next_item(self, while_idle: Callable[[], None] | None) -> WorkItem | None:
        if while_idle is None and _CTRL_C_ENDS_A_WAIT:
            return self._items.get()
        try:
            return self._items.get(timeout=IDLE_CHECK_SECONDS)
        except queue.Empty:
            if while_idle is not None:
                while_idle()
            return None

    def close(self, successor: Callable[[], Executor] | None = None) -> None:
        """Accept no more calls; `successor`, if given, makes what takes over."""
        with self._closing:
            if successor is not None and self._old_executor is None:
                self._old_executor = _OnFirstUse(successor)
            self._closed = True
        for item in self._take_all():
            self._pass_on(item)

    def _take_all(self) -> list[WorkItem]:
        left = []
        while not self._items.empty():
            if (item := self._items.get_nowait()) is not None:
                left.append(item)
        return left

    def _pass_on(self, item: WorkItem) -> None:
        if self._old_executor is None:
            item.future.cancel()
        elif not item.future.cancelled():
            self._old_executor.submit(item.run)

    def _wake(self, future: Future[Any]) -> None:
        self._items.put(None)


class _OnFirstUse(Executor):
    """An executor that is looked up when the first call comes."""

    def __init__(self, find: Callable[[], Executor]) -> None:
        self._find = find

    def submit(self, fn: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_R]:
        return self._find().submit(fn, *args, **kwargs)
