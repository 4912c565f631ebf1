"""How many threads may be in use at once, and which of them do not count.

A thread that waits in `async_to_sync` does not count: what it waits for may need a thread
too, and with all of them waiting nothing could ever go on.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Protocol

from asgi_sync import _lifecycle


class CountsThreads(Protocol):
    """What lends the place of a blocked thread to another."""

    def lend(self) -> None:
        """One of the threads is blocked: another may take its place."""

    def call_in(self) -> None:
        """It goes on, and counts again; for a while there may be one too many."""


class ThreadLimit:
    """Admits so many at a time, first come, first served; all of them without a `maximum`.

    All fields change under `_lock`, by any thread. `start` functions are called without it.
    """

    def __init__(self, maximum: int | None = None) -> None:
        self._maximum = maximum
        self.start_afresh()

    def start_afresh(self) -> None:
        """Forget who was admitted, as in a forked child."""
        self._lock = threading.RLock()
        self._counted = 0
        self._waiting: deque[Callable[[], None]] = deque()

    @property
    def maximum(self) -> int | None:
        """How many are admitted at a time. More room is used at once."""
        return self._maximum

    @maximum.setter
    def maximum(self, maximum: int | None) -> None:
        with self._lock:
            self._maximum = maximum
        self._admit_waiting()

    def admit(self, start: Callable[[], None]) -> None:
        """Call `start`, here or later in another thread, when there is room for one more."""
        with self._lock:
            has_room = not self._waiting and self._has_room()
            if has_room:
                self._counted += 1
            else:
                self._waiting.append(start)
        if has_room:
            start()

    def leave(self) -> None:
        """One that was admitted has ended."""
        with self._lock:
            self._counted -= 1
        if self._waiting:
            self._admit_waiting()

    def lend(self) -> None:
        self.leave()

    def call_in(self) -> None:
        with self._lock:
            self._counted += 1

    def _has_room(self) -> bool:
        return self._maximum is None or self._counted < self._maximum

    def _admit_waiting(self) -> None:
        while True:
            with self._lock:
                if not self._waiting or not self._has_room():
                    return
                self._counted += 1
                start = self._waiting.popleft()
            start()


class _ThisThread(threading.local):
    """Who counts this thread, until it is blocked."""

    counted_by: CountsThreads | None = None


_this_thread = _ThisThread()


def set_counted_by(counter: CountsThreads | None) -> None:
    """This thread works for `counter`, or for nobody who counts."""
    _this_thread.counted_by = counter


def lend_place() -> CountsThreads | None:
    """This thread is blocked: another may have its place. Returns for `call_in_place`.

    Calls that are nested on this thread are blocked with it: its place is lent once.
    """
    counter = _this_thread.counted_by
    if counter is not None:
        _this_thread.counted_by = None
        counter.lend()
    return counter


def call_in_place(counter: CountsThreads) -> None:
    """This thread goes on, and counts again."""
    _this_thread.counted_by = counter
    counter.call_in()


# The threads of `ThreadSensitiveContext`s.
context_limit = ThreadLimit()
_lifecycle.on_fork(context_limit.start_afresh)
