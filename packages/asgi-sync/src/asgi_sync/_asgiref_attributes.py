"""What public code takes from asgiref's wrappers and new code has no use for.

Nothing here is needed by the bridge itself; frameworks' test suites, pools and agents
read these attributes, and go on working. They cannot be set: the bridge finds out by itself
what they say.
"""

from __future__ import annotations

import os
import warnings
from asyncio import AbstractEventLoop

from asgi_sync._frames import BlockedCall, SyncCall, chain, record_here, this_thread
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
        """That executor; AttributeError where no thread above is blocked."""
        for record in chain(record_here()):
            if isinstance(record, BlockedCall) and record.is_open:
                return record.executor
        raise AttributeError("current")


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
