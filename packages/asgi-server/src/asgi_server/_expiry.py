"""What is due after a while that is the same for all."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["Expiry"]

Item = TypeVar("Item", bound=Hashable)


class Expiry(Generic[Item]):
    """Calls `on_expired` with each item that was added and, `seconds` later, is still there.

    As the time is the same for all, the items are due in the order in which they were added:
    one timer, for the first of them, is enough, and adding and discarding take constant time.

    Not thread-safe: every method is called on the event loop whose clock counts.
    """

    def __init__(self, seconds: float, on_expired: Callable[[Item], None]) -> None:
        self._seconds = seconds
        self._on_expired = on_expired
        self._due: OrderedDict[Item, float] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def add(self, item: Item) -> None:
        """Start the time of `item`, which must not be there."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            # The former one has ended: its timer never runs, and no more do its items.
            self._due.clear()
            self._timer, self._loop = None, loop
        due = loop.time() + self._seconds
        self._due[item] = due
        if self._timer is None:
            self._timer = loop.call_at(due, self._expire, loop)

    def discard(self, item: Item) -> None:
        """Forget `item`, if it is there."""
        # The timer is left alone: to cancel it and to set one for the next item would cost more
        # than to find nothing due when it runs.
        self._due.pop(item, None)

    def clear(self) -> None:
        """Forget every item, and the timer, whose event loop may end now."""
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        # The timer stays noted while it runs: what is added meanwhile is due behind all others,
        # and would otherwise get a timer beside the one that is set below.
        now = loop.time()
        try:
            while self._due:
                item, due = next(iter(self._due.items()))
                # A timer may run early, by the resolution of the clock.
                if due > now:
                    break
                del self._due[item]
                self._on_expired(item)
        finally:
            first = next(iter(self._due.values()), None)
            self._timer = None if first is None else loop.call_at(first, self._expire, loop)
