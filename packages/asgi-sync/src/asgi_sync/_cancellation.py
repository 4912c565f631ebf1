"""Cancellation across the bridge.

A task that waits in `sync_to_async` was cancelled. What then (rule R7):

1. The function has not started: it never will, and the task ends cancelled.
2. It runs, and is blocked in `async_to_sync`: the async code it waits for is cancelled,
   as if the task had awaited it directly. It may clean up, and each further cancel is
   passed on to it. When it has ended, the task ends cancelled, whatever it returned.
3. It runs, and is busy: no thread can be interrupted, so it is left to finish, and may
   ask whether it was cancelled. What the task does meanwhile is a policy,
   `abandon_on_cancel`: it ends at once, or it waits for the function and ends then.

In 2 and 3 nobody takes what the function returns or raises: a result is dropped, an error
is logged once. `asyncio.shield` is of no use here: it reports errors of what it shields to
the event loop's exception handler once its waiter is gone.
"""

from __future__ import annotations

import asyncio
from typing import Any

from asgi_sync._completions import Waiter, post_when_done
from asgi_sync._frames import SyncCall, cancel_inner, chain, record_here
from asgi_sync._sync_side import SyncSide

__all__ = ["check_cancelled", "was_cancelled"]


async def give_up(side: SyncSide[Any], *, abandon_on_cancel: bool) -> None:
    """Leave a sync function to itself after the task that waits for it was cancelled.

    Returns at once where the function has not begun; otherwise when the async code that it
    is blocked on, if any, has cleaned up; and without `abandon_on_cancel` not before the
    function has ended.
    """
    if not side.cancel():
        side.leave_alone()
        await _until_inner_ended(side.call)
        if not abandon_on_cancel:
            await _until_ended(side)


def give_up_nowait(side: SyncSide[Any]) -> None:
    """The same when the coroutine is being closed, its loop gone: nothing can be awaited."""
    if not side.cancel():
        side.leave_alone()


async def _until_inner_ended(call: SyncCall) -> None:
    inner = cancel_inner(call)
    while inner is not None and not inner.done():
        # If the loop closes meanwhile, this can never go on. An error of the call is
        # reported when its coroutine is closed.
        waiter = Waiter.on(asyncio.get_running_loop())
        post_when_done(inner, waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            cancel_inner(call)


async def _until_ended(side: SyncSide[Any]) -> None:
    while not side.has_ended:
        try:
            await side.wait_again()
        except asyncio.CancelledError:
            cancel_inner(side.call)


def was_cancelled() -> bool:
    """Whether the task that awaits the sync code that calls was cancelled meanwhile.

    For long work that should end early when nobody waits for it any more::

        @sync_to_async
        def export(rows, path):
            for row in rows:
                if was_cancelled():
                    return
                ...

    Called in the thread that a `sync_to_async` call runs in, at any depth; waits for
    nothing. Elsewhere nothing can be cancelled, and it returns False.

    Source: https://docs.python.org/3/library/asyncio-task.html#task-cancellation
    """
    return any(
        isinstance(record, SyncCall) and record.was_cancelled for record in chain(record_here())
    )


def check_cancelled() -> None:
    """Raise `asyncio.CancelledError` if `was_cancelled()`.

    What it ends is what a cancel ends in async code: `finally` blocks run, and nothing is
    logged. Called where `was_cancelled` is; elsewhere it does nothing.

    Raises:
        asyncio.CancelledError: The task that awaits the sync code was cancelled.

    Source: https://docs.python.org/3/library/asyncio-task.html#task-cancellation
    """
    if was_cancelled():
        raise asyncio.CancelledError
