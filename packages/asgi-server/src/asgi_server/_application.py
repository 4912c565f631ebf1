"""One call of an ASGI application as one coroutine, whatever kind of awaitable it returns."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from asgi_server._counters import Tally

__all__ = ["Send", "run_application", "run_application_later"]


async def run_application(
    application: Callable[..., Awaitable[Any]], scope: Any, receive: Any, send: Any
) -> Any:
    """Call a single-callable `application` and await what it returns.

    A task needs a coroutine, and an application may return any awaitable. It also keeps the
    call inside the task: an application that raises when it is called fails like any other,
    and one whose task is cancelled before it starts is never called, so that no coroutine of
    its is left un-awaited.
    """
    return await application(scope, receive, send)


async def run_application_later(
    application: Callable[..., Awaitable[Any]], scope: Any, receive: Any, send: Any
) -> Any:
    """Do as `run_application` does, one iteration of the event loop later.

    For loops with a task factory of their own, which may run a task while it is made
    (`asyncio.eager_task_factory`): an application would run before the server knows of it.
    """
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
