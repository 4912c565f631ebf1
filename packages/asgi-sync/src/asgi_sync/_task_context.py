"""Sync functions that run in the very context of the task that waits for them.

Then a token that one call got from `ContextVar.set` can be given to `reset` in another, and
nothing is copied there or back. A context can be entered by one thread at a time, so this
holds only for as long as the task stands still:

1. The function is submitted after the task has suspended, so not by the task itself.
2. Its end is delivered by a callback that runs in another context.
3. A cancel does not wake the task before the function has left the context: a step of a
   task that cannot enter its context is lost, and the task never ends. So this is only for
   tasks that wait for the function when they are cancelled.

And nobody else may enter the context meanwhile. A task can be made to share its context
with others, which nothing keeps from running; then the function runs in a copy, as it does
on Python 3.11, where a task does not tell its context. What is given the context while the
function runs, a task or a callback with `context=`, cannot be seen coming, and is lost.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import AbstractEventLoop
from collections.abc import Callable
from contextvars import Context, ContextVar, copy_context
from typing import Any, TypeVar

from asgi_sync._completions import Waiter
from asgi_sync._context import EnteredContext
from asgi_sync._frames import SyncCall, cancel_inner
from asgi_sync._sync_side import SyncSide

_R = TypeVar("_R")

_probe: ContextVar[object] = ContextVar("asgi_sync.probe")

# Who refers to the context of a suspended task that nobody shares, when `_is_shared` asks:
# the task, the callback that will wake it, the side, the parameter and the question itself.
_REFERENCES_WHEN_SOLE = 5


def side_in_task_context(
    call: SyncCall, handler: Callable[..., _R], child: Callable[[], _R]
) -> SyncSide[_R]:
    """The sync side of a call in the running task, in the task's context if that is possible."""
    context = _context_of_task()
    if context is not None:
        return SideInTaskContext(call, handler, TaskContext(context, call), child)
    copied = EnteredContext(copy_context(), call, call.loop_use or call.loop)
    return SyncSide(call, handler, copied, child)


def _context_of_task() -> Context | None:
    """The context of the running task, if that is known and the one this code runs in."""
    task = asyncio.current_task()
    if sys.version_info < (3, 12) or task is None or not hasattr(task, "get_context"):
        return None
    context: Context = task.get_context()
    mark = object()
    token = _probe.set(mark)
    is_own = context.get(_probe) is mark
    _probe.reset(token)
    return context if is_own else None


class TaskContext(EnteredContext):
    """The context of a task, or a copy of it where it is shared."""

    __slots__ = ("_is_copy",)

    def __init__(self, context: Context, record: SyncCall) -> None:
        super().__init__(context, record, record.loop_use or record.loop)
        self._is_copy = False

    def copy_if_shared(self, task: asyncio.Task[Any]) -> None:
        """Make it a copy, from now on, if another task of the loop has the same context."""
        if _is_shared(self.context, task):
            self.context = self.context.copy()
            self._is_copy = True

    def bring_back(self) -> None:
        if self._is_copy:
            super().bring_back()


class SideInTaskContext(SyncSide[_R]):
    """The sync side of a call whose function runs in the context of the task.

    See the top of the file; the states are those of `SyncSide`.
    """

    __slots__ = ("_task_context",)

    def __init__(
        self,
        call: SyncCall,
        handler: Callable[..., _R],
        context: TaskContext,
        child: Callable[[], _R],
    ) -> None:
        super().__init__(call, handler, context, child)
        self._task_context = context

    def submit_by(self, submit: Callable[..., None], *args: Any) -> None:
        """Call `submit(self, *args)` once the task has suspended."""
        self.call_soon(self._submit_now, asyncio.current_task(), submit, args)

    def _submit_now(
        self, task: asyncio.Task[Any], submit: Callable[..., None], args: tuple[Any, ...]
    ) -> None:
        if self.is_cancelled:
            return
        self._task_context.copy_if_shared(task)
        try:
            submit(self, *args)
        except BaseException as error:
            self.drop(error)

    def _make_waiter(self, loop: AbstractEventLoop) -> Waiter:
        waiter = _PatientWaiter.on(loop)
        waiter.wait_for(self)
        return waiter


class _PatientWaiter(Waiter):
    """Is cancelled at once only if the function has not begun, or else when it has ended."""

    __slots__ = ("_cancels", "_side")

    def wait_for(self, side: SideInTaskContext[Any]) -> None:
        """Before anything else: the side whose end it waits for."""
        self._side: SideInTaskContext[Any] | None = side
        self._cancels: list[Any] = []

    def cancel(self, msg: Any = None) -> bool:
        side = self._side
        if side is None or side.cancel():
            # It and its side refer to each other.
            self._side = None
            return super().cancel(msg)
        self._cancels.append(msg)
        cancel_inner(side.call)
        return True

    def deliver(self) -> None:
        self._side = None
        if self._cancels:
            super().cancel(self._cancels[0])
        else:
            super().deliver()


def _is_shared(context: Context, task: asyncio.Task[Any]) -> bool:
    """Whether another task of the loop has the same context."""
    if sys.version_info < (3, 12):
        return True
    if hasattr(sys, "getrefcount") and sys.getrefcount(context) <= _REFERENCES_WHEN_SOLE:
        return False
    # Rarely: the main task of `asyncio.run` has a context that the runner refers to.
    return any(
        other is not task and other.get_context() is context for other in asyncio.all_tasks()
    )
