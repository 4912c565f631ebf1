"""Code that stays where it is until it is told to go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from queue import SimpleQueue

from asgi_sync import sync_to_async

# A timer that is scheduled, and that no test waits for.
HOUR_SECONDS = 3600
RELEASED = "released"


class Held:
    """Holds code in a state until another thread, or its own clean-up, releases it.

    Ctrl-C may break into the sync methods anywhere. None of them takes a lock in Python code,
    which would then stay taken.
    """

    def __init__(self, arrive: Callable[[], object]) -> None:
        self.arrive = arrive
        self._is_released = False
        self._for_sync_code: SimpleQueue[None] = SimpleQueue()
        self._for_async_code: Future[str] = Future()
        # Or cancelling who waits for it would cancel it.
        self._for_async_code.set_running_or_notify_cancel()

    def release(self) -> None:
        if not self._is_released:
            self._is_released = True
            self._for_sync_code.put(None)
            self._for_async_code.set_result(RELEASED)

    def block(self) -> str:
        self.arrive()
        return self.stay()

    def stay(self) -> str:
        self._for_sync_code.get()
        return RELEASED

    def spin(self) -> str:
        self.arrive()
        while not self._is_released:
            pass
        return RELEASED

    async def wait(self) -> str:
        async with self.layer("inner"):
            released = asyncio.wrap_future(self._for_async_code)
            self.arrive()
            return await released

    async def wait_with_a_timer(self) -> str:
        async with asyncio.timeout(HOUR_SECONDS):
            return await self.wait()

    async def spin_on_the_loop(self) -> str:
        async with self.layer("inner"):
            self.arrive()
            while not self._is_released:
                await asyncio.sleep(0)
            return RELEASED

    async def below(self, awaitable: Awaitable[str]) -> str:
        """The outer of two layers."""
        async with self.layer("outer"):
            return await awaitable

    @asynccontextmanager
    async def layer(self, name: str) -> AsyncIterator[None]:
        """Async code that cleans up if it is broken out of."""
        try:
            yield
        except BaseException:
            self.release()
            await asyncio.sleep(0)
            await sync_to_async(print)(name, "cleaned up")
            raise
