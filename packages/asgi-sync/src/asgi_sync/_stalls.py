"""Calls that wait for a thread that waits for them (rule R8).

Such a call would wait for ever. Which ones do is found by looking at what really waits for
what; see `_wait_graph`. Where the thread is blocked in `async_to_sync`, it can serve the
call after all: the call comes from below it, though nothing has told so, as in a task that
was started in an empty context. Where it waits by other means, the call ends with an error
that names both sides.

A call may begin to be waited for after it was made. So calls that queue behind another
are looked at twice a second, by a worker thread that is there while any are. A timer of
their event loop would do, too, but could not be taken back without a trace.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import weakref
from collections import deque
from concurrent.futures import Executor
from typing import Any

from asgi_sync import _lifecycle
from asgi_sync._frames import SyncCall
from asgi_sync._jobs import Job
from asgi_sync._serial_executor import SerialExecutor
from asgi_sync._sync_side import SyncSide
from asgi_sync._wait_graph import Queued, waits_for
from asgi_sync._workers import workers

# How often calls that wait are looked at. A guess: soon enough for somebody who looks at a
# program that stands still, and next to no work.
LOOK_SECONDS = 0.25

# How many are looked at in one go, oldest first. Each takes some microseconds for each
# thread; behind the one that stands still all others do, too.
LOOK_AT_MOST = 100


def submit(side: SyncSide[Any], executor: Executor, function: SyncCall | None) -> None:
    """Put a thread-sensitive call into `executor`, or where it can run instead.

    `function` is the sync function whose thread it waits for, if it is known to. Raises
    what the executor does.
    """
    running = side.put_into(executor)
    if function is not None:
        if function.waits_in is None:
            stall_watch.add(side, executor, function)
    elif running is not None and running is not side:
        occupant = _function_of(running)
        if occupant is None or not isinstance(executor, SerialExecutor):
            return
        if _serves(occupant, side) and executor.take_back(side):
            side.put_into(occupant.executor)
        else:
            stall_watch.add(side, executor, None)


def _serves(occupant: SyncCall, side: SyncSide[Any]) -> bool:
    """Whether a function is blocked in `async_to_sync` and waits for the task of `side`."""
    if occupant.waits_in is None or occupant.thread is None:
        return False
    # The task has not come to await the waiter, or else it is not running.
    task = asyncio.current_task() or side.waiter
    return waits_for(occupant.thread, task)


def _function_of(job: Job | None) -> SyncCall | None:
    """The sync function that a job is running, if it is one and has not ended."""
    return job.call if isinstance(job, SyncSide) and not job.has_ended else None


class _Waiting:
    """A call that waits for a thread which is busy."""

    __slots__ = ("_executor", "_function", "_side", "_was_hopeless")

    def __init__(
        self, side: SyncSide[Any], executor: Executor, function: SyncCall | None
    ) -> None:
        # Weakly: nothing may refer to a call when it is over.
        self._side = weakref.ref(side)
        self._executor = executor
        # The sync function that the call descends from and waits for, if it does.
        self._function = function
        self._was_hopeless = False

    def still_waits(self) -> bool:
        side = self._side()
        return side is not None and not side.has_begun

    def needs(self) -> tuple[int, asyncio.Future[None]] | None:
        """The thread that it waits for, and what its task awaits; None if that is not known."""
        side, occupant = self._side(), self._occupant()
        if side is None or occupant is None or occupant.thread is None:
            return None
        return occupant.thread, side.waiter

    def look(self, queued: Queued) -> None:
        """See whether the thread waits for the call, and if so, do something about it."""
        side, occupant = self._side(), self._occupant()
        if side is None or occupant is None or occupant.thread is None:
            return
        if not waits_for(occupant.thread, side.waiter, queued=queued):
            self._was_hopeless = False
        elif occupant.waits_in is not None:
            self._serve(side, occupant)
        elif self._was_hopeless:
            side.drop(RuntimeError(_explain(side.call, occupant)))
        else:
            # Once may be a moment between two states.
            self._was_hopeless = True

    def _occupant(self) -> SyncCall | None:
        """The sync function that keeps the thread from running the call."""
        if self._function is not None:
            return self._function
        executor = self._executor
        return _function_of(executor.running) if isinstance(executor, SerialExecutor) else None

    def _serve(self, side: SyncSide[Any], occupant: SyncCall) -> None:
        if isinstance(self._executor, SerialExecutor) and self._executor.take_back(side):
            with contextlib.suppress(RuntimeError):
                occupant.executor.put(side)


def _explain(call: SyncCall, occupant: SyncCall) -> str:
    return (
        "Single thread executor already being used, would deadlock:"
        f" {call.name} needs the thread on which {occupant.name} is running, and"
        f" {occupant.name} waits for the task that calls {call.name} by means that do not let"
        " its thread run it. Wait with async_to_sync instead"
    )


class StallWatch:
    """All calls that wait for a busy thread, and the worker that looks at them.

    `_waiting` and `_is_watching` change under `_lock`.
    """

    def __init__(self) -> None:
        self.start_afresh()

    def start_afresh(self) -> None:
        """Forget all calls, as in a forked child."""
        self._lock = threading.RLock()
        self._waiting: deque[_Waiting] = deque()
        self._is_watching = False
        self._stop = threading.Event()

    def add(self, side: SyncSide[Any], executor: Executor, function: SyncCall | None) -> None:
        """Keep an eye on a call that has been put into `executor`, until it runs."""
        with self._lock:
            self._waiting.append(_Waiting(side, executor, function))
            if self._is_watching:
                return
            self._is_watching = True
        try:
            worker = workers.lease("asgi-sync stall watch")
        except RuntimeError:
            # No thread can be started. What needs none goes on.
            self._is_watching = False
            return
        worker.put(self._watch)
        worker.release_when_done()

    def stop(self) -> None:
        """End the worker, at once."""
        self._stop.set()

    def _watch(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            with self._lock:
                self._waiting = deque(one for one in self._waiting if one.still_waits())
                if not self._waiting:
                    self._is_watching = False
                    return
                oldest = list(self._waiting)[:LOOK_AT_MOST]
            queued: dict[int, list[asyncio.Future[None]]] = {}
            for thread, waiter in filter(None, (one.needs() for one in oldest)):
                queued.setdefault(thread, []).append(waiter)
            for one in oldest:
                one.look(queued)


stall_watch = StallWatch()
_lifecycle.on_fork(stall_watch.start_afresh)
_lifecycle.on_exit(stall_watch.stop)
