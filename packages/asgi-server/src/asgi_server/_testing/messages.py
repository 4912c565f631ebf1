"""The two ways of messages between the test and the application.

Neither refers to the communicator that owns it: the application's task refers to both, and a
communicator that is dropped has to be collected while the task runs.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

__all__ = ["Input", "Output", "wake_all"]

# A guess: more than a test leaves unread on purpose, and not much memory.
MANY = 100


class Notice:
    """Wakes all who wait for a change, whatever has changed."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def give(self) -> None:
        """Wake those who wait now."""
        self._event.set()

    async def wait(self) -> None:
        """Wait for the next `give`. Those who wait look again at what they wait for."""
        self._event.clear()
        await self._event.wait()

    async def wait_until(self, holds: Callable[[], bool], timeout: float | None) -> bool:
        """Wait until `holds()`, which may change at a `give`; return whether it does.

        Args:
            holds: Looked at before every wait.
            timeout: Seconds; None to wait for ever.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while not holds():
                    await self.wait()
        return holds()


class Input:
    """The messages to the application, and whether it waits for one."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Any] = asyncio.Queue()
        self.changed: Notice = Notice()
        self.was_asked_for: bool = False
        self._waiting = 0

    @property
    def is_waited_for(self) -> bool:
        """Whether the application waits for a message, and there is none."""
        return self._waiting > 0 and self.queue.empty()

    async def receive(self) -> Any:
        """Give a message to the application: its `receive`."""
        self.was_asked_for = True
        self._waiting += 1
        self.changed.give()
        try:
            return await self.queue.get()
        finally:
            self._waiting -= 1

    def leave_only(self, message: Any) -> None:
        """Have `message` be all that can be received: what came after it arrives nowhere."""
        while not self.queue.empty():
            self.queue.get_nowait()
        self.queue.put_nowait(message)


class Output:
    """The messages of the application, and a notice for those who wait for one.

    Args:
        limit: So many may be unread when `send` returns; None for any number.
    """

    def __init__(self, limit: int | None = None) -> None:
        self.queue: asyncio.Queue[Any] = asyncio.Queue()
        self.changed: Notice = Notice()
        self._limit = limit
        self._read = Notice()

    async def send(self, message: Any) -> None:
        """Take a message of the application: its `send`.

        Waits for the reader where there is a limit. Without one it still lets others run when
        many are unread: an application that sends without end must not keep the event loop
        from the time-out that ends it.
        """
        self.queue.put_nowait(message)
        self.changed.give()
        while self.is_full:
            await self._read.wait()
        if self._limit is None and self.queue.qsize() > MANY:
            await asyncio.sleep(0)

    @property
    def is_full(self) -> bool:
        """Whether more messages are unread than may be when `send` returns."""
        return self._limit is not None and self.queue.qsize() > self._limit

    def take(self) -> Any:
        """Return the oldest unread message.

        Raises:
            asyncio.QueueEmpty: There is none.
        """
        message = self.queue.get_nowait()
        self._read.give()
        return message

    def lift_limit(self) -> None:
        """Let go of those who wait for the reader: nobody reads any more."""
        self._limit = None
        self._read.give()


def wake_all(input_: Input, output: Output) -> None:
    """Wake those who wait for either: the application has ended, and there is no more to come."""
    input_.changed.give()
    output.changed.give()
