"""Cancels a task from any thread."""

from __future__ import annotations

import asyncio
from typing import Any


class CancelHandle:
    """Cancels a task from any thread, also one that has not been made yet.

    Without a lock, so that a signal handler may cancel at any instruction. `attach` and
    `detach` run in the task, on its loop; `cancel` runs anywhere. Each of them writes first
    and looks second, so that one of the two sees the other, or both do:

        the task                            a thread that cancels
        1. attach: there is a task          a. cancelling is requested
        2. requested? then detach           b. a task? then have it cancelled
    """

    __slots__ = ("_has_been_attached", "_requested", "_task")

    def __init__(self) -> None:
        self._task: asyncio.Task[Any] | None = None
        self._requested = False
        self._has_been_attached = False

    def attach(self, task: asyncio.Task[Any]) -> bool:
        """Have `cancel` cancel `task` from now on; false if that was asked for before."""
        self._task = task
        self._has_been_attached = True
        if self._requested:
            self._task = None
            return False
        return True

    def detach(self) -> None:
        """Forget the task: what it was to do is done."""
        self._task = None

    def cancel(self) -> bool:
        """Cancel the task, if there is one; if not, none will be attached any more.

        Returns whether one was, or is about to be refused by `attach`. Thread-safe,
        signal-safe, waits for nothing.
        """
        self._requested = True
        task = self._task
        if task is not None:
            try:
                task.get_loop().call_soon_threadsafe(self._cancel_if_attached, task)
            except RuntimeError:
                # The loop has closed, and a closed loop's task runs no more.
                pass
        return self._has_been_attached

    def _cancel_if_attached(self, task: asyncio.Task[Any]) -> None:
        # The work may have ended since, with the task in its last steps.
        if self._task is task:
            task.cancel()
