"""Tasks that are held until they have ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

__all__ = ["TaskSet", "call_async"]


Result = TypeVar("Result")


async def call_async(function: Callable[..., Awaitable[Result]], *arguments: Any) -> Result:
    """Call `function` and await what it returns.

    What a subclass overrides may return any awaitable, while a task needs a coroutine; and what
    it raises when it is called is raised in the task, too.
    """
    return await function(*arguments)


class TaskSet:
    """Running tasks, each held until it has ended.

    An event loop refers to its tasks weakly, so something has to hold them
    (https://docs.python.org/3/library/asyncio-task.html#asyncio.create_task). Unlike
    `asyncio.TaskGroup`, a task here may fail without ending the others, and tasks can be
    started before anybody waits for them. What they raise is for the callers' done-callbacks.

    Not thread-safe: every method is called on the event loop that runs the tasks.
    """

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

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
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    @property
    def running(self) -> frozenset[asyncio.Task[Any]]:
        """The tasks whose done-callbacks have not run, at this moment."""
        return frozenset(self._running)

    def cancel(self) -> None:
        """Cancel every task."""
        for task in self._running:
            task.cancel()
