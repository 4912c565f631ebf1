"""Executors on pooled worker threads: one thread in order, or several up to a bound.

Both are `concurrent.futures.Executor`s: what is submitted gets a Future, and cancelling
that future before the call starts means that it never does.
"""

from __future__ import annotations

import functools
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from asgi_sync import _lifecycle
from asgi_sync._workers import Worker, WorkItem, workers

_P = ParamSpec("_P")
_R = TypeVar("_R")

_SHUT_DOWN = "cannot schedule new futures after shutdown"


class SerialExecutor(Executor):
    """Runs calls one at a time, in order, all on one thread.

    The thread is leased with the first call and kept, so that what calls leave in
    thread-locals is there for the next. After `release` it goes back to the pool as soon
    as no call is left; calls that still come lease one again, one at a time as before.

    Everything below changes under `_lock` only: by the thread that submits or releases,
    and by the worker when a call has ended.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._start_afresh()

    def _start_afresh(self) -> None:
        self._process = _lifecycle.current_process()
        self._lock = threading.Lock()
        self._worker: Worker | None = None
        self._waiting: deque[WorkItem] = deque()
        self._unfinished = 0
        self._released = False
        self._shut_down = False

    def submit(self, fn: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_R]:
        if self._process is not _lifecycle.current_process():
            # The worker and whoever held the lock stayed behind in the parent.
            self._start_afresh()
        item = WorkItem(fn, args, kwargs)
        with self._lock:
            if self._shut_down:
                raise RuntimeError(_SHUT_DOWN)
            if self._worker is None or not self._worker.put(self._run_next):
                self._worker = workers.lease(self._name)
                self._worker.put(self._run_next)
            # The worker takes the lock first, so it finds the item.
            self._waiting.append(item)
            self._unfinished += 1
        return item.future

    def release(self) -> None:
        """Give the thread back once no call is left. Waits for nothing; any thread."""
        with self._lock:
            self._released = True
            self._release_if_unused()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accept no more calls, as `concurrent.futures.Executor.shutdown`."""
        with self._lock:
            self._shut_down = True
            worker = self._worker
            left = list(self._waiting)
        if cancel_futures:
            for item in left:
                item.future.cancel()
        ended = threading.Event()
        if wait and worker is not None and worker.put(ended.set):
            ended.wait()
        self.release()

    def _run_next(self) -> None:
        with self._lock:
            item = self._waiting.popleft()
        item.run()
        del item
        with self._lock:
            self._unfinished -= 1
            self._release_if_unused()

    def _release_if_unused(self) -> None:
        if self._released and not self._unfinished and self._worker is not None:
            self._worker.release()
            self._worker = None

    def __del__(self) -> None:
        # Nobody can submit any more; without this the thread would wait for ever. The
        # queue of a worker is made to be used from finalisers, a lock is not.
        worker = getattr(self, "_worker", None)
        if worker is not None and self._process is _lifecycle.current_process():
            worker.release()


class BoundedExecutor(Executor):
    """Runs calls on up to `max_workers` threads, first come, first served.

    A call that waits in `async_to_sync` does not count: what it waits for may need a
    thread of this executor, and with all of them waiting nothing could ever go on.

    `_running`, `_blocked` and `_waiting` change under `_lock` only, by the thread that
    submits and by the workers.
    """

    def __init__(self, max_workers: int, name: str) -> None:
        if max_workers < 1:
            raise ValueError(f"max_workers must be at least 1, not {max_workers}")
        self._max_workers = max_workers
        self._name = name
        self.start_afresh()

    def start_afresh(self) -> None:
        """Forget all threads and calls, as in a forked child."""
        self._lock = threading.Lock()
        self._running = 0
        self._blocked = 0
        self._waiting: deque[WorkItem] = deque()

    def submit(self, fn: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_R]:
        item = WorkItem(fn, args, kwargs)
        with self._lock:
            self._waiting.append(item)
            try:
                self._start_worker_if_allowed()
            except RuntimeError:
                # No thread can be started: those that run will come to the item.
                if not self._running:
                    self._waiting.remove(item)
                    raise
        return item.future

    def _start_worker_if_allowed(self) -> None:
        if self._waiting and self._running - self._blocked < self._max_workers:
            worker = workers.lease(self._name)
            self._running += 1
            worker.put(functools.partial(self._work, worker))

    def _work(self, worker: Worker) -> None:
        _here.executor = self
        while (item := self._next()) is not None:
            item.run()
            del item
        _here.executor = None
        worker.release()

    def _next(self) -> WorkItem | None:
        with self._lock:
            # More may run than allowed when calls that were blocked go on; their
            # workers end instead of taking another.
            if self._waiting and self._running - self._blocked <= self._max_workers:
                return self._waiting.popleft()
            self._running -= 1
            return None

    @contextmanager
    def one_blocked(self) -> Iterator[None]:
        with self._lock:
            self._blocked += 1
            self._start_worker_if_allowed()
        try:
            yield
        finally:
            with self._lock:
                self._blocked -= 1


class _Here(threading.local):
    """The executor that runs a call in this thread, if it is a bounded one."""

    executor: BoundedExecutor | None = None


_here = _Here()


@contextmanager
def thread_is_blocked() -> Iterator[None]:
    """While this thread waits for async code, a bounded executor may use one more."""
    if _here.executor is None:
        yield
    else:
        with _here.executor.one_blocked():
            yield


# The bound of `concurrent.futures.ThreadPoolExecutor`, for the same reasons.
any_thread_executor = BoundedExecutor(min(32, (os.cpu_count() or 1) + 4), "asgi-sync worker")
_lifecycle.on_fork(any_thread_executor.start_afresh)
