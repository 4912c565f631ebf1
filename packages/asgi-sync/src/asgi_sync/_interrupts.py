"""Ctrl-C in a thread that waits in `async_to_sync` (rule R10).

Python turns SIGINT into a KeyboardInterrupt at whatever instruction the main thread has
come to. In code that hands work between threads that may be the one at which a lock has
been taken and nobody yet sees to its release, or an item is in no queue any more, and
then another thread waits for ever. No `try` can help that.

So while the main thread waits for async code, SIGINT goes to a handler of our own, as
`asyncio.Runner` does: in the waiting code it makes a note and cancels the async code, and
the wait raises KeyboardInterrupt once that has cleaned up. Only where a call is being
served, so in somebody else's code, it raises as usual; there the outcome of the call
takes it to the async code that waits for it.

A handler that the program has installed itself is left alone.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from asgi_sync._frames import BlockedCall, this_thread


@contextmanager
def interrupts_cancel() -> Iterator[None]:
    """While this thread is in a call, have Ctrl-C cancel it, if it may."""
    if not _is_ours_to_handle():
        yield
        return
    signal.signal(signal.SIGINT, _cancel_or_interrupt)
    try:
        yield
    finally:
        handler = signal.signal(signal.SIGINT, signal.default_int_handler)
        if handler is not _cancel_or_interrupt:
            # The program has installed another meanwhile, in a call that was served.
            signal.signal(signal.SIGINT, handler)


def _is_ours_to_handle() -> bool:
    return (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )


def _cancel_or_interrupt(signum: int, frame: FrameType | None) -> None:
    record = this_thread.record
    if not isinstance(record, BlockedCall) or record.executor.in_call:
        signal.default_int_handler(signum, frame)
    record.interrupts += 1
    if record.interrupts == 1:
        record.cancel_handle.cancel()
    elif record.runs_loop:
        # Out of the event loop, as with `asyncio.Runner`.
        signal.default_int_handler(signum, frame)
    else:
        record.executor.wake()
