"""An executor with several threads, up to a bound.

Many jobs often come at once, from one turn of an event loop, and most are short. To wake a
thread for each would have them all wait for the interpreter at a time, and each other. So one
is woken, and others only by those who come: at any time at most one worker is *coming*, which
has been woken and not yet taken its first job. When it does, and more wait, it wakes the next.
Jobs that block so get a thread each, as fast as threads wake up one after the other; short
ones are mostly done by the first.

Whenever the lock is released: if a job waits, and another may run, a worker is coming (or no
thread could be started).
"""

from __future__ import annotations

import functools
import os
import threading
from collections import deque
from contextlib import suppress

from asgi_sync import _lifecycle
from asgi_sync._jobs import Job, JobExecutor
from asgi_sync._thread_limits import set_counted_by
from asgi_sync._workers import Worker, workers


class BoundedExecutor(JobExecutor):
    """Runs up to `max_workers` jobs at a time, first come, first served.

    One that waits in `async_to_sync` does not count, so the threads may be more.

    `_running`, `_blocked`, `_waiting` and `_one_is_coming` change under `_lock` only, by the
    thread that puts a job and by the workers.
    """

    def __init__(self, max_workers: int, name: str) -> None:
        self._name = name
        self.start_afresh()
        self.max_workers = max_workers

    @property
    def max_workers(self) -> int:
        """How many jobs run at a time. May be changed while jobs run or wait.

        Raises ValueError if it is set to less than 1.
        """
        return self._max_workers

    @max_workers.setter
    def max_workers(self, max_workers: int) -> None:
        if max_workers < 1:
            raise ValueError(f"max_workers must be at least 1, not {max_workers}")
        with self._lock:
            self._max_workers = max_workers
            with suppress(RuntimeError):
                self._start_worker_if_allowed()

    def start_afresh(self) -> None:
        """Forget all threads and jobs, as in a forked child."""
        self._lock = threading.Lock()
        self._running = 0
        self._blocked = 0
        self._one_is_coming = False
        self._waiting: deque[Job] = deque()

    def put(self, job: Job) -> Job | None:
        with self._lock:
            self._waiting.append(job)
            try:
                self._start_worker_if_allowed()
            except RuntimeError:
                # No thread can be started. Those that run will come to the job, but not
                # those that are blocked: they may be waiting for it.
                if self._running <= self._blocked:
                    self._waiting.remove(job)
                    raise
        return None

    def lend(self) -> None:
        with self._lock:
            self._blocked += 1
            # Without another thread this one can still wait: for what others are to do.
            with suppress(RuntimeError):
                self._start_worker_if_allowed()

    def call_in(self) -> None:
        with self._lock:
            self._blocked -= 1

    def _start_worker_if_allowed(self) -> None:
        if self._one_is_coming or not self._waiting:
            return
        if self._running - self._blocked < self._max_workers:
            worker = workers.lease(self._name)
            self._running += 1
            worker.put(functools.partial(self._work, worker))
            # Last: should a signal handler raise before, one may come too many, but not none
            # ever again.
            self._one_is_coming = True

    def _work(self, worker: Worker) -> None:
        process = _lifecycle.this.process
        set_counted_by(self)
        job = self._next(worker, has_come=True)
        while job is not None:
            job.run()
            if process is not _lifecycle.this.process:
                # The job has forked, and this is the child: the jobs are the parent's.
                return
            done, job = job, self._next(worker)
            done.publish()
            # Or this frame would keep the job, and all that it refers to, until the next.
            del done

    def _next(self, worker: Worker, *, has_come: bool = False) -> Job | None:
        with self._lock:
            if has_come:
                self._one_is_coming = False
            # More may run than allowed when jobs that were blocked go on; their workers
            # end instead of taking another.
            if self._waiting and self._running - self._blocked <= self._max_workers:
                job = self._waiting.popleft()
                if has_come and self._waiting:
                    with suppress(RuntimeError):
                        self._start_worker_if_allowed()
                return job
            self._running -= 1
        set_counted_by(None)
        worker.release()
        return None


# The bound of `concurrent.futures.ThreadPoolExecutor`, for the same reasons.
any_thread_executor = BoundedExecutor(min(32, (os.cpu_count() or 1) + 4), "asgi-sync worker")
_lifecycle.on_fork(any_thread_executor.start_afresh)
