"""What public code takes from asgiref's wrappers and new code has no use for.

Nothing here is needed by the bridge itself; frameworks' test suites, pools and agents
read these attributes, and go on working. What the bridge finds out by itself cannot be set.
"""

from __future__ import annotations

import asyncio
import os
import warnings
import weakref
from asyncio import AbstractEventLoop
from concurrent.futures import Executor
from typing import Any

from asgi_sync._frames import (
    BlockedCall,
    SensitiveScope,
    SyncCall,
    chain,
    innermost,
    record_here,
    this_thread,
)
from asgi_sync._thread_contexts import executor_in_force
from asgi_sync.current_thread_executor import CurrentThreadExecutor


class ParentLoop:
    """`SyncToAsync.threadlocal`: the event loop of the call this thread is inside of."""

    @property
    def main_event_loop(self) -> AbstractEventLoop:
        """That loop; AttributeError where there is none."""
        record = this_thread.record
        if not isinstance(record, SyncCall) or not record.is_open or record.loop is None:
            raise AttributeError("main_event_loop")
        return record.loop

    @property
    def main_event_loop_pid(self) -> int:
        """The process that loop is in, which is this one."""
        _ = self.main_event_loop
        return os.getpid()


class BlockedThreads:
    """`AsyncToSync.executors`: the executor of the blocked thread above this code."""

    @property
    def current(self) -> CurrentThreadExecutor:
        """That executor; AttributeError where no thread above is blocked.

        Or where a context with an executor of its own is nearer, whose calls run there.
        """
        # A thread that runs its event loop itself is inside of no more than the blocked call.
        here = innermost.get() if asyncio._get_running_loop() is not None else None
        for record in chain(here or record_here()):
            if isinstance(record, BlockedCall) and record.is_open:
                return record.executor
            if isinstance(record, SensitiveScope) and record.is_open:
                break
        raise AttributeError("current")


class ContextExecutors(weakref.WeakKeyDictionary[Any, Executor]):
    """`SyncToAsync.context_to_thread_executor`: the executors of contexts.

    It holds those of contexts that were set by hand in `SyncToAsync.thread_sensitive_context`, and
    finds those of contexts that are entered.
    """

    def __getitem__(self, context: Any) -> Executor:
        executor: Executor | None = self.get(context)
        if executor is None:
            raise KeyError(context)
        return executor

    def __contains__(self, context: object) -> bool:
        return super().__contains__(context) or executor_in_force(context) is not None

    def get(self, context: Any, default: Any = None) -> Any:
        """The executor of a context, or `default`."""
        executor = super().get(context)
        if executor is None:
            executor = executor_in_force(context)
        return default if executor is None else executor


def positional_thread_sensitive(arguments: tuple[object, ...]) -> bool:
    """`thread_sensitive`, as `sync_to_async` was given it without its name.

    Raises TypeError unless that is all that was given, and a bool: an argument that is meant for
    the function must not choose its thread.
    """
    (first, *others) = arguments
    if others or not isinstance(first, bool):
        raise TypeError(
            "sync_to_async() takes the function alone without a name, but was also given"
            f" {', '.join(map(repr, arguments))}: the function's arguments are for what it returns"
        )
    warnings.warn(
        f"sync_to_async(func, {first}) is deprecated: write thread_sensitive={first}",
        DeprecationWarning,
        stacklevel=3,
    )
    return first
