"""A thread that waits for async code, and serves it meanwhile (rule R4)."""

from __future__ import annotations

import contextlib

from asgi_sync._completions import Ending, IdleWatch
from asgi_sync._frames import (
    BlockedCall,
    FindExecutor,
    SyncCall,
    executor_here,
    record_here,
    this_thread,
)
from asgi_sync._interrupts import have_interrupts_cancel, have_interrupts_raise
from asgi_sync._thread_limits import CountsThreads, call_in_place, lend_place


class LoopStoppedError(RuntimeError):
    """The event loop that a thread waits for is not running any more."""


class NeverBegunError(LoopStoppedError):
    """And nothing that the thread waits for has begun there, or ever will."""


class ThreadIsBlocked:
    """This thread is inside of an `async_to_sync` call, as long as it holds.

    The outermost one on a thread that serves nobody yet makes the executor for it, and
    closes it at the end; a call left in it goes where `find_executor` says.

    Raises KeyboardInterrupt at the end if Ctrl-C was pressed meanwhile.
    """

    __slots__ = ("_above", "_has_sigint", "_in_call", "_lent_by", "_serving", "record")

    def __init__(self, name: str, find_executor: FindExecutor) -> None:
        self._above = above = this_thread.record
        self._serving = serving = None if above is None else executor_here()
        caller = above if isinstance(above, SyncCall) and above.is_open else None
        self.record = BlockedCall(record_here(), name, caller, serving, find_executor)
        self._in_call = serving is not None and serving.in_call
        self._has_sigint = False
        self._lent_by: CountsThreads | None = None

    def __enter__(self) -> BlockedCall:
        record = self.record
        try:
            this_thread.record = record
            self._has_sigint = have_interrupts_cancel()
            if self._serving is not None:
                self._serving.in_call = False
            if record.caller is not None:
                record.caller.waits_in = record
            self._lent_by = lend_place()
        except BaseException:
            # From a signal handler: what was entered must be left.
            self.__exit__()
            raise
        return record

    def __exit__(self, *_: object) -> None:
        record = self.record
        try:
            if record.caller is not None:
                record.caller.waits_in = None
            if self._serving is not None:
                self._serving.in_call = self._in_call
            if self._lent_by is not None and record.is_here:
                call_in_place(self._lent_by)
            record.end(serving=self._serving)
        finally:
            this_thread.record = self._above
            if self._has_sigint:
                # Last: until here no Ctrl-C raises in the midst of it.
                have_interrupts_raise()
        if record.interrupts:
            # Only now is Ctrl-C somebody else's to note.
            raise KeyboardInterrupt


def wait_until_ended(record: BlockedCall, ending: Ending, watch: IdleWatch | None = None) -> None:
    """Serve others in this thread until `ending`, which another thread brings about.

    Ctrl-C has cancelled the async code, which is waited for; a second one ends the wait,
    and `ThreadIsBlocked` raises KeyboardInterrupt (rule R10). Any other exception that a
    signal handler raises here cancels, waits, and propagates.
    """
    executor = record.executor
    try:
        ending.add_done_callback(executor.wake)
        executor.serve_until(lambda: ending.done() or record.interrupts > 1, watch)
    except BaseException as error:
        if isinstance(error, LoopStoppedError) or not record.is_open:
            # Nothing more comes from that loop, or this is a forked child without it.
            raise
        record.cancel_handle.cancel()
        with contextlib.suppress(NeverBegunError):
            executor.serve_until(ending.done, watch)
        raise
    if not ending.done():
        raise KeyboardInterrupt
