"""The threads of one adapter: as many as it needs, up to a bound.

Guarantees
- Requests are taken up in the order in which they come, whatever event loop they come from.
- No thread is started before there is something to do, nor while one is idle. Of the idle ones the
  last comes first, so that those beyond the need end, after `IDLE_SECONDS`.
- A request that another one of the same pool waits for, by `async_to_sync`, does not wait for a
  thread (`ThreadPool.nested`): all of them may be waiting for such requests.
- A forked child has a pool of its own, with nothing in it.
- The threads end with the pool (`close`). At interpreter exit those that run something are waited
  for, `EXIT_SECONDS` at most: they are daemons, so that none can hold up the exit for ever.

States of a worker thread:

    from     to       by                    how
    (new)    busy     who submits           starts it, with its first job
    busy     busy     the thread            takes the job that has waited longest
    busy     idle     the thread            there is none: puts itself into `idle`
    idle     busy     who submits           takes it out of `idle` and gives it a job
    idle     ended    the thread            takes itself out of `idle` after a time-out
    idle     ended    who closes the pool   takes it out of `idle` and tells it
    busy     ended    the thread            there are more threads than the bound

All under `lock`, but for `close`, which may be called by the garbage collector, in a thread that
has the lock: taking an item out of the list `idle` is one operation, and who does it has the
worker. A thread that becomes idle puts itself in first and looks whether the pool is closed second,
`close` does it the other way round, so one of the two sees it.
"""

from __future__ import annotations

import atexit
import contextvars
import functools
import logging
import math
import os
import queue
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, ParamSpec, TypeVar, cast

logger = logging.getLogger("asgi_wsgi")

_P = ParamSpec("_P")
_R = TypeVar("_R")

# How long an idle thread waits for another request. A guess: longer than the pauses of a service
# that is in use, short enough for the threads of a burst to go soon.
IDLE_SECONDS = 10.0

# How long the end of the interpreter waits for requests that still run. A guess: enough to clean
# up, and less than the time after which supervisors send SIGKILL.
EXIT_SECONDS = 5.0


class _Job:
    """One call, and as much of its future as asgi-sync uses.

    asgi-sync takes the outcome of a call in its thread, and tells the event loop itself. For it a
    future is what it cancels when nobody waits for the call any more, and what calls back if the
    call is dropped, which no pool does. A real one, with its lock and condition, takes longer to
    make and to set than all else that a pool does.
    """

    __slots__ = ("_call",)

    def __init__(self, call: Callable[[], object]) -> None:
        self._call: Callable[[], object] | None = call

    def run(self) -> None:
        """Do it, on a thread of the pool, unless it was cancelled before."""
        call, self._call = self._call, None
        if call is not None:
            call()

    def cancel(self) -> bool:
        """As that of a future, but it may come too late and not say so.

        To asgi-sync that is no matter: what it submits does nothing once it was cancelled.
        """
        was_waiting, self._call = self._call is not None, None
        return was_waiting

    def add_done_callback(self, fn: Callable[[Any], object], /) -> None:
        """As that of a future that is never dropped."""


class _ThisThread(threading.local):
    free: Callable[[], None]


_this_thread = _ThisThread()

_pools: weakref.WeakSet[ThreadPool] = weakref.WeakSet()


class _Worker:
    """One thread, and where it is given its next job; None tells it to end."""

    def __init__(self) -> None:
        self.jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self.thread: threading.Thread | None = None
        # Whether it may be given a job, or told to end: what it still does is soon done.
        self.is_free = False


class _Threads:
    """What a pool has in one process; a forked child begins with another."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.waiting: deque[_Job] = deque()
        self.idle: list[_Worker] = []
        self.all: set[_Worker] = set()


class ThreadPool(Executor):
    """Runs calls on up to `max_workers` threads, first come, first served."""

    def __init__(self, max_workers: int) -> None:
        self.max_workers = max_workers
        self.nested: Executor = _Nested(self)
        self._is_closed = False
        self._threads = _Threads()
        _pools.add(self)

    def submit(self, fn: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_R]:
        """Have `fn(*args, **kwargs)` called; what is returned can be cancelled, and no more.

        Raises RuntimeError where no thread can be started and none is there.
        """
        job = _Job(functools.partial(fn, *args, **kwargs))
        self.put(job, self.max_workers)
        return cast("Future[_R]", job)

    def put(self, job: _Job, max_workers: float) -> None:
        """Have `job` run on one of so many threads."""
        threads = self._threads
        with threads.lock:
            worker = _pop_idle(threads)
            if worker is not None:
                worker.jobs.put(job)
            elif len(threads.all) >= max_workers or not self._starts(threads, job):
                threads.waiting.append(job)

    @property
    def is_full(self) -> bool:
        """Whether a job that comes now waits, unless a thread becomes idle just then."""
        return not self._threads.idle and len(self._threads.all) >= self.max_workers

    def close(self) -> None:
        """End the threads, those that are busy after their job. Takes no lock."""
        self._is_closed = True
        _end_idle(self._threads)

    def join(self, deadline: float) -> None:
        """Wait for the threads of a pool that is closed, until `time.monotonic()` is there."""
        for worker in list(self._threads.all):
            if worker.thread is not None and worker.thread is not threading.current_thread():
                worker.thread.join(max(0.0, deadline - time.monotonic()))

    def start_afresh(self) -> None:
        """Forget all threads and jobs, as a forked child has to."""
        self._threads = _Threads()

    def _starts(self, threads: _Threads, job: _Job) -> bool:
        worker = _Worker()
        # Not as an argument of the thread, which would keep it to its end.
        worker.jobs.put(job)
        worker.thread = threading.Thread(
            target=self._work, args=(threads, worker), name="asgi-wsgi worker", daemon=True
        )
        threads.all.add(worker)
        try:
            # In an empty context: some Pythons let a thread inherit the one that it is started in,
            # and a worker would keep that of its first request for good.
            contextvars.Context().run(worker.thread.start)
        except RuntimeError:
            threads.all.discard(worker)
            if not threads.all:
                raise
            # No thread can be started. Those that there are will come to the job.
            return False
        return True

    def _work(self, threads: _Threads, worker: _Worker) -> None:
        _this_thread.free = functools.partial(self._free, threads, worker)
        job: _Job | None = worker.jobs.get()
        while job is not None:
            worker.is_free = False
            try:
                job.run()
            except BaseException:
                # What asgi-sync submits does not raise. If it does all the same, for want of
                # memory, say, the requests behind it must not wait for ever.
                logger.exception("A worker thread's job failed")
            # Or this frame would keep the job, and all that it refers to, until the next.
            del job
            if threads is not self._threads:
                # The job has forked, and this is the child: the other jobs are the parent's.
                return
            self._free(threads, worker)
            job = _next_job(threads, worker)
        with threads.lock:
            threads.all.discard(worker)

    def _free(self, threads: _Threads, worker: _Worker) -> None:
        """Give the thread its next job, or put it among the idle ones, or have it end."""
        if worker.is_free or threads is not self._threads:
            return  # or a forked child, where another thread may have held the lock
        worker.is_free = True
        with threads.lock:
            if len(threads.all) > self.max_workers:
                threads.all.discard(worker)
                worker.jobs.put(None)
            elif threads.waiting:
                worker.jobs.put(threads.waiting.popleft())
            else:
                threads.idle.append(worker)
        if self._is_closed:
            # `close` may have looked before this thread was among the idle ones.
            _end_idle(threads)


class _Nested(Executor):
    """Runs calls that calls of the same pool wait for: also where all its threads are busy."""

    def __init__(self, pool: ThreadPool) -> None:
        self._pool = weakref.ref(pool)

    def submit(self, fn: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_R]:
        """As `ThreadPool.submit`, on a thread more if need be."""
        pool = self._pool()
        assert pool is not None  # whoever submits has the adapter
        job = _Job(functools.partial(fn, *args, **kwargs))
        pool.put(job, math.inf)
        return cast("Future[_R]", job)


def free_this_thread() -> None:
    """Say that what the present job has still to do is soon done: its thread may have another.

    For what tells others of its end, who may have a job for a thread at once: it shall not start
    a second one, or wake one that sleeps, while this one becomes idle. On a thread of a pool.
    """
    _this_thread.free()


def _next_job(threads: _Threads, worker: _Worker) -> _Job | None:
    while True:
        try:
            return worker.jobs.get(timeout=IDLE_SECONDS)
        except queue.Empty:
            with threads.lock:
                try:
                    threads.idle.remove(worker)
                except ValueError:
                    continue  # somebody else has taken it out, and puts something in
                # In the same step: who submits next sees a thread that is idle, or one fewer,
                # never one that is there to wait for and will not come.
                threads.all.discard(worker)
                return None


def _end_idle(threads: _Threads) -> None:
    while (worker := _pop_idle(threads)) is not None:
        worker.jobs.put(None)


def _pop_idle(threads: _Threads) -> _Worker | None:
    try:
        # A look before it could find one that is gone after it.
        return threads.idle.pop()
    except IndexError:
        return None


def _start_all_afresh() -> None:
    for pool in list(_pools):
        pool.start_afresh()


def _close_all() -> None:
    pools = list(_pools)
    for pool in pools:
        pool.close()
    deadline = time.monotonic() + EXIT_SECONDS
    for pool in pools:
        pool.join(deadline)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_all_afresh)
atexit.register(_close_all)
