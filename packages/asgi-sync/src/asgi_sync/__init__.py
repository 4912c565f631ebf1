"""Calls between synchronous and asynchronous Python, with thread affinity."""

import importlib
from typing import TYPE_CHECKING, Any

from asgi_sync.__about__ import __version__
from asgi_sync._async_to_sync import AsyncToSync, async_to_sync
from asgi_sync._callables import iscoroutinefunction, markcoroutinefunction
from asgi_sync._cancellation import check_cancelled, was_cancelled
from asgi_sync._lineage import (
    Lineage,
    LoopUse,
    current_lineage,
    current_loop_use,
    ensure_lineage,
)
from asgi_sync._sync_to_async import SyncToAsync, sync_to_async
from asgi_sync._thread_contexts import ThreadSensitiveContext
from asgi_sync.current_thread_executor import CurrentThreadExecutor

if TYPE_CHECKING:
    from asgi_sync._placement import Placement, where_would_run
    from asgi_sync._settings import ThreadLimits, get_thread_limits, set_thread_limits
    from asgi_sync._single_thread_context import AsyncSingleThreadContext

__all__ = [
    "AsyncSingleThreadContext",
    "AsyncToSync",
    "CurrentThreadExecutor",
    "Lineage",
    "LoopUse",
    "Placement",
    "SyncToAsync",
    "ThreadLimits",
    "ThreadSensitiveContext",
    "__version__",
    "async_to_sync",
    "check_cancelled",
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


# Few programs ever need these, and importing takes time.
_LATER = {
    "AsyncSingleThreadContext": "_single_thread_context",
    "Placement": "_placement",
    "ThreadLimits": "_settings",
    "get_thread_limits": "_settings",
    "set_thread_limits": "_settings",
    "where_would_run": "_placement",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
