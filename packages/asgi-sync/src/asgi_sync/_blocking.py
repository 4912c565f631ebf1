"""A thread that waits for async code, and serves it meanwhile (rule R4)."""

from __future__ import annotations

import functools
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import TypeAlias

from asgi_sync._executors import thread_is_blocked
from asgi_sync._frames import BlockedCall, Ending, Record, SyncCall, innermost, this_thread
from asgi_sync._interrupts import interrupts_cancel
from asgi_sync.current_thread_executor import CurrentThreadExecutor

FindExecutor: TypeAlias = Callable[[Record | None, AbstractEventLoop | None, str], Executor]


class LoopStoppedError(RuntimeError):
    """The event loop that a thread waits for is not running any more."""


def record_here() -> Record | None:
    """The innermost record above the code that calls.

    What the thread is inside of counts, whatever the context; a thread that is inside of
    no call may still have been given the context of one.
    """
    record = this_thread.record
    if record is not None and record.is_open:
        return record
    return innermost.get()


@contextmanager
def blocked_call(name: str, find_executor: FindExecutor) -> Iterator[BlockedCall]:
    """The record of an `async_to_sync` call, with this thread inside of it.

    The outermost one on a thread that serves nobody yet makes the executor for it, and
    closes it at the end; a call left in it goes where `find_executor` says.

    Raises KeyboardInterrupt at the end if Ctrl-C was pressed meanwhile.
    """
    above, serving = this_thread.record, this_thread.executor
    caller = above if isinstance(above, SyncCall) and above.is_open else None
    executor = CurrentThreadExecutor() if serving is None else serving
    record = BlockedCall(record_here(), name, executor, caller)
    in_call = executor.in_call
    try:
        this_thread.record, this_thread.executor = record, executor
        executor.in_call = False
        if caller is not None:
            caller.waits_in = record
        with interrupts_cancel(), thread_is_blocked():
            yield record
    finally:
        if caller is not None:
            caller.waits_in = None
        this_thread.record, this_thread.executor = above, serving
        executor.in_call = in_call
        record.close()
        # If it has never begun, or this thread has stopped waiting for it, a task that is
        # cancelled must not wait for its end either.
        record.ended.set()
        if serving is None:
            executor.close(functools.partial(find_executor, record.parent, None, name))
        if record.interrupts:
            # Only now is Ctrl-C somebody else's to note.
            raise KeyboardInterrupt


def wait_until_ended(
    record: BlockedCall, ending: Ending, while_idle: Callable[[], None] | None = None
) -> None:
    """Serve others in this thread until `ending`, which another thread brings about.

    Ctrl-C has cancelled the async code, which is waited for; a second one ends the wait,
    and `blocked_call` raises KeyboardInterrupt (rule R10). Any other exception that a
    signal handler raises here cancels, waits, and propagates.
    """
    executor = record.executor
    ending.add_done_callback(executor.wake)
    try:
        executor.serve_until(lambda: ending.done() or record.interrupts > 1, while_idle)
    except BaseException as error:
        if isinstance(error, LoopStoppedError) or not record.is_open:
            # Nothing more comes from that loop, or this is a forked child without it.
            raise
        record.cancel_handle.cancel()
        executor.serve_until(ending.done, while_idle)
        raise
    if not ending.done():
        raise KeyboardInterrupt


class LoopWatch:
    """Raises LoopStoppedError when an event loop is found standing still.

    Twice in a row: between two `run_until_complete` calls a loop stands still, too.
    """

    def __init__(self, loop: AbstractEventLoop, record: BlockedCall) -> None:
        self._loop = loop
        self._record = record
        self._times_stopped = 0

    def __call__(self) -> None:
        self._times_stopped = 0 if self._loop.is_running() else self._times_stopped + 1
        if self._times_stopped < 2:
            return
        caller = self._record.caller
        raise LoopStoppedError(
            f"async_to_sync({self._record.name}), called by"
            f" {'sync code' if caller is None else caller.name}, waits for {self._loop!r}, which"
            f" {'closed' if self._loop.is_closed() else 'stopped'} before it was done."
            " Keep the event loop running until its sync_to_async calls have ended."
        )
