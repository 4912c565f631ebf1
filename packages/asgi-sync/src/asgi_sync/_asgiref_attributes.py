"""Class attributes of asgiref's wrappers that public code reads or sets.

Nothing here is needed by the bridge itself; frameworks' test suites, pools and agents
read these, and go on working. They cannot be set: the bridge finds out by itself what they
say. New code has no use for them.
"""

from __future__ import annotations

import os
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
