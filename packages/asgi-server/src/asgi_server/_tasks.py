"""Tasks that must all have ended before their owner does."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

__all__ = ["TaskSet"]


class TaskSet:
    """Running tasks, each held until it has ended.

    An event loop refers to its tasks weakly, so something has to hold them
    (https://docs.python.org/3/library/asyncio-task.html#asyncio.create_task). Unlike
    `asyncio.TaskGroup`, a task here may fail without ending the others, and tasks can be
    started before anybody waits for them. What they raise is for the callers' done-callbacks.

    Not thread-safe: every method is called on the event loop that runs the tasks.
    """

    def __init__(self) -> None:
        # Whether `cancel` was called for the task. `Task.cancelling()` does not tell: code that
        # catches a cancellation of its own and forgets `uncancel()` leaves it above zero.
        self._running: dict[asyncio.Task[Any], bool] = {}

    def start(self, coroutine: Coroutine[Any, Any, Any], *, name: str) -> asyncio.Task[Any]:
        """Run `coroutine` as a task of the running event loop, and return the task.

        Raises:
            RuntimeError: No event loop is running in this thread. The coroutine is closed.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            coroutine.close()
            raise
        task = loop.create_task(coroutine, name=name)
        self._running[task] = False
        task.add_done_callback(self._running.pop)
        return task

    def cancel(self, task: asyncio.Task[Any]) -> None:
        """Cancel `task`, one of those that were started here. One that has ended stays so."""
        if task in self._running:
            self._running[task] = True
        task.cancel()

    async def wait_ended(self, *, cancel: bool = False) -> None:
        """Wait until no task is running, those started meanwhile included.

        Args:
            cancel: Cancel each task that was not cancelled before: a second time would
                interrupt its clean-up.

        Raises:
            asyncio.CancelledError: The waiting task was cancelled. The running tasks are then
                cancelled, even again, and the error is raised once they have ended: like
                `asyncio.TaskGroup`, this never leaves a task behind.
        """
        cancellation: asyncio.CancelledError | None = None
        while self._running:
            for task, was_cancelled in self._running.items():
                if (cancel and not was_cancelled) or cancellation is not None:
                    self.cancel(task)
            try:
                # Also when all are done: their done-callbacks run before this returns.
                await asyncio.wait(self._running)
            except asyncio.CancelledError as error:
                cancellation = error
        if cancellation is not None:
            try:
                raise cancellation
            finally:
                del cancellation  # a frame that refers to its own error is a reference cycle
