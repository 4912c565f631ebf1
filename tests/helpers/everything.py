"""What must work anywhere, at any time: every kind of crossing."""

from __future__ import annotations

import asyncio
import threading

from asgi_sync import AsyncSingleThreadContext, ThreadSensitiveContext, async_to_sync, sync_to_async


def nothing() -> None:
    """Do nothing, in a thread."""


def use_everything() -> None:
    """Cross the bridge in both directions, outermost layer sync and async."""
    threads = [async_to_sync(in_all_kinds_of_threads)(), asyncio.run(in_all_kinds_of_threads())]
    with AsyncSingleThreadContext():
        threads.append(async_to_sync(in_all_kinds_of_threads)())
    here = threading.get_ident()
    assert [here in seen for seen in threads] == [True, False, True], threads


async def in_all_kinds_of_threads() -> set[int]:
    async with ThreadSensitiveContext():
        nested = sync_to_async(async_to_sync(sync_to_async(threading.get_ident)))
        seen = {await nested()}
    seen.add(await sync_to_async(threading.get_ident)())
    await sync_to_async(nothing, thread_sensitive=False)()
    return seen
