"""Who waits for whom, as far as it can be seen.

A call that needs a thread makes no progress while that thread waits for the very task that
makes the call. Whether it does is not told by any flag, which may be stale or may never
have been set; it is read off what there is at the moment: the callbacks of tasks and
futures, the coroutines of tasks, and the stacks of threads.

The edges, all from what is waited for to what waits:

| from                     | to                                | seen in                        |
|--------------------------|-----------------------------------|--------------------------------|
| a task or future         | the task that awaits it           | its callback, a task's wake-up |
|                          | the future of a `gather`, `wait`, | its callback, which refers to  |
|                          | `shield` or `wrap_future`         | that future                    |
|                          | the task of its `TaskGroup`       | its callback                   |
|                          | a `concurrent.futures.Future`     | its callback, of               |
|                          |                                   | `run_coroutine_threadsafe`     |
| the task of an           | the call                          | its coroutine                  |
| `async_to_sync` call     |                                   |                                |
| an `async_to_sync` call  | the thread that waits, if it does | its record                     |
|                          | not serve a call just now         |                                |
| the task that a loop is  | the thread that runs the loop     | that thread's stack            |
| run for                  |                                   |                                |
| a `concurrent.futures`   | the thread in its `result()`      | that thread's stack            |
| future                   |                                   |                                |
| a thread                 | the thread in its `join()`        | that thread's stack            |
|                          | the task whose sync function it   | its stack                      |
|                          | is running                        |                                |
|                          | the task whose call is queued for | `queued`, given by who asks    |
|                          | it                                |                                |

What is not seen (locks, events, queues) leaves a search without a result: the answer is
then that nothing waits. So is a wait with a time-out, which ends by itself.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
import sys
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from types import FrameType
from typing import Any, NamedTuple, TypeAlias

from asgi_sync._async_side import AsyncSide
from asgi_sync._completions import Waiter
from asgi_sync._frames import BlockedCall
from asgi_sync._sync_side import SyncSide


class Thread(NamedTuple):
    """A thread, by its ident, as something that waits or is waited for."""

    ident: int


AnyFuture: TypeAlias = "asyncio.Future[Any] | concurrent.futures.Future[Any]"
Node: TypeAlias = "AnyFuture | Thread | BlockedCall"


Queued: TypeAlias = Mapping[int, Sequence["asyncio.Future[Any]"]]


def waits_for(
    waiting: Thread | BlockedCall, future: asyncio.Future[Any], *, queued: Queued | None = None
) -> bool:
    """Whether something waits, maybe by way of others, for a task or future.

    `queued` has what is awaited by the tasks whose calls are queued for a thread, by that.
    Without it nothing is looked at that takes more than some microseconds, and more is
    missed. Any thread may ask.
    """
    seen, to_visit = dict[object, Node](), deque[Node]([future])
    stacks = _NoStacks({}) if queued is None else _Stacks(queued)
    while to_visit:
        node = to_visit.popleft()
        if node is waiting or (isinstance(node, Thread) and node == waiting):
            return True
        # Not the futures themselves, which may have any notion of equality, or none.
        key = node if isinstance(node, Thread) else id(node)
        if key not in seen:
            seen[key] = node
            to_visit.extend(_waiting_for(node, stacks))
    return False


def _waiting_for(node: Node, stacks: _Stacks) -> Iterator[Node]:
    if isinstance(node, Thread):
        yield from stacks.queued.get(node.ident, ())
        yield from stacks.joined_by(node)
        yield from stacks.tasks_of_sync_code_in(node)
        return
    if isinstance(node, BlockedCall):
        # A thread that serves a call is held up by that, not by what it waits for below.
        if not node.is_serving:
            yield Thread(node.thread)
        return
    if isinstance(node, concurrent.futures.Future):
        yield from stacks.blocked_in_result_of(node)
        callbacks = list(getattr(node, "_done_callbacks", ()))
    else:
        if isinstance(node, asyncio.Task):
            yield from _blocked_in_async_to_sync(node)
            yield from stacks.running_a_loop_for(node)
        callbacks = [callback for callback, *_ in getattr(node, "_callbacks", None) or ()]
        if isinstance(node, Waiter):
            callbacks.append(node.callback)
    for callback in callbacks:
        yield from _waiting_by(callback)


def _waiting_by(callback: Any) -> Iterator[AnyFuture]:
    """The futures that a callback of another future will complete, or wake."""
    owner = getattr(callback, "__self__", None)
    if isinstance(owner, asyncio.Task):
        yield owner
    elif isinstance(owner, asyncio.TaskGroup):
        parent = getattr(owner, "_parent_task", None)
        if parent is not None:
            yield parent
    elif str(getattr(callback, "__module__", "")).startswith("asyncio."):
        # Not the callbacks of others, which may refer to futures for whatever reason.
        values = list(_closed_over(callback))
        if not any(_ends_the_wait_early(value) for value in values):
            yield from (value for value in values if _is_future(value))


def _closed_over(callback: Any) -> Iterator[Any]:
    for cell in getattr(callback, "__closure__", None) or ():
        with contextlib.suppress(ValueError):  # an empty one
            yield cell.cell_contents


def _ends_the_wait_early(value: object) -> bool:
    """Whether a variable of `asyncio.wait` says that it does not wait for all, or for ever."""
    return isinstance(value, asyncio.TimerHandle) or (
        isinstance(value, str) and value in {asyncio.FIRST_COMPLETED, asyncio.FIRST_EXCEPTION}
    )


def _is_future(thing: object) -> bool:
    return isinstance(thing, asyncio.Future | concurrent.futures.Future)


def _blocked_in_async_to_sync(task: asyncio.Task[Any]) -> Iterator[BlockedCall]:
    coroutine: Any = task.get_coro()
    frame = getattr(coroutine, "cr_frame", None)
    # Others' frames are not looked into: that would keep what their variables refer to.
    if frame is not None and frame.f_code is AsyncSide.run.__code__:
        side = frame.f_locals.get("self")
        if isinstance(side, AsyncSide) and side.record.is_open:
            yield side.record


class _Stacks:
    """The stacks of all threads at one moment, looked at only if somebody asks."""

    def __init__(self, queued: Queued) -> None:
        self.queued = queued

    @functools.cached_property
    def _frames(self) -> dict[int, FrameType]:
        return sys._current_frames()

    def joined_by(self, thread: Thread) -> Iterator[Thread]:
        for ident, waited_for in self._waits:
            if isinstance(waited_for, threading.Thread) and waited_for.ident == thread.ident:
                yield Thread(ident)

    def blocked_in_result_of(self, future: AnyFuture) -> Iterator[Thread]:
        for ident, waited_for in self._waits:
            if waited_for is future:
                yield Thread(ident)

    def running_a_loop_for(self, task: asyncio.Task[Any]) -> Iterator[Thread]:
        for ident, frame in self._frames.items():
            for code, name in _LOOP_RUNS.items():
                if any(f.f_locals.get(name) is task for f in _outwards(frame) if f.f_code is code):
                    yield Thread(ident)

    def tasks_of_sync_code_in(self, thread: Thread) -> Iterator[AnyFuture]:
        for frame in _outwards(self._frames.get(thread.ident)):
            if frame.f_code is SyncSide.run.__code__:
                side = frame.f_locals.get("self")
                if isinstance(side, SyncSide):
                    yield side.waiter

    @functools.cached_property
    def _waits(self) -> list[tuple[int, object]]:
        """The threads that stand still in a wait without a time-out, and for what."""
        found = ((ident, _waited_for(frame)) for ident, frame in self._frames.items())
        return [(ident, thing) for ident, thing in found if thing is not None]


class _NoStacks(_Stacks):
    """For who does not want to look at them."""

    @property
    def _frames(self) -> dict[int, FrameType]:
        return {}


# What waits, and the name of the variable that holds what it waits for.
_WAITS = {
    threading.Thread.join.__code__: "self",
    concurrent.futures.Future.result.__code__: "self",
    concurrent.futures.Future.exception.__code__: "self",
}
_LOOP_RUNS = {
    asyncio.BaseEventLoop.run_until_complete.__code__: "future",
    asyncio.Runner.run.__code__: "task",
}
# Whose frames are inside of such a wait.
_WAITING_MODULES = ("threading", "concurrent.futures._base")


def _waited_for(frame: FrameType) -> object:
    """What the thread of a stack is waiting for, if that can be seen."""
    for outer in _outwards(frame):
        name = _WAITS.get(outer.f_code)
        if name is not None:
            values = outer.f_locals
            return values.get(name) if values.get("timeout") is None else None
        if outer.f_globals.get("__name__") not in _WAITING_MODULES:
            return None
    return None


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back
