"""Calls of the hooks that are told of what happened to applications."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from asgi_server._tasks import TaskSet, call_async

__all__ = ["Reports"]

Result = TypeVar("Result")

logger = logging.getLogger("asgi_server")


class Reports:
    """The hook calls in flight, and whoever wants to know that one of them raised.

    Applications end at any time, also when no server coroutine is there to await the hook, so
    each call of an async hook is a task of its own. The error of a hook that raises goes to one
    place: whoever listens, or, with nobody there, the event loop's exception handler.

    Not thread-safe: every method is called on the event loop that runs the applications.

    Attributes:
        calls: The tasks of async hooks.
        are_over: Whether async hooks are called no more.
    """

    def __init__(self) -> None:
        self.calls = TaskSet()
        self.are_over = False
        self._listener: asyncio.Future[None] | None = None

    def start(self, hook: Callable[..., Awaitable[None]], *arguments: Any) -> None:
        """Call an async hook in a task."""
        if self.are_over:
            logger.error("%s() is not called: the server has ended meanwhile", _name_of(hook))
            return
        call = call_async(hook, *arguments)
        self.calls.start(call, name=_name_of(hook)).add_done_callback(self._ended)

    def call(self, hook: Callable[..., Result], *arguments: Any) -> Result | None:
        """Call a hook that is not async, and return its result; None if it raised."""
        try:
            return hook(*arguments)
        except Exception as error:
            # Whoever put a message, or ended an instance, is not to be interrupted halfway.
            self._fail(error, _name_of(hook))
            return None

    def listen(self) -> asyncio.Future[None]:
        """Return a future that gets the error of the next hook call that raises.

        Cancel it to leave later errors to others.
        """
        listener: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._listener = listener
        return listener

    def _ended(self, task: asyncio.Task[Any]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._fail(error, task.get_name())

    def _fail(self, error: BaseException, name: str) -> None:
        if isinstance(error, StopIteration):
            # Futures refuse it, as what awaits them would take it for a result.
            wrapped = RuntimeError(f"{name}() raised StopIteration")
            wrapped.__cause__ = error
            error = wrapped
        listener, self._listener = self._listener, None
        if listener is not None and not listener.done():
            listener.set_exception(error)
            return
        context = {"message": f"{name}() raised", "exception": error}
        asyncio.get_running_loop().call_exception_handler(context)


def _name_of(hook: Callable[..., object]) -> str:
    name: str = getattr(hook, "__name__", "a hook")
    return name
