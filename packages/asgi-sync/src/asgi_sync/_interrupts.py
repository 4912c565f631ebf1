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
from types import FrameType
from typing import Any

from asgi_sync import _lifecycle
from asgi_sync._frames import BlockedCall, this_thread

try:
    # What `signal.signal` and `signal.getsignal` call, without the conversions to enums
    # and back, which take as long as all else that an `async_to_sync` call does.
    import _signal as _signals  # type: ignore[import-not-found,unused-ignore]
except ImportError:  # another implementation of Python
    _signals: Any = signal  # type: ignore[no-redef]


def have_interrupts_cancel() -> bool:
    """While this thread is in a call, have Ctrl-C cancel it; whether it may, and will."""
    if (
        threading.get_ident() != _lifecycle.this.main_thread
        or _signals.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        return False
    _signals.signal(signal.SIGINT, _cancel_or_interrupt)
    return True


def have_interrupts_raise() -> None:
    """Undo `have_interrupts_cancel`."""
    handler = _signals.signal(signal.SIGINT, signal.default_int_handler)
    if handler is not _cancel_or_interrupt:
        # The program has installed another meanwhile, in a call that was served.
        _signals.signal(signal.SIGINT, handler)


def _cancel_or_interrupt(signum: int, frame: FrameType | None) -> None:
    record = this_thread.record
    if not isinstance(record, BlockedCall) or record.serves_call:
        signal.default_int_handler(signum, frame)
    record.interrupts += 1
    if record.interrupts == 1:
        record.cancel_handle.cancel()
    elif record.runs_loop:
        # Out of the event loop, as with `asyncio.Runner`.
        signal.default_int_handler(signum, frame)
    else:
        record.executor.wake()
