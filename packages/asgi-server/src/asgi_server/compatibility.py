"""Double-callable (ASGI 2) and single-callable (ASGI 3) applications.

A double-callable is called with the scope and returns what is called with receive and send; a
single-callable is called with all three. Nothing marks an application as either. What is async is
a single-callable, since a double-callable returns without waiting; of the rest, the arguments
that it can take decide, and one that can take both one and three counts as a double-callable.

Source: https://asgi.readthedocs.io/en/latest/specs/main.html ("Applications", "Legacy
Applications").
"""

from __future__ import annotations

import enum
import functools
import inspect
import sys
from collections.abc import Awaitable, Callable
from typing import Any

if sys.version_info >= (3, 12):
    from inspect import iscoroutinefunction
else:
    # Before 3.12, inspect's knows nothing of callables that are marked as coroutine functions.
    from asyncio import iscoroutinefunction

__all__ = [
    "double_to_single_callable",
    "guarantee_single_callable",
    "is_double_callable",
    "iscoroutinefunction",
]


class _Style(enum.Enum):
    SINGLE = enum.auto()
    DOUBLE = enum.auto()
    NEITHER = enum.auto()


def is_double_callable(application: Any) -> bool:
    """Return True if `application` is to be called with the scope alone.

    Async functions, partials of them and instances with an async `__call__` are not; nor is
    what cannot take one argument. Any thread; calls nothing.

    Args:
        application: Any object.
    """
    return _style_of(application) is _Style.DOUBLE


def double_to_single_callable(application: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """Return a single-callable that calls the double-callable `application`.

    Any thread; the result runs where it is awaited, and raises a TypeError there if `application`
    returns no callable, or that no awaitable.

    Args:
        application: A double-callable.

    Raises:
        TypeError: `application` is not a double-callable.
    """
    if not is_double_callable(application):
        raise TypeError(
            f"{application!r} is not a double-callable, which takes a scope and returns an async"
            " callable: use guarantee_single_callable() if it may be either kind"
        )

    async def single_callable(scope: Any, receive: Any, send: Any) -> Any:
        instance = application(scope)
        if not callable(instance):
            raise TypeError(_not_what_is_awaited(application, "called with a scope", instance))
        awaitable = instance(receive, send)
        if not inspect.isawaitable(awaitable):
            raise TypeError(_not_what_is_awaited(instance, "called", awaitable))
        return await awaitable

    return single_callable


def guarantee_single_callable(application: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """Return `application` itself if it is a single-callable, else one that calls it.

    What cannot be called at all is returned as it is, as asgiref does: servers hand over what they
    have imported by name, and tests of servers any value. `StatelessServer`, the communicators and
    the validator refuse it.

    The types say `...` because applications are annotated in several dialects (those of
    `asgi_server.typing`, of Starlette, plain dicts) that type checkers hold apart. Any thread.

    Args:
        application: A single- or a double-callable.

    Raises:
        TypeError: `application` can be called, but neither with a scope nor with a scope, receive
            and send.
    """
    if not callable(application):
        return application
    style = _style_of(application)
    if style is _Style.DOUBLE:
        return double_to_single_callable(application)
    if style is _Style.SINGLE:
        return application
    raise TypeError(f"{application!r} is not an ASGI application: {_advice_on(application)}")


def _style_of(application: Any) -> _Style:
    if not callable(application):
        return _Style.NEITHER
    if _is_async(application):
        return _Style.SINGLE
    if _takes_arguments(application, 1):
        return _Style.DOUBLE
    # Not async itself, but it may well return an awaitable.
    if _takes_arguments(application, 3):
        return _Style.SINGLE
    return _Style.NEITHER


def _is_async(application: Any) -> bool:
    while isinstance(application, functools.partial):
        application = application.func
    if iscoroutinefunction(application):
        return True
    # A class is called to make an instance; how its instances are called comes later.
    return not inspect.isclass(application) and iscoroutinefunction(application.__call__)


def _takes_arguments(application: Any, count: int) -> bool:
    """Return False only if a call with `count` positional arguments is certain to fail."""
    try:
        # What a decorator wraps may take other arguments than the decorator's function does.
        signature = inspect.signature(application, follow_wrapped=False)
    except (TypeError, ValueError):
        return True
    try:
        signature.bind(*[None] * count)
    except TypeError:
        return False
    return True


def _not_what_is_awaited(called: Any, how: str, returned: Any) -> str:
    return (
        f"{called!r} returned {returned!r} when {how}: a double-callable takes a scope and returns"
        " an async callable that takes (receive, send)"
    )


def _advice_on(application: Any) -> str:
    if inspect.isclass(application):
        return "pass an instance of the class, or let its __init__ take the scope"
    return "it must take (scope, receive, send), or (scope) and return an async callable"
