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
from contextlib import contextmanager, suppress
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
    """

    def __init__(self, name: str) -> None:
        self._states = {_lifecycle.current_process(): _SerialState(name)}
        self._name = name

    def submit(self, fn: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_R]:
        item = WorkItem(fn, args, kwargs)
        state = self._state()
        with state.lock:
            state.add(item)
        return item.future

    def release(self) -> None:
        """Give the thread back once no call is left. Waits for nothing; any thread."""
        state = self._state()
        with state.lock:
            state.released = True
            state.release_if_unused()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accept no more calls, as `concurrent.futures.Executor.shutdown`."""
        state = self._state()
        with state.lock:
            state.shut_down = True
            worker = state.worker
            left = list(state.waiting)
        if cancel_futures:
            for item in left:
                item.future.cancel()
        ended = threading.Event()
        is_own_thread = worker is None or worker.thread is threading.current_thread()
        if wait and not is_own_thread and worker is not None and worker.put(ended.set):
            ended.wait()
        self.release()

    def _state(self) -> _SerialState:
        # In a forked child the worker, and whoever held the lock, stayed behind in the
        # parent. One operation: threads of the child may come here at the same time.
        process = _lifecycle.current_process()
        state = self._states.get(process)
        return (
            self._states.setdefault(process, _SerialState(self._name)) if state is None else state
        )

    def __del__(self) -> None:
        # Nobody can submit any more; without this the thread would wait for ever. The
        # queue of a worker is made to be used from finalisers, a lock is not.
        state = self._states.get(_lifecycle.current_process())
        if state is not None and state.worker is not None:
            state.worker.release()


class _SerialState:
    """What a `SerialExecutor` is in one process.

    All changes under `lock` only: by the thread that submits or releases, and by the
    worker when a call has ended.
    """

    def __init__(self, name: str) -> None:
        self.lock = threading.Lock()
        self.worker: Worker | None = None
        self.waiting: deque[WorkItem] = deque()
        self.released = False
        self.shut_down = False
        self._name = name
        self._unfinished = 0

    def add(self, item: WorkItem) -> None:
        """Have a call run after those before it; with the lock."""
        if self.shut_down:
            raise RuntimeError(_SHUT_DOWN)
        # Before the worker is told: what a signal handler raises in between may leave an
        # item that the next call's order runs, but never an order without an item.
        self.waiting.append(item)
        try:
            if self.worker is None or not self.worker.put(self._run_next):
                self.worker = workers.lease(self._name)
                self.worker.put(self._run_next)
        except BaseException:
            self.waiting.remove(item)
            raise
        self._unfinished += 1

    def release_if_unused(self) -> None:
        """Give the worker back if it may be and has nothing to do; with the lock."""
        if self.released and self._unfinished <= 0 and self.worker is not None:
            self.worker.release()
            self.worker = None

    def _run_next(self) -> None:
        with self.lock:
            item = self.waiting.popleft() if self.waiting else None
        if item is not None:
            item.run()
            del item
        with self.lock:
            self._unfinished -= 1
            self.release_if_unused()


class BoundedExecutor(Executor):
    """Runs up to `max_workers` calls at a time, first come, first served.

    A call that waits in `async_to_sync` does not count, so the threads may be more: what it
    waits for may need a thread of this executor, and with all of them waiting nothing could
    ever go on.

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
                # No thread can be started. Those that run will come to the item, but not
                # those that are blocked: they may be waiting for it.
                if self._running <= self._blocked:
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
        """While this holds, one of the threads does not count."""
        process = _lifecycle.current_process()
        with self._lock:
            self._blocked += 1
            # Without another thread this one can still wait: for what others are to do.
            with suppress(RuntimeError):
                self._start_worker_if_allowed()
        try:
            yield
        finally:
            if process is _lifecycle.current_process():
                with self._lock:
                    self._blocked -= 1


class _Here(threading.local):
    """The bounded executor whose call runs in this thread, until that is blocked."""

    executor: BoundedExecutor | None = None


_here = _Here()


@contextmanager
def thread_is_blocked() -> Iterator[None]:
    """While this thread waits for async code, a bounded executor may use one more."""
    executor = _here.executor
    if executor is None:
        yield
        return
    # Calls that are nested on this thread are blocked with it: it counts once.
    _here.executor = None
    try:
        with executor.one_blocked():
            yield
    finally:
        _here.executor = executor


# The bound of `concurrent.futures.ThreadPoolExecutor`, for the same reasons.
any_thread_executor = BoundedExecutor(min(32, (os.cpu_count() or 1) + 4), "asgi-sync worker")
_lifecycle.on_fork(any_thread_executor.start_afresh)
