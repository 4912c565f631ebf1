"""Blocks of async code whose thread-sensitive calls have a thread of their own."""

from __future__ import annotations

from concurrent.futures import Executor
from contextvars import ContextVar
from types import TracebackType

from asgi_sync._executors import SerialExecutor
from asgi_sync._frames import BlockedCall, Record, SensitiveScope, chain, innermost

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

    Only the outermost one counts: inside another, and below an `async_to_sync` call, which
    both name a thread already, it changes nothing. The thread comes from a pool with the
    first call and goes back after the block, once no call is left; neither entering nor
    leaving starts, joins or waits for a thread. A task that outlives the block may go on
    making calls; they run one at a time as before.

    Parameters: `executor`, a `concurrent.futures.Executor` that runs one call at a time on
    one thread. Such a context counts also inside others; its calls run on that executor,
    which is not shut down; calls made by tasks after the block has ended raise
    RuntimeError; and it can be entered once only.

    Entered and left by a task, in any event loop. Entering raises RuntimeError when the
    context is entered already or, with an executor, has been before.
    """

    def __init__(self, *, executor: Executor | None = None) -> None:
        if executor is not None and not callable(getattr(executor, "submit", None)):
            raise TypeError(f"executor must be a concurrent.futures.Executor, not {executor!r}")
        self._executor = executor
        # The record, while this context counts; with an executor, ever after.
        self._scope: SensitiveScope | None = None
        self._outer: Record | None = None
        self._outer_context: ThreadSensitiveContext | None = None
        self._depth = 0

    async def __aenter__(self) -> ThreadSensitiveContext:
        if self._executor is not None:
            self._refuse_second_entry()
            self._open(self._executor, ends_with_context=True)
        elif self._depth == 0 and not _has_thread_already(innermost.get()):
            self._open(SerialExecutor("asgi-sync context"), ends_with_context=False)
        self._depth += 1
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._depth -= 1
        if self._depth == 0 and self._scope is not None:
            self._close(self._scope)

    def _refuse_second_entry(self) -> None:
        if self._depth:
            raise RuntimeError("ThreadSensitiveContext is already entered")
        if self._scope is not None:
            raise RuntimeError("ThreadSensitiveContext with an executor cannot be entered again")

    def _open(self, executor: Executor, *, ends_with_context: bool) -> None:
        self._outer = innermost.get()
        self._outer_context = thread_sensitive_context.get(None)
        self._scope = SensitiveScope(self._outer, executor, ends_with_context)
        innermost.set(self._scope)
        thread_sensitive_context.set(self)

    def _close(self, scope: SensitiveScope) -> None:
        scope.close()
        if innermost.get() is scope:
            # Not with a token: test frameworks enter and leave a fixture's context in
            # different contextvars contexts, where a token is refused.
            innermost.set(self._outer)
            thread_sensitive_context.set(self._outer_context)
        if isinstance(scope.executor, SerialExecutor) and self._executor is None:
            scope.executor.release()
            self._scope = None


def _has_thread_already(record: Record | None) -> bool:
    """Whether a context or a blocked thread above would take the calls made here."""
    return any(
        isinstance(above, BlockedCall | SensitiveScope) and above.is_open for above in chain(record)
    )
