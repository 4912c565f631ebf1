"""What the executors of the bridge run.

An executor of the standard library makes a `concurrent.futures.Future` for each call. Its
locks and conditions cost more than all else that a crossing does, and the bridge, which
has an event loop to tell, needs none of them. So its own executors take *jobs*, with
`put`; `submit`, for all others, wraps a call and its future into one.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, ParamSpec, Protocol, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")


class Job(Protocol):
    """Something to be done in a thread, once. No method raises.

    Either run, and then published, or dropped; what is called after that, or after a cancel,
    has no effect. In between the executor notes that its thread is free: whoever is told of
    the end may need it at once.
    """

    def run(self) -> None:
        """Do it, in the thread that was chosen for it."""

    def publish(self) -> None:
        """Tell whoever waits for it that it was run."""

    def drop(self, because: BaseException | None = None) -> None:
        """It will not be done: tell whoever waits for it. Any thread."""


class WorkItem:
    """A job that is a call, and the future that gets its outcome."""

    __slots__ = ("_args", "_error", "_func", "_has_run", "_kwargs", "_result", "future")

    def __init__(
        self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self.future: Future[Any] = Future()
        self._func = func
        self._args = args
        self._kwargs = kwargs
        self._has_run = False
        self._result: Any = None
        self._error: BaseException | None = None

    def run(self) -> None:
        """Run the call in this thread, unless it was cancelled before."""
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            self._result = self._func(*self._args, **self._kwargs)
        except BaseException as error:  # SystemExit and KeyboardInterrupt belong to the caller
            self._error = error
        self._has_run = True
        # The error's traceback holds this frame: without this, a reference cycle.
        del self

    def publish(self) -> None:
        """Give the future its outcome."""
        error, self._error = self._error, None
        if error is not None:
            self.future.set_exception(error)
        elif self._has_run:
            self.future.set_result(self._result)
        # The future holds the error, and may be held by what its traceback refers to.
        del self, error

    def drop(self, because: BaseException | None = None) -> None:
        """Have whoever waits for the future find it failed, or cancelled."""
        if because is None:
            self.future.cancel()
        elif self.future.set_running_or_notify_cancel():
            self.future.set_exception(because)


class JobExecutor(Executor):
    """An executor that runs jobs."""

    def put(self, job: Job) -> Job | None:
        """Have `job` run, after those before it; RuntimeError if none is accepted any more.

        Returns the job that keeps its thread busy just now, if that is known.
        """
        raise NotImplementedError

    def submit(self, fn: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_R]:
        """Have `fn(*args, **kwargs)` called, as `concurrent.futures.Executor.submit`."""
        item = WorkItem(fn, args, kwargs)
        self.put(item)
        return item.future


def remove_from(waiting: deque[Job], job: Job) -> bool:
    """Take a job out of a queue, under the lock of that; false if it is not there."""
    try:
        waiting.remove(job)
    except ValueError:
        return False
    return True


def put_into(executor: Executor, job: Job) -> None:
    """Have `executor`, of whatever kind, run a job; raises what it does."""
    if isinstance(executor, JobExecutor):
        executor.put(job)
    else:
        submit_job(executor, job)


def submit_job(executor: Executor, job: Job) -> Future[None]:
    """Have an executor that is not one of the bridge's run a job; raises what it does.

    Cancelling the future is no duty: a job that has been cancelled does nothing when it is
    run.
    """
    future = executor.submit(_run_and_publish, job)
    # Should that executor drop it, whoever waits for the job must know.
    future.add_done_callback(functools.partial(_drop_if_not_run, job))
    return future


def _run_and_publish(job: Job) -> None:
    job.run()
    job.publish()


def _drop_if_not_run(job: Job, future: Future[None]) -> None:
    # A job that was run never fails, and takes no notice of being dropped.
    if future.cancelled():
        job.drop()
    elif (error := future.exception()) is not None:
        job.drop(error)
