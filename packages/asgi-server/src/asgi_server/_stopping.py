"""The request to stop a server, from any thread, and waits that heed it.

A stop goes through these, and only forward:

| state    | who asked for it                                    | what the server does            |
|----------|-----------------------------------------------------|---------------------------------|
| none     |                                                     | serves                          |
| stopping | `stop()`, the first signal                          | takes no input, lets finish     |
| at once  | `stop(at_once=True)`, the second signal             | cancels, and waits for a moment |
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

__all__ = ["Stop", "StopRequest"]

# How long what was cancelled has to end when all is to end at once. A guess: time for clean-ups
# that wait for nothing, and short for whoever has pressed Ctrl-C twice.
MOMENT = 0.1


class StopRequest:
    """Whether a server is asked to stop. Thread-safe, and safe in signal handlers.

    There is no lock: a signal handler might run while its own thread holds it. Instead, a
    request first writes what is asked for and then reads which `Stop` to wake, and a `Stop`
    that begins is first written and then reads what is asked for. Whichever comes first, one of
    the two sees the other.
    """

    def __init__(self) -> None:
        self._is_asked = False
        self._is_at_once = False
        self._stop: Stop | None = None

    def ask(self, at_once: bool) -> None:
        """Ask the server that runs to stop, or else the next one as soon as it begins."""
        if at_once:
            self._is_at_once = True
        self._is_asked = True
        stop = self._stop
        if stop is None:
            return
        try:
            stop.loop.call_soon_threadsafe(self._wake, stop)
        except RuntimeError:
            pass  # the loop was closed meanwhile: there is nothing to stop

    def begin(self) -> Stop:
        """Return the `Stop` of a server that begins, on the running event loop.

        Raises:
            RuntimeError: Another one runs.
        """
        running = self._stop
        if running is not None and not running.loop.is_closed():
            raise RuntimeError("arun() is running already: make a server for each arun() at once")
        self._stop = stop = Stop()
        self._wake(stop)
        return stop

    def end(self) -> None:
        """Forget what was asked for: the server has ended."""
        self._stop = None
        self.forget()

    def forget(self) -> None:
        """Forget what was asked for, unless a server runs, of another thread: it is for that."""
        if self._stop is None:
            self._is_asked = self._is_at_once = False

    def _wake(self, stop: Stop) -> None:
        if self._is_asked and not stop.stopping.done():
            stop.stopping.set_result(None)
        if self._is_at_once and not stop.at_once.done():
            stop.at_once.set_result(None)


class Stop:
    """What a running server knows of its end, and its waits, which are bounded by it.

    The server's own task may be cancelled in any of them. That does not end the wait: it is
    noted, to be raised when everything has ended.

    Attributes:
        loop: That runs the server.
        stopping: Done when the server is to stop.
        at_once: Done when nothing is to be waited for any more.
        cancellation: The last one of the server's task.
    """

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.stopping: asyncio.Future[None] = self.loop.create_future()
        self.at_once: asyncio.Future[None] = self.loop.create_future()
        self.cancellation: asyncio.CancelledError | None = None

    async def wait_any(self, *futures: asyncio.Future[Any]) -> None:
        """Wait until one of `futures` is done, or the server is to stop or was cancelled."""
        try:
            await asyncio.wait((*futures, self.stopping), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError as error:
            self.cancellation = error

    async def wait_iteration(self) -> None:
        """Wait until the callbacks have run that are due in this iteration of the event loop."""
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError as error:
            self.cancellation = error

    async def wait_all(
        self,
        *futures: asyncio.Future[Any],
        seconds: float,
        on_cancelled: Callable[[], object] | None = None,
    ) -> bool:
        """Wait until all of `futures` are done, and return whether they are.

        Args:
            futures: Left as they are, also when the wait ends before them.
            seconds: How long at most; a moment when all is to end at once.
            on_cancelled: Called each time that the server's task is cancelled.
        """
        waiting = [future for future in futures if not future.done()]
        if not waiting:
            return True
        # One callback each, once: to wait for the first of many, again and again, would take a
        # time that grows with their square.
        all_done = _AllDone(waiting, self.loop)
        try:
            return await self._wait_until_or_hurry(all_done.future, seconds, on_cancelled)
        finally:
            all_done.forget()

    async def _wait_until_or_hurry(
        self,
        future: asyncio.Future[None],
        seconds: float,
        on_cancelled: Callable[[], object] | None,
    ) -> bool:
        end = self.loop.time() + seconds
        hurries = False
        while not future.done():
            if not hurries and self.at_once.done():
                hurries = True
                end = min(end, self.loop.time() + MOMENT)
            left = end - self.loop.time()
            if left <= 0:
                return False
            both = [future] if hurries else [future, self.at_once]
            try:
                await asyncio.wait(both, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            except asyncio.CancelledError as error:
                self.cancellation = error
                if on_cancelled is not None:
                    on_cancelled()
        return True


class _AllDone:
    """A future that is done when all of several others are."""

    def __init__(self, futures: list[asyncio.Future[Any]], loop: asyncio.AbstractEventLoop) -> None:
        self.future: asyncio.Future[None] = loop.create_future()
        self._futures = futures
        self._left = len(futures)
        for future in futures:
            future.add_done_callback(self._count)

    def forget(self) -> None:
        """Take the callbacks back."""
        for future in self._futures:
            future.remove_done_callback(self._count)

    def _count(self, _: asyncio.Future[Any]) -> None:
        self._left -= 1
        if not self._left and not self.future.done():
            self.future.set_result(None)
