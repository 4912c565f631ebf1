"""An executor that keeps to one thread, which is in use only while it is needed."""

from __future__ import annotations

import threading
from collections import deque

from asgi_sync import _lifecycle
from asgi_sync._jobs import Job, JobExecutor, WorkItem, remove_from
from asgi_sync._thread_limits import ThreadLimit, set_counted_by
from asgi_sync._workers import Worker, workers


class SerialExecutor(JobExecutor):
    """Runs jobs one at a time, in order, all on one thread.

    The thread is leased with the first job and kept, so that what jobs leave in
    thread-locals is there for the next. After `release` it goes back to the pool as soon
    as no job is left; jobs that still come lease one again, one at a time as before.

    With a `limit`, the first job waits until that admits one more thread.
    """

    def __init__(self, name: str, limit: ThreadLimit | None = None) -> None:
        self._name = name
        self._limit = limit
        self._lanes = {_lifecycle.this.process: _Lane(name, limit)}

    def put(self, job: Job) -> Job | None:
        lane = self._lane()
        with lane.lock:
            if lane.shut_down:
                raise RuntimeError("cannot schedule new futures after shutdown")
            lane.add(job)
            # The first that waits is about to run.
            return lane.running or lane.waiting[0]

    def release(self) -> None:
        """Give the thread back once no job is left. Waits for nothing; any thread."""
        self._lane().release()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accept no more calls, as `concurrent.futures.Executor.shutdown`."""
        lane = self._lane()
        last = WorkItem(_nothing, (), {})
        with lane.lock:
            lane.shut_down = True
            dropped = list(lane.waiting) if cancel_futures else []
            must_wait = wait and lane.is_working and not lane.is_this_thread
            if must_wait:
                lane.add(last)
        for job in dropped:
            job.drop()
        if must_wait:
            last.future.result()
        self.release()

    @property
    def running(self) -> Job | None:
        """The job that runs just now. For diagnosis: it may have ended meanwhile."""
        return self._lane().running

    @property
    def thread(self) -> int | None:
        """The ident of its thread, if it has one."""
        worker = self._lane().worker
        return None if worker is None else worker.thread.ident

    @property
    def _threads(self) -> set[threading.Thread]:
        """Its thread, if it has one: public code looks for it where a thread pool has it."""
        worker = self._lane().worker
        return set() if worker is None else {worker.thread}

    def waiting_jobs(self) -> list[Job]:
        """The jobs that have not begun, oldest first."""
        lane = self._lane()
        with lane.lock:
            return list(lane.waiting)

    def take_back(self, job: Job) -> bool:
        """Take a job that has not begun out of the queue; false if it is not there."""
        lane = self._lane()
        with lane.lock:
            return remove_from(lane.waiting, job)

    def _lane(self) -> _Lane:
        # In a forked child the worker, and whoever held the lock, stayed behind in the
        # parent. One operation: threads of the child may come here at the same time.
        process = _lifecycle.this.process
        lane = self._lanes.get(process)
        if lane is None:
            return self._lanes.setdefault(process, _Lane(self._name, self._limit))
        return lane

    def __del__(self) -> None:
        # Nobody can put anything any more; without this the thread would wait for ever.
        # That takes locks, in whatever code the collector has come by: they are re-entrant.
        lane = self._lanes.get(_lifecycle.this.process)
        if lane is not None:
            lane.release()


class _Lane:
    """What a `SerialExecutor` is in one process.

    | from    | to      | by                             | when                        |
    |---------|---------|--------------------------------|-----------------------------|
    | idle    | working | the thread that adds a job     |                             |
    | working | idle    | the worker                     | nothing is waiting any more |

    `is_working` says which. `worker` is there from the first job on, or from when the limit
    admits it, until it is released while idle. All change under `lock`.
    """

    def __init__(self, name: str, limit: ThreadLimit | None) -> None:
        # Re-entrant: a limit may admit at once, and finalisers release.
        self.lock = threading.RLock()
        self.worker: Worker | None = None
        self.waiting: deque[Job] = deque()
        self.is_working = False
        self.shut_down = False
        self.running: Job | None = None
        self._released = False
        self._process = _lifecycle.this.process
        self._name = name
        self._limit = limit

    @property
    def is_this_thread(self) -> bool:
        return self.worker is not None and self.worker.thread is threading.current_thread()

    def add(self, job: Job) -> None:
        """Have a job run after those before it; with the lock."""
        # Before the worker is told: what a signal handler raises in between may leave a job
        # that the next one's order runs, but never an order without a job.
        self.waiting.append(job)
        if self.is_working:
            return
        try:
            self._begin()
        except BaseException:
            self.waiting.remove(job)
            raise

    def release(self) -> None:
        """Give the worker back as soon as it has nothing to do."""
        with self.lock:
            self._released = True
            worker = None if self.is_working else self._take_worker()
        self._give_back(worker)

    def _begin(self) -> None:
        if self.worker is not None and self.worker.put(self._work):
            self.is_working = True
        elif self._limit is None or self.worker is not None:
            self._begin_on_new_worker()
        else:
            self.is_working = True
            self._limit.admit(self._begin_when_admitted)

    def _begin_on_new_worker(self) -> None:
        self.worker = workers.lease(self._name)
        self.worker.put(self._work)
        self.is_working = True

    def _begin_when_admitted(self) -> None:
        with self.lock:
            try:
                self._begin_on_new_worker()
                return
            except RuntimeError:
                # No thread can be started, and those who wait are not here to be told.
                self.is_working = False
                dropped = list(self.waiting)
                self.waiting.clear()
        for job in dropped:
            job.drop()
        self._leave_limit()

    def _work(self) -> None:
        if self._limit is not None:
            set_counted_by(self._limit)
        job = self._next()
        while job is not None:
            job.run()
            if self._process is not _lifecycle.this.process:
                # The job has forked, and this is the child: the jobs are the parent's, and
                # another of its threads may have had the lock.
                return
            done, job = job, self._next()
            done.publish()
            # Or this frame would keep the job, and all that it refers to, until the next.
            del done

    def _next(self) -> Job | None:
        with self.lock:
            if self.waiting:
                self.running = job = self.waiting.popleft()
                return job
            self.running = None
            self.is_working = False
            worker = self._take_worker() if self._released else None
        if self._limit is not None:
            set_counted_by(None)
        self._give_back(worker)
        return None

    def _take_worker(self) -> Worker | None:
        worker, self.worker = self.worker, None
        return worker

    def _give_back(self, worker: Worker | None) -> None:
        # Without the lock: another lane may be admitted, which has a lock of its own.
        if worker is not None:
            worker.release()
            self._leave_limit()

    def _leave_limit(self) -> None:
        if self._limit is not None:
            self._limit.leave()


def _nothing() -> None:
    """The last job before a shutdown."""
