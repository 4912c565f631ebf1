"""An ASGI application as one that can be called, and a call of it as one coroutine."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from asgi_server._counters import Tally
from asgi_server.compatibility import guarantee_single_callable

__all__ = ["Send", "required_single_callable", "run_application"]


def required_single_callable(application: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """As `guarantee_single_callable`, for those who are about to call what it returns.

    Raises:
        TypeError: `application` is not an ASGI application.
    """
    if not callable(application):
        raise TypeError(
            f"{application!r} is not an ASGI application: pass an async callable that takes"
            " (scope, receive, send)"
        )
    return guarantee_single_callable(application)


def run_application(
    application: Callable[..., Awaitable[Any]], scope: Any, receive: Any, send: Any
) -> Coroutine[Any, Any, Any]:
    """Return a coroutine that calls a single-callable `application` and awaits what it returns.

    A task needs a coroutine, and an application may return any awaitable. It also keeps the
    call inside the task: an application that raises when it is called fails like any other,
    and one whose task is cancelled before it starts is never called, so that no coroutine of
    its is left un-awaited.

    The application does not run before the next iteration of the running event loop, also where
    a task factory runs tasks while they are made (`asyncio.eager_task_factory`): the server does
    not know of the task then.
    """
    if asyncio.get_running_loop().get_task_factory() is None:
        return _call(application, scope, receive, send)
    return _call_later(application, scope, receive, send)


async def _call(
    application: Callable[..., Awaitable[Any]], scope: Any, receive: Any, send: Any
) -> Any:
    return await application(scope, receive, send)


async def _call_later(
    application: Callable[..., Awaitable[Any]], scope: Any, receive: Any, send: Any
) -> Any:
    await asyncio.sleep(0)
    return await application(scope, receive, send)


class Send:
    """The `send` of one application instance: gives messages to the server, and counts them."""

    __slots__ = ("_application_send", "_scope", "_tally")

    def __init__(
        self, application_send: Callable[[Any, Any], Awaitable[None]], scope: Any, tally: Tally
    ) -> None:
        self._application_send = application_send
        self._scope = scope
        self._tally = tally

    async def __call__(self, message: Any) -> None:
        await self._application_send(self._scope, message)
        self._tally.messages_out += 1
