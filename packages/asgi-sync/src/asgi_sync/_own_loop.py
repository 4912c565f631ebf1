"""The event loop of an `AsyncSingleThreadContext`, in a thread that several calls share."""

from __future__ import annotations

import asyncio
import functools
import gc
import threading
import weakref
from typing import Any

from asgi_sync import _lifecycle
from asgi_sync._affinity import loop_drivers
from asgi_sync._async_side import AsyncSide
from asgi_sync._frames import BlockedCall, chain
from asgi_sync._workers import Worker, workers

# In a forked child: the loops of the parent, which are neither used nor closed there.
_of_parents: list[object] = []
_all: weakref.WeakSet[OwnLoop] = weakref.WeakSet()


class OwnLoop:
    """An event loop on a worker thread of its own, for the calls of one block.

    The loop is made by `asyncio.Runner`, so by the event loop policy in force, and closed
    as `asyncio.run` does: tasks that are left are cancelled and awaited, asynchronous
    generators closed. Methods with an underscore run in the worker thread, one at a time.

    `_worker` and `_closing` change under `_lock`, by the threads that call `run`.
    """

    def __init__(self) -> None:
        # Re-entrant: a signal handler may make a call in the midst of one.
        self._lock = threading.RLock()
        self._worker: Worker | None = None
        self._closing = False
        self._runner: asyncio.Runner | None = None
        self._process = _lifecycle.this.process
        _all.add(self)

    def can_run(self, record: BlockedCall) -> bool:
        """Whether it can run a call; not one that it would have to finish another for."""
        return self._is_usable and not any(
            isinstance(above, BlockedCall) and above.own_loop is self and above.is_open
            for above in chain(record.parent)
        )

    def run(self, side: AsyncSide[Any], *, then_close: bool) -> bool:
        """Run one call's async side, after those before it, and publish its outcome.

        With `then_close` it is published after the loop has closed: code that runs while
        it does, such as the clean-up of cancelled tasks, may need the waiting thread.

        Returns false if the loop has been closed, or is about to be, by another thread.
        """
        with self._lock:
            if not self._is_usable:
                return False
            if self._worker is None:
                self._worker = workers.lease("asgi-sync event loop")
            side.record.own_loop = self
            accepted = self._worker.put(functools.partial(self._run, side, then_close))
            if then_close:
                self._closing = True
                self._worker.release_when_done()
        return accepted

    @property
    def has_run(self) -> bool:
        """Whether there is anything to close, in this process."""
        return self._worker is not None and self._is_usable

    @property
    def _is_usable(self) -> bool:
        return not self._closing and self._process is _lifecycle.this.process

    def _run(self, side: AsyncSide[Any], then_close: bool) -> None:
        try:
            runner = self._runner = self._runner or asyncio.Runner()
            loop = runner.get_loop()
            loop_drivers[loop] = side.record
            try:
                self._drive(runner, side, then_close)
            finally:
                del loop_drivers[loop]
        except BaseException as error:
            side.fail(error)
        side.publish()

    def _drive(self, runner: asyncio.Runner, side: AsyncSide[Any], then_close: bool) -> None:
        completed = False
        try:
            runner.run(side.run(), context=side.context)
            completed = True
        finally:
            # Ended early, by SystemExit in another task or by loop.stop(), the loop still
            # has the call's own task, which must not go on in somebody else's call.
            if then_close or not completed:
                self._runner = None
                runner.close()


def _set_aside() -> None:
    """In a forked child: have the parent's loops, and the tasks on them, never collected.

    A loop that is collected closes itself, which takes its socket out of the selector that
    it shares with the parent, and the parent's loop would wait without it. A task that is
    collected says that it should have ended.
    """
    if _all:
        # At the interpreter's end modules are cleared, and then cycles are collected, other
        # than those that are frozen.
        _of_parents.extend([*_all, _of_parents])
        gc.freeze()
        _all.clear()


_lifecycle.on_fork(_set_aside)
