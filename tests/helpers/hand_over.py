"""Has the event loop of an `async_to_sync` call run by another thread than the caller's."""

from __future__ import annotations

import asyncio
import threading

from asgi_sync import sync_to_async


async def until_the_loop_has_run() -> int:
    """Run a sync function that ends only when its loop has run meanwhile; its thread."""
    loop, has_run = asyncio.get_running_loop(), threading.Event()

    def function() -> int:
        loop.call_soon_threadsafe(has_run.set)
        has_run.wait()
        return threading.get_ident()

    return await sync_to_async(function)()
