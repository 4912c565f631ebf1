"""What was asked of an adapter, checked, and the threads that come of it."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import ContextVar
from typing import IO, Any, TypeAlias

from asgi_sync import sync_to_async
from asgi_wsgi._link import Link
from asgi_wsgi._pool import ThreadPool, free_this_thread

# Enough for a service that waits for its database and its clients for the most of its time; the
# least for a machine of few processors. A guess, between those of other servers (4 to 40).
MAX_WORKERS = min(32, (os.cpu_count() or 1) + 12)

# As much as asyncio's transports buffer before they ask their reader or writer to wait.
WINDOW = 64 * 1024

_Work: TypeAlias = Callable[[IO[bytes]], None]
_Call: TypeAlias = Callable[[_Work, IO[bytes]], Awaitable[None]]

# The requests that the present code runs below, each with the pool that it has a thread of.
_outer: ContextVar[tuple[tuple[ThreadPool, Link], ...]] = ContextVar("asgi_wsgi.outer", default=())


class Settings:
    """The settings of one adapter, and its threads.

    The parameters are those of `WsgiToAsgi`, which raises what this does.
    """

    def __init__(
        self,
        *,
        max_workers: int | None = None,
        thread_sensitive: bool = False,
        request_window: int = WINDOW,
        response_window: int = WINDOW,
        keep_underscore_headers: bool = False,
    ) -> None:
        if thread_sensitive and max_workers is not None:
            raise ValueError(
                "max_workers cannot be given with thread_sensitive=True, which has one thread"
            )
        if max_workers is None:
            max_workers = MAX_WORKERS
        self.thread_sensitive = thread_sensitive
        self.request_window = _checked("request_window", request_window, 1)
        self.response_window = _checked("response_window", response_window, 1)
        self.keep_underscore_headers = keep_underscore_headers
        self.pool = ThreadPool(_checked("max_workers", max_workers, 1))
        self._call, self._call_nested = self._calls()

    async def run(self, link: Link, work: _Work, body: IO[bytes]) -> None:
        """Await `work(body)` on the thread of one request."""
        # Those that have ended may have left tasks behind: nobody waits for what they do.
        outer = tuple(held for held in _outer.get() if held[1].is_running)
        is_nested = any(pool is self.pool for pool, _ in outer)
        call = self._call_nested if is_nested else self._call
        token = _outer.set((*outer, (self.pool, link)))
        try:
            await call(work, body)
        finally:
            # A coroutine that is closed by the garbage collector is in whatever context.
            with suppress(ValueError):
                _outer.reset(token)

    def _calls(self) -> tuple[_Call, _Call]:
        if self.thread_sensitive:
            call = sync_to_async(_run_there, thread_sensitive=True)
            # A thread that waits for async code serves what that code calls.
            return call, call
        pool = self.pool
        return (
            sync_to_async(_run_on_pool, thread_sensitive=False, executor=pool),
            sync_to_async(_run_on_pool, thread_sensitive=False, executor=pool.nested),
        )


def checked_limit(value: int | None) -> int | None:
    """Return a `duplicate_header_limit` that can be one; raises TypeError or ValueError."""
    return None if value is None else _checked("duplicate_header_limit", value, 0)


def _run_there(work: _Work, body: IO[bytes]) -> None:
    work(body)


def _run_on_pool(work: _Work, body: IO[bytes]) -> None:
    try:
        work(body)
    finally:
        free_this_thread()


def _checked(name: str, value: Any, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an int, not {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, not {value}")
    return value
