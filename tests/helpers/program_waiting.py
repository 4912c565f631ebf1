"""How the parts of a running program wait for each other."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Any

from helpers.programs import Way

# Far more than anything takes: what is too slow is ended from outside, with a report.
NEVER_SECONDS = 3600

Start = Callable[[], Coroutine[Any, Any, Any]]


class Handshake:
    """Between a task that cancels and the point in the code below that it cancels.

    All methods but `wait_until_reached` may be called in any thread. Once it is closed nobody
    comes to cancel any more, and nothing waits for that.
    """

    def __init__(self, times: int) -> None:
        self.times = times
        self._loop = asyncio.get_running_loop()
        self._reached = asyncio.Event()
        self._caller_is_gone = threading.Event()
        self._lock = threading.Lock()
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
        self._closed = False

    async def wait_until_reached(self, task: asyncio.Task[Any]) -> None:
        """Wait until the point has been reached once more, or the task has ended."""
        reached = asyncio.ensure_future(self._reached.wait())
        try:
            await asyncio.wait([task, reached], return_when=asyncio.FIRST_COMPLETED)
        finally:
            reached.cancel()
        self._reached.clear()

    def reach(self) -> None:
        # The loop may have ended, if this is what a cancelled call has left behind.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._reached.set)

    async def wait_to_be_cancelled(self) -> None:
        """At the point, in async code: raises CancelledError."""
        closed = asyncio.Event()
        with self._lock:
            if self._closed:
                raise asyncio.CancelledError
            self._waiting.append((asyncio.get_running_loop(), closed))
        self.reach()
        await closed.wait()
        raise asyncio.CancelledError

    def wait_until_caller_is_gone(self) -> None:
        """At the point, in sync code."""
        self.reach()
        self._caller_is_gone.wait()

    def wait_for_leave_to_go_on(self) -> None:
        """In sync code that holds the thread which the code at the point needs."""
        self._caller_is_gone.wait()

    def caller_is_gone(self) -> None:
        self._caller_is_gone.set()

    def close(self) -> None:
        self._caller_is_gone.set()
        with self._lock:
            self._closed = True
            waiting, self._waiting = self._waiting, []
        for loop, closed in waiting:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(closed.set)


class Flights:
    """The sync functions that have started below some code and have not ended."""

    def __init__(self, above: Flights | None = None) -> None:
        self._above = above
        self._running: set[Future[None]] = set()
        self._lock = threading.Lock()

    @contextmanager
    def one_more(self) -> Iterator[None]:
        flight: Future[None] = Future()
        with self._lock:
            self._running.add(flight)
        try:
            if self._above is None:
                yield
            else:
                with self._above.one_more():
                    yield
        finally:
            with self._lock:
                self._running.remove(flight)
            flight.set_result(None)

    def running(self) -> set[Future[None]]:
        with self._lock:
            return set(self._running)


async def wait_for_all(
    tasks: Iterable[asyncio.Task[Any]], flights: Flights | None = None, *, cancel: bool = False
) -> None:
    """Wait until all have ended, even if the waiting task is cancelled: that is for later.

    With `cancel`, and when the waiting task is cancelled, the tasks are cancelled.
    """
    tasks = set(tasks)
    cancels = 0
    for_now = cancel
    while waiting := _not_ended(tasks, flights):
        if for_now:
            for task in tasks:
                task.cancel()
        for_now = False
        try:
            await asyncio.wait(waiting)
        except asyncio.CancelledError:
            cancels += 1
            for_now = True
    for task in tasks:
        # An error of a task that nobody asks for is reported.
        task.cancelled() or task.exception()
    if cancels:
        raise asyncio.CancelledError


def _not_ended(tasks: set[asyncio.Task[Any]], flights: Flights | None) -> list[asyncio.Future[Any]]:
    running = flights.running() if flights is not None else ()
    return [
        *(task for task in tasks if not task.done()),
        *(asyncio.wrap_future(flight) for flight in running),
    ]


async def _in_tasks(starts: list[Start]) -> list[Any]:
    tasks = [asyncio.create_task(start()) for start in starts]
    try:
        return [await task for task in tasks]
    finally:
        await wait_for_all(tasks, cancel=True)


async def _in_gather(starts: list[Start]) -> list[Any]:
    return await asyncio.gather(*(start() for start in starts))


async def _in_task_group(starts: list[Start]) -> list[Any]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(start()) for start in starts]
    return [task.result() for task in tasks]


async def _in_wait_for(starts: list[Start]) -> list[Any]:
    return [await asyncio.wait_for(start(), NEVER_SECONDS) for start in starts]


async def _in_callbacks(starts: list[Start]) -> list[Any]:
    loop = asyncio.get_running_loop()
    tasks: list[asyncio.Task[Any]] = []
    handles = [
        loop.call_soon(lambda start=start: tasks.append(loop.create_task(start())))
        for start in starts
    ]
    try:
        # The callbacks are before this task's next step.
        await asyncio.sleep(0)
        return [await task for task in tasks]
    finally:
        for handle in handles:
            handle.cancel()
        await wait_for_all(tasks, cancel=True)


run_all: dict[Way, Callable[[list[Start]], Coroutine[Any, Any, list[Any]]]] = {
    Way.TASKS: _in_tasks,
    Way.GATHER: _in_gather,
    Way.TASK_GROUP: _in_task_group,
    Way.WAIT_FOR: _in_wait_for,
    Way.CALLBACK: _in_callbacks,
}
