"""What is a coroutine function, and what each wrapper accepts."""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

_F = TypeVar("_F", bound=Callable[..., Any])

# What marks a callable as a coroutine function: the attribute of inspect (3.12 and
# newer), and that of asyncio, which is all that 3.11 knows.
_MARKERS = ("_is_coroutine_marker", "_is_coroutine")


def iscoroutinefunction(func: Any) -> bool:
    """Whether calling `func` is known to return a coroutine.

    True for `async def` functions and methods, for `functools.partial` objects of them
    and for what `markcoroutinefunction` was applied to. An instance whose `__call__` is
    `async def` counts only when marked, as with `inspect.iscoroutinefunction`.

    May be called from any thread.

    Args:
        func: Any object.

    Source: https://docs.python.org/3/library/inspect.html#inspect.iscoroutinefunction
    """
    while isinstance(func, functools.partial):
        func = func.func
    if sys.version_info >= (3, 12):
        return inspect.iscoroutinefunction(func)
    return asyncio.iscoroutinefunction(func)


def markcoroutinefunction(func: _F) -> _F:
    """Mark a callable that returns an awaitable as a coroutine function, and return it.

    `iscoroutinefunction` here and in the standard library answer True for it afterwards.

    May be called from any thread.

    Args:
        func: A function that is not `async def`, or an instance.

    Returns:
        The same object.

    Raises:
        AttributeError: It takes no attributes.

    Source: https://docs.python.org/3/library/inspect.html#inspect.markcoroutinefunction
    """
    if sys.version_info >= (3, 12):
        return inspect.markcoroutinefunction(func)
    # Python 3.11 has no public marker; this is the one its own predicate looks for.
    marked: Any = func
    marked._is_coroutine = getattr(asyncio.coroutines, "_is_coroutine", None)
    return func


def drop_coroutine_marker(wrapper: Any) -> None:
    """Undo what `functools.update_wrapper` copied from a marked coroutine function."""
    for marker in _MARKERS:
        wrapper.__dict__.pop(marker, None)


def is_async_callable(func: Any) -> bool:
    """Like `iscoroutinefunction`, and true for instances with an async `__call__` too."""
    while isinstance(func, functools.partial):
        func = func.func
    return iscoroutinefunction(func) or iscoroutinefunction(getattr(func, "__call__", None))


def require_sync_callable(func: Any) -> None:
    """Raise TypeError unless `func` is a callable that `sync_to_async` may wrap."""
    if not callable(func) or is_async_callable(func):
        raise TypeError("sync_to_async can only be applied to sync functions.")


def require_executor(executor: Any) -> None:
    """Raise TypeError unless calls can be submitted to `executor`."""
    if not callable(getattr(executor, "submit", None)):
        raise TypeError(f"executor must be a concurrent.futures.Executor, not {executor!r}")


def warn_if_not_async(func: Any) -> None:
    """Warn that `async_to_sync` was given what may not return an awaitable.

    A warning only: a plain function that returns an awaitable works. It names the line
    outside of this package that has passed the callable.
    """
    if is_async_callable(func):
        return
    frame, stacklevel = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__package__") == __package__:
        frame, stacklevel = frame.f_back, stacklevel + 1
    warnings.warn(
        "async_to_sync was passed a non-async-marked callable",
        UserWarning,
        stacklevel=stacklevel,
    )


def describe(func: Any) -> str:
    """The name of a callable for error messages."""
    while isinstance(func, functools.partial):
        func = func.func
    return getattr(func, "__qualname__", None) or repr(func)
