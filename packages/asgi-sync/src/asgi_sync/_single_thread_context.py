"""Blocks of sync code whose `async_to_sync` calls share one event loop."""

from __future__ import annotations

from types import TracebackType

from asgi_sync._async_side import AsyncSide, own_loop_in_force
from asgi_sync._blocking import ThreadIsBlocked, wait_until_ended
from asgi_sync._own_loop import OwnLoop
from asgi_sync._sync_to_async import sensitive_executor

__all__ = ["AsyncSingleThreadContext"]


class AsyncSingleThreadContext:
    """Gives `async_to_sync` calls from plain sync code one event loop, in one thread.

    Without it each such call has a loop of its own, closed when it returns, and whatever
    is bound to that loop is of no use to the next call. Inside of it a client, a pool or a
    task made in one call is there in the next::

        with AsyncSingleThreadContext():
            client = async_to_sync(connect)()
            async_to_sync(client.send)(message)

    The thread is not the caller's. It is taken with the first call; leaving the block
    cancels the tasks that are left, waits until they and the asynchronous generators have
    cleaned up, and closes the loop. Inside another one of its kind it changes nothing;
    calls below `sync_to_async`, which have an event loop, and those with
    `force_new_loop` made below a call that uses this loop, are not affected.

    Entered and left by sync code, in one thread.

    Raises:
        BaseException: On leaving, what closing the loop raises.

    Source: https://docs.python.org/3/library/asyncio-runner.html#asyncio.Runner
    """

    def __init__(self) -> None:
        self._own_loop: OwnLoop | None = None
        self._depth = 0

    def __enter__(self) -> AsyncSingleThreadContext:
        if self._depth == 0 and own_loop_in_force.get() is None:
            self._own_loop = OwnLoop()
            own_loop_in_force.set(self._own_loop)
        self._depth += 1
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._depth -= 1
        if self._depth or self._own_loop is None:
            return
        own_loop, self._own_loop = self._own_loop, None
        # Not with a token: it is refused where a test framework leaves the block in
        # another contextvars context than it entered it in.
        if own_loop_in_force.get() is own_loop:
            own_loop_in_force.set(None)
        if own_loop.has_run:
            _close(own_loop)


async def _nothing() -> None:
    """The last call on a loop that is to close."""


def _close(own_loop: OwnLoop) -> None:
    with ThreadIsBlocked("AsyncSingleThreadContext.__exit__", sensitive_executor) as record:
        side = AsyncSide(record, _nothing(), None)
        if own_loop.run(side, then_close=True):
            wait_until_ended(record, record.ended)
            side.take_result()
        else:
            side.discard()
