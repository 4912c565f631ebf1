"""Calls between synchronous and asynchronous Python, with thread affinity."""

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
    from asgi_sync._single_thread_context import AsyncSingleThreadContext

__all__ = [
    "AsyncSingleThreadContext",
    "AsyncToSync",
    "CurrentThreadExecutor",
    "Lineage",
    "LoopUse",
    "SyncToAsync",
    "ThreadSensitiveContext",
    "__version__",
    "async_to_sync",
    "check_cancelled",
    "current_lineage",
    "current_loop_use",
    "ensure_lineage",
    "iscoroutinefunction",
    "markcoroutinefunction",
    "sync_to_async",
    "was_cancelled",
]


def __getattr__(name: str) -> Any:
    # Few programs ever need it, and importing takes time.
    if name == "AsyncSingleThreadContext":
        from asgi_sync._single_thread_context import AsyncSingleThreadContext

        globals()[name] = AsyncSingleThreadContext
        return AsyncSingleThreadContext
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
