"""An `async_to_sync` call on the event loop of its parent (rule R3), and what if that ends.

The parent is the sync function that makes the call; its loop is run by another thread, which
may leave it at any moment. The function may be an orphan, say, whose task was cancelled, and
its loop's call may end just as it makes one of its own. Whether the call runs there or on
another loop is settled by who takes its *turn*, a lock that is never released:

| from      | to         | by                  | when                        | guard         |
|-----------|------------|---------------------|-----------------------------|---------------|
| posted    | scheduled  | the loop            | it has come to make a task  |               |
| posted    | taken back | the waiting thread  | the loop stands still       | takes `_turn` |
| posted    | ended      | the loop            | it can make no task         | takes `_turn` |
| scheduled | begun      | the task            | its first step              | takes `_turn` |
| scheduled | taken back | the waiting thread  | the loop still stands still | takes `_turn` |
| scheduled | ended      | the loop            | cancelled before that step  | takes `_turn` |
| begun     | ended      | the task            | its last step               | it has it     |

What has not begun can begin elsewhere: the call goes on as if it had been made a moment later,
when the loop was not its parent's any more. What has begun stays, and fails if the loop does
not go on. A loop that is only slow runs, or is being handed over, and is not deserted.

Nobody tells the waiting thread that a loop has stopped: it looks.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from asyncio import AbstractEventLoop
from collections.abc import Coroutine
from typing import Any

from asgi_sync import current_thread_executor
from asgi_sync._affinity import loop_drivers
from asgi_sync._async_side import AsyncSide
from asgi_sync._blocking import LoopStoppedError, NeverBegunError, wait_until_ended
from asgi_sync._frames import SyncCall
from asgi_sync._lineage import loop_uses

# How soon a waiting thread first looks whether its call may still begin, then after twice as
# long each time. A guess: many times what a loop that is idle takes to begin, so that few
# calls are looked after at all.
FIRST_LOOK_SECONDS = 0.01


def parent_loop(caller: SyncCall) -> AbstractEventLoop | None:
    """The event loop that waits for a sync function, if that still runs, and for its sake."""
    loop = caller.loop
    if loop is None or loop_uses.get(loop) is not caller.loop_use:
        return None
    if loop.is_running():
        return loop
    # A loop that is being handed over from one thread to another stands still meanwhile.
    driver = loop_drivers.get(loop)
    return None if driver is None or driver.helper_has_left else loop


def run_on_parent_loop(side: AsyncSide[Any], caller: SyncCall) -> bool:
    """Run the async side of a call there, and wait; false if it cannot begin there any more."""
    loop = parent_loop(caller)
    if loop is None:
        return False
    call = CallOnParentLoop(side, caller, loop)
    if not call.post():
        return False
    try:
        wait_until_ended(side.record, side.record.ended, call)
    except NeverBegunError:
        return False
    return True


class CallOnParentLoop:
    """Has one call begin on its parent's loop, and watches that loop from the waiting thread.

    `_scheduled` is set on the loop. The rest but `_turn` belongs to the waiting thread.
    """

    __slots__ = (
        "_caller",
        "_early_seconds",
        "_loop",
        "_scheduled",
        "_side",
        "_times_stopped",
        "_turn",
    )

    def __init__(self, side: AsyncSide[Any], caller: SyncCall, loop: AbstractEventLoop) -> None:
        self._side = side
        self._caller = caller
        self._loop = loop
        self._turn = threading.Lock()
        # The task of the call and its coroutine, until that begins.
        self._scheduled: tuple[asyncio.Task[None], Coroutine[Any, Any, None]] | None = None
        self._early_seconds: float | None = FIRST_LOOK_SECONDS
        self._times_stopped = 0

    def post(self) -> bool:
        """Have the loop start it; false if that has closed."""
        try:
            self._loop.call_soon_threadsafe(self._schedule, context=self._side.context)
        except RuntimeError:
            return False
        return True

    def _schedule(self) -> None:
        if self._turn.locked() or loop_uses.get(self._loop) is not self._caller.loop_use:
            # It was taken back, or will be: the loop is another's by now.
            return
        coroutine = self._side.run(self._end, self._begin)
        try:
            # Event loops refer to tasks weakly: until its first step the task is kept by
            # the call of that step, which is scheduled, and then by the cancel handle.
            task = self._loop.create_task(coroutine)
        except BaseException as error:
            # The loop has a task factory that fails.
            coroutine.close()
            if self._begin():
                self._side.fail(error)
                self._side.publish()
            return
        if not self._turn.locked():
            self._scheduled = task, coroutine
        # A task that is cancelled before its first step never comes to the end of its
        # coroutine. The others publish there, without another turn of the loop, in which
        # a task left behind could get its sync code served inside this call.
        task.add_done_callback(self._publish_if_not_begun)

    def _begin(self) -> bool:
        """Called by the task in its first step: whether it may begin."""
        self._scheduled = None
        return self._turn.acquire(blocking=False)

    def _end(self, task: asyncio.Task[None]) -> None:
        # The callback is not needed, and the loop would run it in a turn of its own.
        task.remove_done_callback(self._publish_if_not_begun)
        self._side.publish()

    def _publish_if_not_begun(self, task: asyncio.Task[None]) -> None:
        if self._begin():
            self._side.publish()

    @property
    def seconds(self) -> float:
        """How long nothing has to come until the next look."""
        usual = current_thread_executor.IDLE_CHECK_SECONDS
        return usual if self._early_seconds is None else min(self._early_seconds, usual)

    def __call__(self) -> None:
        """Look whether the loop goes on.

        Raises NeverBegunError when the call was taken back, and LoopStoppedError when it has
        begun and cannot go on.
        """
        if not self._turn.locked():
            self._look_before_begin()
        elif self._early_seconds is not None:
            # This look came too soon to be counted.
            self._early_seconds = None
            self._times_stopped = 0
        else:
            self._look_after_begin()

    def _look_before_begin(self) -> None:
        if self._early_seconds is not None:
            self._early_seconds *= 2
        if parent_loop(self._caller) is not None:
            self._times_stopped = 0
            return
        self._times_stopped += 1
        # A task that is left on its loop ends there at its first step, but there is a warning
        # if the loop is closed before that. So whoever is about to close it, as `asyncio.run`
        # is when it has come to its end, is given the time to.
        may_leave = self._scheduled is None or self._loop.is_closed() or self._times_stopped > 1
        if may_leave and self._turn.acquire(blocking=False):
            self._take_back()
            raise NeverBegunError

    def _take_back(self) -> None:
        # The loop may still come to enter the other, and see that there is nothing to do.
        self._side.leave_context()
        scheduled, self._scheduled = self._scheduled, None
        if scheduled is not None:
            task, coroutine = scheduled
            # It has been kept until here, since asyncio reports one that is collected.
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            # Python warns of a coroutine that was never begun, as this one is if the loop is
            # closed without having been run again. Not closed before: it may begin just now.
            weakref.finalize(task, coroutine.close).atexit = False

    def _look_after_begin(self) -> None:
        # Twice in a row: between two `run_until_complete` calls a loop stands still, too.
        self._times_stopped = 0 if self._can_go_on() else self._times_stopped + 1
        if self._times_stopped < 2:
            return
        raise LoopStoppedError(
            f"async_to_sync({self._side.record.name}), called by {self._caller.name}, waits for"
            f" {self._loop!r}, which"
            f" {'closed' if self._loop.is_closed() else 'stopped'} before it was done."
            " Keep the event loop running until its sync_to_async calls have ended."
        )

    def _can_go_on(self) -> bool:
        if self._loop.is_running():
            return True
        driver = loop_drivers.get(self._loop)
        if driver is None:
            return False
        # Once left by its helper the loop is run again, to clean up, by the thread that it is
        # driven for: not if that is the one that waits here.
        return not driver.helper_has_left or driver.thread != threading.get_ident()
