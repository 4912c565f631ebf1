"""Cancels a task from any thread."""

from __future__ import annotations

import asyncio
import threading
from asyncio import AbstractEventLoop
from typing import Any


class CancelHandle:
    """Cancels a task from any thread, also one that has not been made yet.

    `_lock` guards the fields: `attach` and `detach` run in the task, on its loop;
    `cancel` runs anywhere.
    """

    __slots__ = ("_attached", "_lock", "_loop", "_requested", "_task")

    def __init__(self) -> None:
        # Re-entrant: a signal handler may cancel in the midst of a cancel.
        self._lock = threading.RLock()
        self._task: asyncio.Task[Any] | None = None
        self._loop: AbstractEventLoop | None = None
        self._requested = False
        self._attached = False

    def attach(self, task: asyncio.Task[Any]) -> bool:
        """Have `cancel` cancel `task` from now on; false if that was asked for before."""
        with self._lock:
            if self._requested:
                return False
            self._attached = True
            self._task = task
            self._loop = task.get_loop()
            return True

    def detach(self) -> None:
        """Forget the task: what it was to do is done."""
        with self._lock:
            self._task = self._loop = None

    def cancel(self) -> bool:
        """Cancel the task, if there is one; if not, none will be attached any more.

        Returns whether there has been one. Thread-safe, signal-safe, waits for nothing.
        """
        with self._lock:
            self._requested = True
            task, loop = self._task, self._loop
            has_been_attached = self._attached
        if task is not None and loop is not None:
            try:
                loop.call_soon_threadsafe(self._cancel_if_attached, task)
            except RuntimeError:
                # The loop has closed, and a closed loop's task runs no more.
                pass
        return has_been_attached

    def _cancel_if_attached(self, task: asyncio.Task[Any]) -> None:
        # The work may have ended since, with the task in its last steps.
        with self._lock:
            attached = self._task is task
        if attached:
            task.cancel()
