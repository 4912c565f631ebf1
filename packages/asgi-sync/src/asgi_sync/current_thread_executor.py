"""A blocked thread that runs calls for others."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, ParamSpec, TypeVar

from asgi_sync import _lifecycle
from asgi_sync._completions import IdleWatch
from asgi_sync._jobs import Job, JobExecutor, put_into, remove_from

__all__ = ["CurrentThreadExecutor"]

# How often a waiting thread looks whether its wait still makes sense. A guess: soon enough
# for somebody who looks at a program that stands still, and next to no work.
IDLE_CHECK_SECONDS = 0.5

_P = ParamSpec("_P")
_R = TypeVar("_R")


class CurrentThreadExecutor(JobExecutor):
    """An executor whose one thread is the thread that made it, while that waits.

    `async_to_sync` waits in one, so that thread-sensitive code below it runs on the
    calling thread. A thread-sensitive function has one for all its `async_to_sync` calls.
    When calls are nested on a thread, each function's executor runs what comes from below
    that function only: an unrelated call in between would run inside of whatever the
    function has open, a transaction or a lock.

    States, changed by the owning thread, under the lock that `submit` takes:

    | from | to     | when                                                              |
    |------|--------|-------------------------------------------------------------------|
    | open | closed | `run_until_future` ends; or, for the bridge, the sync code ends   |

    Calls left over when it closes, and those submitted later, go to the executor that
    takes over; without one, `submit` raises RuntimeError and what was left is cancelled.

    Make it in the thread that is to run the calls.

    Args:
        old_executor: The executor that takes over, if any.

    Source: https://docs.python.org/3/library/concurrent.futures.html#executor-objects
    """

    def __init__(self, old_executor: Executor | None = None) -> None:
        self._old_executor = old_executor
        self._thread = threading.get_ident()
        self._process = _lifecycle.this.process
        # Re-entrant: a signal handler may wait for async code in the midst of anything.
        self._closing = threading.RLock()
        self._closed = False
        # Whether a submitted call is on top of the owning thread's stack, rather than the
        # bridge's own code, which no interrupt may break into. For that thread alone.
        self.in_call: bool = False
        # The job that the owning thread runs just now, if it does.
        self.running: Job | None = None
        # While the owning thread runs an event loop instead of waiting: has another thread
        # run that, so that this one can serve.
        self._hand_over: Callable[[], None] | None = None
        self._jobs: deque[Job] = deque()
        # One for each job, and one for each `wake`.
        self._wake_ups: queue.SimpleQueue[None] = queue.SimpleQueue()

    def submit(self, fn: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_R]:
        """Have `fn(*args, **kwargs)` called in the owning thread. Thread-safe.

        Args:
            fn: The callable.
            *args: For `fn`.
            **kwargs: For `fn`.

        Returns:
            The future of its result.

        Raises:
            RuntimeError: This is the owning thread, which could then never come to run it,
                or the executor has closed and none takes over.
        """
        return super().submit(self._call, fn, args, kwargs)

    def put(self, job: Job) -> Job | None:
        """Have a job of the bridge run, as `submit` does with a call."""
        if threading.get_ident() == self._thread and self._hand_over is None and not self._closed:
            raise RuntimeError("You cannot submit onto CurrentThreadExecutor from its own thread")
        if not self._accept(job):
            raise RuntimeError("CurrentThreadExecutor already quit or is broken")
        try:
            # The first that waits is about to run.
            return self.running or self._jobs[0]
        except IndexError:
            return None

    def waiting_jobs(self) -> list[Job]:
        """The calls that have not begun, oldest first."""
        with self._closing:
            return list(self._jobs)

    def take_back(self, job: Job) -> bool:
        """Take a call that has not begun out of the queue; false if it is not there."""
        with self._closing:
            return remove_from(self._jobs, job)

    def run_until_future(self, future: Future[Any]) -> None:
        """Run submitted calls in this thread until `future` is done, then close.

        Args:
            future: Completed by another thread, or by a submitted call.

        Raises:
            RuntimeError: Another thread has made the executor; or this is a child process
                that was forked by one of the calls.
        """
        future.add_done_callback(self.wake)
        try:
            self.serve_until(future.done)
        finally:
            self.close()

    def serve_all(self) -> None:
        """Run the calls that are there, and those that come meanwhile; as `serve_until`."""
        self.serve_until(lambda: not self._jobs)

    def serve_until(self, enough: Callable[[], bool], watch: IdleWatch | None = None) -> None:
        """Run submitted calls in this thread until `enough()`, and stay open.

        `enough` is asked after each call and after each `wake`. `watch` is called
        whenever nothing has come for its `seconds`, and may raise to end the wait.

        Raises RuntimeError in a thread that does not own the executor, and in a child
        process that was forked by one of the calls: what it waits for never comes there.
        """
        if threading.get_ident() != self._thread:
            raise RuntimeError("CurrentThreadExecutor can only be run by the thread that made it")
        try:
            while not enough():
                if self._jobs:
                    self._run(self._jobs.popleft())
                else:
                    self._wait_for_wake_up(watch)
        finally:
            # Where a signal handler waits inside of another wait it may take the wake-up
            # that was meant for the other.
            self.wake()

    def belong_to(self, thread: int, hand_over: Callable[[], None] | None = None) -> None:
        """Make another thread the owning one, before anybody has seen the executor.

        With `hand_over`, that thread is driving an event loop; see `drive`.
        """
        self._thread = thread
        self._hand_over = hand_over

    @property
    def thread(self) -> int:
        """The ident of the owning thread."""
        return self._thread

    def wake(self, _: object = None) -> None:
        """Have the waiting thread ask whether it is enough. Thread- and signal-safe."""
        self._wake_ups.put(None)

    def _call(self, fn: Callable[..., _R], args: tuple[Any, ...], kwargs: dict[str, Any]) -> _R:
        in_call, self.in_call = self.in_call, True
        try:
            return fn(*args, **kwargs)
        finally:
            self.in_call = in_call
            # An error's traceback holds this frame, and with it what it refers to.
            del fn, args, kwargs

    def _run(self, job: Job) -> None:
        above, self.running = self.running, job
        job.run()
        self.running = above
        self._refuse_forked_child()
        job.publish()

    def _refuse_forked_child(self) -> None:
        if self._process is not _lifecycle.this.process:
            raise RuntimeError(
                "This process was forked while its thread waited in async_to_sync; the call it"
                " waits for goes on in the parent process only."
                " End a forked child with os._exit()."
            )

    def drive(self, run_loop: Callable[[], None], hand_over: Callable[[], None]) -> bool:
        """Have the owning thread run an event loop, instead of serving, until that returns.

        `hand_over` is called when there is a call to serve, by whoever submits it. Returns
        false, and runs nothing, if there is one already.
        """
        with self._closing:
            # Where a signal handler drives a loop, it is inside of another drive.
            outer, self._hand_over = self._hand_over, hand_over
            is_idle = not self._jobs
        try:
            if is_idle:
                run_loop()
        finally:
            with self._closing:
                self._hand_over = outer
        return is_idle

    def end_drive(self) -> None:
        """The owning thread has run an event loop since before this executor was made."""
        with self._closing:
            self._hand_over = None

    def _wait_for_wake_up(self, watch: IdleWatch | None) -> None:
        if watch is None and threading.current_thread() is not threading.main_thread():
            self._wake_ups.get()
            return
        try:
            # The main thread must not wait without end. On Windows no signal interrupts a
            # wait for a lock; elsewhere one that comes in the last moment before the wait,
            # or to another thread, is seen only after it.
            self._wake_ups.get(timeout=IDLE_CHECK_SECONDS if watch is None else watch.seconds)
        except queue.Empty:
            if watch is not None:
                watch()

    def close(self, successor: Callable[[], Executor] | None = None) -> None:
        """Accept no more calls; `successor`, if given, makes what takes over."""
        if self._process is not _lifecycle.this.process:
            # A forked child: the lock may be held by a thread that is not there.
            return
        old_executor = self._old_executor
        if successor is not None and old_executor is None:
            old_executor = _OnFirstUse(successor)
        # Not by way of those that have closed before, or the way from a task that
        # starts its own successor would grow for ever.
        while isinstance(old_executor, CurrentThreadExecutor) and old_executor._closed:
            old_executor = old_executor._old_executor
        self._old_executor = old_executor
        # Nothing else with the lock: a signal handler that waits for async code must not come
        # while others need it to submit that code's calls.
        with self._closing:
            self._closed = True
        while self._jobs and (job := self._take_job()) is not None:
            try:
                if not self._pass_on(job):
                    job.drop()
            except Exception as error:
                # It has shut down, or is broken.
                job.drop(error)

    def _take_job(self) -> Job | None:
        # Not after a look whether there is one: another thread may close it, too.
        try:
            return self._jobs.popleft()
        except IndexError:
            return None

    def _accept(self, job: Job) -> bool:
        with self._closing:
            if not self._closed:
                self._jobs.append(job)
                self._wake_ups.put(None)
                if self._hand_over is not None:
                    self._hand_over()
                return True
        return self._pass_on(job)

    def _pass_on(self, job: Job) -> bool:
        """Give a job to what takes over; false if nothing does."""
        old_executor = self._old_executor
        if old_executor is None:
            return False
        if isinstance(old_executor, CurrentThreadExecutor):
            # Not with `put`, which this very thread may not use if it owns both.
            return old_executor._accept(job)
        put_into(old_executor, job)
        return True


class _OnFirstUse(JobExecutor):
    """An executor that is looked up when the first job comes."""

    def __init__(self, find: Callable[[], Executor]) -> None:
        self._find = find

    def put(self, job: Job) -> Job | None:
        put_into(self._find(), job)
        return None
