"""Blocks of async code whose thread-sensitive calls have a thread of their own."""

from __future__ import annotations

from concurrent.futures import Executor
from contextvars import ContextVar
from types import TracebackType
from typing import ClassVar

from asgi_sync._callables import require_executor
from asgi_sync._frames import BlockedCall, Record, SensitiveScope, chain, innermost
from asgi_sync._serial_executor import SerialExecutor
from asgi_sync._thread_limits import context_limit

__all__ = ["ThreadSensitiveContext"]

# The context in force, for those who ask, or who set one by hand.
thread_sensitive_context: ContextVar[ThreadSensitiveContext | None] = ContextVar(
    "thread_sensitive_context"
)


class ThreadSensitiveContext:
    """Gives thread-sensitive `sync_to_async` calls inside of it a thread of their own.

    For what must keep to one thread, yet needs not share the one of the whole program: a
    web request, a connection::

        async with ThreadSensitiveContext():
            await sync_to_async(view)(request)

    Only the outermost one counts: inside another, entered or set by hand, and below an
    `async_to_sync` call, which all name a thread already, it changes nothing. (It counts in
    a task that was given an empty `contextvars.Context`, as a request under test is: that
    descends from nothing.) The thread comes from a pool with the first call and goes back
    after the block, once no call is left; neither entering nor leaving starts, joins or
    waits for a thread. A task that outlives the block may go on making calls; they run one
    at a time as before.

    Entered and left by tasks, in any event loop; tasks that have entered the same one
    share its thread.

    Args:
        executor: A `concurrent.futures.Executor` that runs one call at a time on one
            thread. Such a context counts also inside others; its calls run on that
            executor, which is not shut down; calls made by tasks after the block has ended
            raise RuntimeError; and it can be entered once only.

    Raises:
        TypeError: `executor` has no `submit`.
        RuntimeError: On entry of a context with an executor that is or was entered before.

    Source: https://docs.python.org/3/library/concurrent.futures.html#executor-objects
    """

    # Kept for code written for asgiref that leaves the block in its own way: where this is not
    # set, such code leaves it alone, and the thread goes back when the context is collected.
    token: ClassVar[None] = None

    def __init__(self, *, executor: Executor | None = None) -> None:
        if executor is not None:
            require_executor(executor)
        self._given_executor = executor
        self._own_executor: SerialExecutor | None = None
        # The entries that count, whichever task made them.
        self._scopes: list[_Scope] = []
        self._depth = 0
        self._entered_before = False

    async def __aenter__(self) -> ThreadSensitiveContext:
        above = innermost.get()
        if self._given_executor is not None:
            self._refuse_second_entry()
            self._open(above, self._given_executor, ends_with_context=True)
        elif self._is_innermost(above) or not _has_thread_already(above):
            if self._own_executor is None:
                self._own_executor = SerialExecutor("asgi-sync context", context_limit)
            self._open(above, self._own_executor, ends_with_context=False)
        self._depth += 1
        self._entered_before = True
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._depth -= 1
        scope = innermost.get()
        # Another one, if this entry changed nothing, or if a test framework leaves the
        # block in another contextvars context than it entered it in.
        if isinstance(scope, _Scope) and scope.context is self:
            innermost.set(scope.outer)
            thread_sensitive_context.set(scope.outer_context)
        if self._depth == 0:
            self._end()

    def _open(self, above: Record | None, executor: Executor, *, ends_with_context: bool) -> None:
        scope = _Scope(above, executor, ends_with_context, self)
        self._scopes.append(scope)
        innermost.set(scope)
        thread_sensitive_context.set(self)

    def _end(self) -> None:
        for scope in self._scopes:
            scope.close()
        self._scopes.clear()
        if self._own_executor is not None:
            self._own_executor.release()
            self._own_executor = None

    def _executor_in_force(self) -> Executor | None:
        return next((scope.executor for scope in self._scopes if scope.is_open), None)

    def _is_innermost(self, above: Record | None) -> bool:
        return isinstance(above, _Scope) and above.context is self

    def _refuse_second_entry(self) -> None:
        if self._depth:
            raise RuntimeError("ThreadSensitiveContext is already entered")
        if self._entered_before:
            raise RuntimeError("ThreadSensitiveContext with an executor cannot be entered again")


class _Scope(SensitiveScope):
    """One entry, and what was in force before it."""

    __slots__ = ("outer", "outer_context")

    def __init__(
        self,
        outer: Record | None,
        executor: Executor,
        ends_with_context: bool,
        context: ThreadSensitiveContext,
    ) -> None:
        super().__init__(outer, executor, ends_with_context, context)
        self.outer = outer
        self.outer_context = thread_sensitive_context.get(None)


def executor_in_force(context: object) -> Executor | None:
    """That of a context which some code is inside of just now, in this process."""
    return context._executor_in_force() if isinstance(context, ThreadSensitiveContext) else None


def _has_thread_already(record: Record | None) -> bool:
    """Whether a context or a blocked thread above would take the calls made here.

    So does a context that was set by hand, as pools of threads for requests do: the one that a
    framework enters for each request must leave the request to its pool.
    """
    in_force = thread_sensitive_context.get(None)
    for above in chain(record):
        if isinstance(above, SensitiveScope) and in_force is not None:
            if above.context is not in_force:
                return True
            # What is above it cannot have been set by hand inside of it.
            in_force = None
        if isinstance(above, BlockedCall | SensitiveScope) and above.is_open:
            return True
    return in_force is not None
