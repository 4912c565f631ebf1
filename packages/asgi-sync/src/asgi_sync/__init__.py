"""Calls between synchronous and asynchronous Python, with thread affinity.

Each name is imported when it is first used, with what it needs, so that a program does not
wait for what it never calls.
"""

import importlib
from typing import TYPE_CHECKING, Any

from asgi_sync.__about__ import __version__

if TYPE_CHECKING:
    from asgi_sync._async_to_sync import AsyncToSync, async_to_sync
    from asgi_sync._callables import iscoroutinefunction, markcoroutinefunction
    from asgi_sync._cancellation import check_cancelled, was_cancelled
    from asgi_sync._lineage import (
        Home,
        Lineage,
        LoopUse,
        current_home,
        current_lineage,
        current_loop_use,
        ensure_lineage,
    )
    from asgi_sync._placement import Placement, where_would_run
    from asgi_sync._settings import ThreadLimits, get_thread_limits, set_thread_limits
    from asgi_sync._single_thread_context import AsyncSingleThreadContext
    from asgi_sync._sync_to_async import SyncToAsync, sync_to_async
    from asgi_sync._thread_contexts import ThreadSensitiveContext
    from asgi_sync.current_thread_executor import CurrentThreadExecutor

__all__ = [
    "AsyncSingleThreadContext",
    "AsyncToSync",
    "CurrentThreadExecutor",
    "Home",
    "Lineage",
    "LoopUse",
    "Placement",
    "SyncToAsync",
    "ThreadLimits",
    "ThreadSensitiveContext",
    "__version__",
    "async_to_sync",
    "check_cancelled",
    "current_home",
    "current_lineage",
    "current_loop_use",
    "ensure_lineage",
    "get_thread_limits",
    "iscoroutinefunction",
    "markcoroutinefunction",
    "set_thread_limits",
    "sync_to_async",
    "was_cancelled",
    "where_would_run",
]

_MODULES = {
    "AsyncSingleThreadContext": "_single_thread_context",
    "AsyncToSync": "_async_to_sync",
    "CurrentThreadExecutor": "current_thread_executor",
    "Home": "_lineage",
    "Lineage": "_lineage",
    "LoopUse": "_lineage",
    "Placement": "_placement",
    "SyncToAsync": "_sync_to_async",
    "ThreadLimits": "_settings",
    "ThreadSensitiveContext": "_thread_contexts",
    "async_to_sync": "_async_to_sync",
    "check_cancelled": "_cancellation",
    "current_home": "_lineage",
    "current_lineage": "_lineage",
    "current_loop_use": "_lineage",
    "ensure_lineage": "_lineage",
    "get_thread_limits": "_settings",
    "iscoroutinefunction": "_callables",
    "markcoroutinefunction": "_callables",
    "set_thread_limits": "_settings",
    "sync_to_async": "_sync_to_async",
    "was_cancelled": "_cancellation",
    "where_would_run": "_placement",
}

# To type checkers a module with such a function would have every name.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
