"""One call of an ASGI application as one coroutine, whatever kind of awaitable it returns."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

__all__ = ["run_application"]


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
