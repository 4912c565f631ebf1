"""Calls that wait for a thread that waits for them (rule R8).

Such a call would wait for ever. Which ones do is found by looking at what really waits for
what; see `_wait_graph`. Where the thread is blocked in `async_to_sync`, it can serve the
call after all: the call comes from below it, though nothing has told so, as in a task that
was started in an empty context. Where it waits by other means, the call ends with an error
that names both sides.

A call may begin to be waited for after it was made. So calls that queue behind another are
looked at several times a second, by a worker thread that is there while any are. A timer of
their event loop would do, too, but could not be taken back without a trace.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import Executor
from typing import Any, TypeAlias

from asgi_sync import _lifecycle
from asgi_sync._frames import SyncCall
from asgi_sync._jobs import Job
from asgi_sync._serial_executor import SerialExecutor
from asgi_sync._sync_side import SyncSide
from asgi_sync._workers import workers
from asgi_sync.current_thread_executor import CurrentThreadExecutor

# How often calls that wait are looked at. A guess: soon enough for somebody who looks at a
# program that stands still, and next to no work.
LOOK_SECONDS = 0.1

# How many are looked at in one go, oldest first. Each takes some microseconds for each
# thread; behind the one that stands still all others do, too.
LOOK_AT_MOST = 100

_Watched: TypeAlias = "SerialExecutor | CurrentThreadExecutor"


def submit(side: SyncSide[Any], executor: Executor, function: SyncCall | None) -> None:
    """Put a call into `executor`, or where it can run instead.

    `function` is the sync function whose thread it waits for, if it is known to. Raises
    what the executor does.
    """
    running = side.put_into(executor)
    if function is not None:
        if function.waits_in is None:
            stall_watch.add(function.executor, function)
    elif running is not None and running is not side:
        assert isinstance(executor, SerialExecutor | CurrentThreadExecutor)
        if not _serves_soon(_function_of(running), executor, side):
            stall_watch.add(executor, None)


def _serves_soon(occupant: SyncCall | None, executor: _Watched, side: SyncSide[Any]) -> bool:
    """Have a function that waits for this very task run the call, if there is one."""
    if occupant is None or occupant.waits_in is None:
        return False
    # The task has not come to await the waiter, or else it is not running.
    serves = _serving(occupant, asyncio.current_task() or side.waiter)
    if serves is None or not executor.take_back(side):
        return False
    side.put_into(serves.executor)
    return True


def _serving(occupant: SyncCall | None, task: asyncio.Future[Any]) -> SyncCall | None:
    """Of the functions on top of each other on a thread, the one that waits for a task.

    Each is blocked in `async_to_sync`, where it has been given the next one to run; the
    innermost one that waits for the task is to run what that needs, now or when those inside
    of it have ended.
    """
    if occupant is None or occupant.waits_in is None:
        return None
    # Few programs ever need it.
    from asgi_sync._wait_graph import waits_for

    inner = _serving(_function_of(occupant.executor.running), task)
    if inner is None and waits_for(occupant.waits_in, task):
        return occupant
    return inner


def _innermost(occupant: SyncCall) -> SyncCall:
    """Of the functions on top of each other on a thread, the last that has waited."""
    inner = _function_of(occupant.executor.running)
    return occupant if inner is None or inner.waits_in is None else _innermost(inner)


def _function_of(job: Job | None) -> SyncCall | None:
    """The sync function that a job is running, if it is one and has not ended."""
    return job.call if isinstance(job, SyncSide) and not job.has_ended else None


def _explain(call: SyncCall, occupant: SyncCall) -> str:
    return (
        "Single thread executor already being used, would deadlock:"
        f" {call.name} needs the thread on which {occupant.name} is running, and"
        f" {occupant.name} waits for the task that calls {call.name} by means that do not let"
        " its thread run it. Wait with async_to_sync instead"
    )


class StallWatch:
    """The executors in which calls wait, and the worker that looks at them.

    `_watched` and `_is_watching` change under `_lock`.
    """

    def __init__(self) -> None:
        self.start_afresh()

    def start_afresh(self) -> None:
        """Forget all calls, as in a forked child."""
        self._lock = threading.RLock()
        # With the function that keeps their thread busy when none of their calls does.
        self._watched: dict[_Watched, SyncCall | None] = {}
        self._is_watching = False
        self._stop = threading.Event()
        # Calls that were found to wait for ever, once.
        self._suspects: weakref.WeakSet[SyncSide[Any]] = weakref.WeakSet()

    def add(self, executor: _Watched, function: SyncCall | None) -> None:
        """Keep an eye on what waits in `executor`, until nothing does."""
        if executor in self._watched and function is None:
            return
        with self._lock:
            self._watched[executor] = function or self._watched.get(executor)
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
        try:
            while not self._stop.wait(LOOK_SECONDS) and self._look_at_all():
                pass
        except BaseException:
            # What is found in stacks and callbacks is others', and may be of any kind.
            self._is_watching = False
            raise

    def _look_at_all(self) -> bool:
        """Look at all calls that wait; false if there are none."""
        waiting = list(self._take_waiting())
        with self._lock:
            if not self._watched:
                self._is_watching = False
                return False
        queued: dict[int, list[asyncio.Future[None]]] = {}
        for _, side, occupant in waiting:
            if occupant.thread is not None:
                queued.setdefault(occupant.thread, []).append(side.waiter)
        for executor, side, occupant in waiting:
            self._look(executor, side, occupant, queued)
        return True

    def _take_waiting(self) -> Iterator[tuple[_Watched, SyncSide[Any], SyncCall]]:
        """The calls that wait, with what keeps their thread busy."""
        for executor, function in list(self._watched.items()):
            with self._lock:
                # Before the look, so that a call that comes after it is not overlooked.
                del self._watched[executor]
                jobs = executor.waiting_jobs()
                if jobs:
                    self._watched[executor] = function
            occupant = _function_of(executor.running) or function
            for side in jobs[:LOOK_AT_MOST]:
                if isinstance(side, SyncSide) and occupant is not None:
                    yield executor, side, occupant

    def _look(
        self,
        executor: _Watched,
        side: SyncSide[Any],
        occupant: SyncCall,
        queued: dict[int, list[asyncio.Future[None]]],
    ) -> None:
        """See whether the thread waits for the call, and if so, do something about it."""
        # Few programs ever need it.
        from asgi_sync._wait_graph import Thread, waits_for

        serves = _serving(occupant, side.waiter)
        if serves is not None:
            self._move(executor, side, serves)
        elif occupant.thread is None or not waits_for(
            Thread(occupant.thread), side.waiter, queued=queued
        ):
            self._suspects.discard(side)
        elif occupant.waits_in is not None:
            self._move(executor, side, _innermost(occupant))
        elif side in self._suspects:
            side.drop(RuntimeError(_explain(side.call, occupant)))
        else:
            # Once may be a moment between two states.
            self._suspects.add(side)

    def _move(self, executor: _Watched, side: SyncSide[Any], serves: SyncCall) -> None:
        if serves.executor is not executor and executor.take_back(side):
            try:
                serves.executor.put(side)
            except RuntimeError as error:
                side.drop(error)


stall_watch = StallWatch()
_lifecycle.on_fork(stall_watch.start_afresh)
_lifecycle.on_exit(stall_watch.stop)
