"""Worker threads that are kept for the next job.

Goal: no thread is started where an idle one can be had, and none is joined while
somebody waits.

Guarantees
- A worker is leased by one holder at a time and runs its jobs in order.
- Idle workers are reused last in, first out, so that those beyond the need time out.
- A worker that was leased never times out; a job that was accepted runs.
- A worker is a daemon thread, so that one that is stuck in user code cannot hold up the
  end of the interpreter for ever; at exit all are told to stop and waited for, for at
  most `EXIT_SECONDS`.

States of a worker, and who changes them:

| from    | to      | by                  | how                                             |
|---------|---------|---------------------|-------------------------------------------------|
| (new)   | leased  | the leasing thread  | `lease` starts it                               |
| leased  | idle    | its holder          | `release` puts it into `_idle`                  |
| leased  | idle    | the worker          | the same, when it comes to `release_when_done`  |
| idle    | leased  | the leasing thread  | takes it out of `_idle`                         |
| idle    | retired | the worker          | takes itself out of `_idle` after a time-out    |
| any     | stopped | the exiting thread  | `stop`, under the worker's lock                 |

The two that compete for an idle worker each do so with one operation on the dict
`_idle`, which is atomic with the global interpreter lock and without: who removes the
entry has the worker. No lock is held, so `lease` may be called from a signal handler or
from a finaliser. Releasing wakes nobody: the worker waits for its next job as before.
"""

from __future__ import annotations

import contextvars
import logging
import queue
import threading
import time
from collections.abc import Callable

from asgi_sync import _lifecycle

logger = logging.getLogger("asgi_sync")

# How long an idle worker waits for another job. A guess: longer than the pause between
# two requests of a busy server, short enough for a burst's threads to go soon.
IDLE_SECONDS = 10.0

# How long the end of the interpreter waits for jobs that still run. A guess: enough for a
# database round trip, and less than the time after which supervisors send SIGKILL.
EXIT_SECONDS = 5.0

_NAME_WHEN_IDLE = "asgi-sync idle worker"


class _Stopped:
    """Put into a worker's queue when it is to end."""


_Order = Callable[[], None] | type[_Stopped]


class Worker:
    """One thread that runs the jobs of its present holder, in order."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._orders: queue.SimpleQueue[_Order] = queue.SimpleQueue()
        self._closing = threading.Lock()
        self._closed = False
        self._process = _lifecycle.this.process
        self.thread = threading.Thread(target=self._run, name=_NAME_WHEN_IDLE, daemon=True)

    def put(self, job: Callable[[], None]) -> bool:
        """Have `job`, which must not raise, run after those before it; false if stopped."""
        with self._closing:
            if self._closed:
                return False
            self._orders.put(job)
            return True

    def release(self) -> None:
        """Give the worker back. What it still has to do delays the next holder's jobs."""
        self.thread.name = _NAME_WHEN_IDLE
        self._workers.add_idle(self)

    def release_when_done(self, last: Callable[[], None] | None = None) -> None:
        """Give the worker back once the jobs before, and `last`, are done.

        Takes no lock, so that it may be called from a finaliser.
        """
        if last is not None:
            self._orders.put(last)
        self._orders.put(self.release)

    def stop(self) -> None:
        """End the thread after the jobs that it has."""
        with self._closing:
            self._closed = True
            self._orders.put(_Stopped)

    def _run(self) -> None:
        while (order := self._next_order()) is not _Stopped:
            try:
                order()
            except BaseException:
                # Jobs do not raise. If one does all the same, by way of a signal handler or
                # for want of memory, those behind it must not wait for ever.
                logger.exception("A worker thread's job failed")
            # Or the queue's wait would keep the job and all that it refers to.
            del order
            if self._process is not _lifecycle.this.process:
                # The job has forked, this is the child, and nobody has more jobs for it.
                return
        self._workers.forget(self)

    def _next_order(self) -> _Order:
        while True:
            try:
                return self._orders.get(timeout=IDLE_SECONDS)
            except queue.Empty:
                # If it is not among the idle ones it has a holder, from before the wait or
                # since a moment ago, who may have an order for it at any time.
                if self._workers.remove_idle(self):
                    return _Stopped


class Workers:
    """All worker threads of a process: leased, or idle and waiting for a holder."""

    def __init__(self) -> None:
        self._forget_all()

    def lease(self, name: str) -> Worker:
        """A worker for the caller alone, called `name` until it is released.

        Raises RuntimeError where no thread can be started.
        """
        try:
            # One operation: a look before it could find a worker that is gone after it.
            worker, _ = self._idle.popitem()
        except KeyError:
            return self._start_worker(name)
        worker.thread.name = name
        return worker

    def _start_worker(self, name: str) -> Worker:
        worker = Worker(self)
        worker.thread.name = name
        # In an empty context: some Pythons let a thread inherit the one it is started in,
        # and a worker would keep that of its first job for good.
        contextvars.Context().run(worker.thread.start)
        self._all[worker] = None
        return worker

    def add_idle(self, worker: Worker) -> None:
        self._idle[worker] = None
        if self._stopping:
            # `stop` may have looked at the idle ones before this one was among them.
            self._idle.pop(worker, None)

    def remove_idle(self, worker: Worker) -> bool:
        """Take `worker` out of the idle ones; false if another thread already has."""
        return self._idle.pop(worker, self) is not self

    def forget(self, worker: Worker) -> None:
        self._idle.pop(worker, None)
        self._all.pop(worker, None)

    def stop(self) -> None:
        """Stop all workers, and wait `EXIT_SECONDS` for those that still run a job."""
        self._stopping = True
        self._idle.clear()
        workers = list(self._all)
        for worker in workers:
            worker.stop()
        deadline = time.monotonic() + EXIT_SECONDS
        for worker in workers:
            worker.thread.join(max(0.0, deadline - time.monotonic()))
        # What runs at exit after this may still use the bridge.
        self._stopping = False

    def _forget_all(self) -> None:
        self._stopping = False
        self._idle: dict[Worker, None] = {}
        self._all: dict[Worker, None] = {}


workers = Workers()
_lifecycle.on_fork(workers._forget_all)
_lifecycle.on_exit(workers.stop)
