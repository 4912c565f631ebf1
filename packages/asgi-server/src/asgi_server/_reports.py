"""Calls of the hook that is told of failed applications."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, NoReturn

from asgi_server._tasks import TaskSet

__all__ = ["Reports"]


class Reports:
    """The hook calls in flight, and whoever wants to know that one of them raised.

    Applications fail at any time, also when no server coroutine is there to await the hook, so
    each call is a task of its own. The error of a hook that raises goes to one place: the
    coroutine in `wait_failed`, or, with none there, the event loop's exception handler.

    Not thread-safe: every method is called on the event loop that runs the applications.
    """

    def __init__(self) -> None:
        self._tasks = TaskSet()
        self._waiters: list[asyncio.Future[NoReturn]] = []

    def start(self, hook_call: Coroutine[Any, Any, None]) -> None:
        """Run `hook_call` as a task."""
        task = self._tasks.start(hook_call, name="application_exception")
        task.add_done_callback(self._ended)

    async def wait_failed(self) -> NoReturn:
        """Wait until a hook call raises, and raise its error."""
        waiter: asyncio.Future[NoReturn] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        finally:
            self._waiters.remove(waiter)

    async def wait_ended(self) -> None:
        """Wait until no hook call is in flight.

        Raises:
            asyncio.CancelledError: The waiting task was cancelled; so were the calls.
        """
        await self._tasks.wait_ended()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(error)
                return
        context = {"message": "application_exception() raised", "exception": error, "task": task}
        task.get_loop().call_exception_handler(context)
