"""Calls a synchronous function from async code."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import weakref
from asyncio import AbstractEventLoop
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from types import MethodType
from typing import Any, ClassVar, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

from asgi_sync._affinity import SHARED, Decision, Place, choose
from asgi_sync._asgiref_attributes import (
    ContextExecutors,
    ParentLoop,
    positional_thread_sensitive,
)
from asgi_sync._bounded_executor import any_thread_executor
from asgi_sync._callables import (
    describe,
    markcoroutinefunction,
    require_executor,
    require_sync_callable,
)
from asgi_sync._cancellation import give_up, give_up_nowait
from asgi_sync._context import CopiedContext, EnteredContext, ExcInfo, call_while_handling
from asgi_sync._frames import Record, SensitiveScope, SyncCall, innermost
from asgi_sync._lineage import has_home
from asgi_sync._serial_executor import SerialExecutor
from asgi_sync._stalls import submit
from asgi_sync._sync_side import SyncSide
from asgi_sync._thread_contexts import thread_sensitive_context
from asgi_sync._thread_limits import context_limit

__all__ = ["SyncToAsync", "sync_to_async"]

_P = ParamSpec("_P")
_Q = ParamSpec("_Q")
_R = TypeVar("_R")
_T = TypeVar("_T")

# For loops that run on the very thread that their thread-sensitive code belongs to.
_kept_by_loop: weakref.WeakKeyDictionary[AbstractEventLoop, SerialExecutor] = (
    weakref.WeakKeyDictionary()
)


class SyncToAsync(Generic[_P, _R]):
    """Wraps a sync function so that it can be awaited; see `sync_to_async`.

    A class, so that it can be subclassed and used as a decorator. Subclasses may override
    `thread_handler` to do something around each call, in the thread that runs it.

    Args:
        func: The callable to wrap, available as `.func`.
        thread_sensitive: As for `sync_to_async`.
        executor: As for `sync_to_async`.
        context: As for `sync_to_async`.
        abandon_on_cancel: As for `sync_to_async`.

    Raises:
        TypeError: As for `sync_to_async`.
    """

    # Runs the thread-sensitive calls that no thread or context above has a claim on. May
    # be replaced by any executor.
    single_thread_executor: ClassVar[Executor] = SerialExecutor("asgi-sync thread-sensitive")

    # What follows is kept for code written for asgiref.
    threadlocal: ClassVar[ParentLoop] = ParentLoop()
    thread_sensitive_context: ClassVar[contextvars.ContextVar[Any]] = thread_sensitive_context
    deadlock_context: ClassVar[contextvars.ContextVar[bool]] = contextvars.ContextVar(
        "deadlock_context"
    )
    context_to_thread_executor: ClassVar[weakref.WeakKeyDictionary[Any, Executor]] = (
        ContextExecutors()
    )

    def __init__(
        self,
        func: Callable[_P, _R],
        thread_sensitive: bool = True,
        executor: Executor | None = None,
        context: contextvars.Context | None = None,
        *,
        abandon_on_cancel: bool = True,
    ) -> None:
        require_sync_callable(func)
        _check_executor(executor, thread_sensitive)
        # First: the function's own attributes must not replace those set here.
        functools.update_wrapper(self, func)
        self.func = func
        self.context = context
        self._name = describe(func)
        self._thread_sensitive = thread_sensitive
        self._executor = executor
        self._abandon_on_cancel = abandon_on_cancel
        markcoroutinefunction(self)
        if hasattr(func, "__self__"):
            self.__self__: Any = func.__self__

    async def __call__(self, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        __traceback_hide__ = True
        loop = asyncio.get_running_loop()
        start = innermost.get()
        call = SyncCall(start, self._name, loop, self._thread_sensitive)
        function: SyncCall | None = None
        if self._thread_sensitive:
            executor, decision = route(start, loop, self._name)
            function = decision.function
        else:
            executor = any_thread_executor if self._executor is None else self._executor
        call.runs_on = executor
        side = self._sync_side(call, functools.partial(self.func, *args, **kwargs))
        # Nothing that this frame holds from here on refers to the arguments.
        del args, kwargs
        try:
            side.submit_by(submit, executor, function)
            try:
                await side.waiter
            except asyncio.CancelledError:
                await give_up(side, abandon_on_cancel=self._abandon_on_cancel)
                raise
            except GeneratorExit:
                give_up_nowait(side)
                raise
            if self.context is None:
                side.context.bring_back()
            return side.take_result()
        finally:
            # The traceback of a raised error holds this frame.
            del side

    @overload
    def __get__(
        self: Callable[Concatenate[_T, _Q], Any], instance: _T, owner: _T
    ) -> Callable[..., Coroutine[Any, Any, _R]]: ...
    # ... classes: a class method, ...
    @overload
    def __get__(
        self: Callable[Concatenate[_T, _Q], Any], instance: object, owner: _T
    ) -> Callable[_Q, Coroutine[Any, Any, _R]]: ...
    @overload
    def __get__(self, instance: None, owner: type[Any]) -> Self: ...
    # ... instances: a method, ...
    @overload
    def __get__(
        self: Callable[Concatenate[_T, _Q], Any], instance: _T, owner: type[Any] | None = None
    ) -> Callable[_Q, Coroutine[Any, Any, _R]]: ...
    # ... or neither: a static method.
    @overload
    def __get__(
        self, instance: object, owner: type[Any] | None = None
    ) -> Callable[_P, Coroutine[Any, Any, _R]]: ...
    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """Bind to an instance as functions do; accessed on the class, the wrapper itself."""
        return self if instance is None else MethodType(self, instance)

    def thread_handler(
        self,
        loop: AbstractEventLoop,
        exc_info: ExcInfo,
        task_context: Any,
        func: Callable[..., _R],
        *args: Any,
        **kwargs: Any,
    ) -> _R:
        """Call the function, in the thread that was chosen for it. To be overridden.

        An override passes on the arguments that it gets, and returns what this returns.

        Args:
            loop: The event loop of the caller, which another thread runs.
            exc_info: The exception that the caller is handling, as `sys.exc_info()` has it.
            task_context: Opaque.
            func: What to call, as `func(*args, **kwargs)`.
            *args: First a `functools.partial` of the wrapped function and its arguments.
            **kwargs: For `func`.

        Returns:
            What the wrapped function returns.

        Raises:
            BaseException: What the wrapped function raises.
        """
        __traceback_hide__ = True
        try:
            if exc_info[1] is None:
                return func(*args, **kwargs)
            return call_while_handling(exc_info[1], func, *args, **kwargs)
        finally:
            # The function may raise the handled error, whose traceback holds this frame.
            del exc_info, args, kwargs

    def _sync_side(self, call: SyncCall, child: Callable[[], _R]) -> SyncSide[_R]:
        here = call.loop_use or call.loop
        if self.context is not None:
            context: CopiedContext | EnteredContext = EnteredContext(self.context, call, here)
        elif not self._abandon_on_cancel:
            # Few programs ever need it.
            from asgi_sync._task_context import side_in_task_context

            return side_in_task_context(call, self.thread_handler, child)
        elif has_home():
            context = EnteredContext(contextvars.copy_context(), call, here)
        else:
            context = CopiedContext(call)
        return SyncSide(call, self.thread_handler, context, child)


def options_of(call: SyncToAsync[..., Any]) -> tuple[str, bool, Executor | None]:
    """The name of the function, whether it is thread-sensitive, and its executor if given.

    Not attributes: those of the wrapped function are the wrapper's, too.
    """
    return call._name, call._thread_sensitive, call._executor


def route(
    start: Record | None, loop: AbstractEventLoop | None, name: str
) -> tuple[Executor, Decision]:
    """The executor for a thread-sensitive call of `name`, and the decision that says so.

    See `_affinity` for the rules. Raises RuntimeError where the call could never run.
    """
    context = thread_sensitive_context.get(None)
    decision = choose(start, loop, context)
    if decision is SHARED:
        return SyncToAsync.single_thread_executor, decision
    if decision.executor is None:
        return _executor_of(decision.place, loop, context), decision
    _refuse_ended(decision.because_of, name)
    return decision.executor, decision


def sensitive_executor(start: Record | None, loop: AbstractEventLoop | None, name: str) -> Executor:
    """The executor that `route` decides on."""
    return route(start, loop, name)[0]


def _executor_of(place: Place, loop: AbstractEventLoop | None, context: Any) -> Executor:
    if place is Place.LOOP and loop is not None:
        return _executor_kept_by(loop)
    executors = SyncToAsync.context_to_thread_executor
    executor = executors.get(context)
    if executor is not None:
        return executor
    return executors.setdefault(context, SerialExecutor("asgi-sync context", context_limit))


def _refuse_ended(record: Record | None, name: str) -> None:
    if isinstance(record, SensitiveScope) and record.ends_with_context and not record.is_open:
        raise RuntimeError(
            "ThreadSensitiveContext has exited."
            f" {name} was called by a task that has outlived it; wait for such tasks inside"
        )


def _executor_kept_by(loop: AbstractEventLoop) -> SerialExecutor:
    executor = _kept_by_loop.get(loop)
    if executor is None:
        executor = _kept_by_loop[loop] = SerialExecutor("asgi-sync loop")
    return executor


def _check_executor(executor: object, thread_sensitive: bool) -> None:
    if executor is None:
        return
    if thread_sensitive:
        raise TypeError("executor must not be set when thread_sensitive is True")
    require_executor(executor)


@overload
def sync_to_async(
    *,
    thread_sensitive: bool = True,
    executor: Executor | None = None,
    context: contextvars.Context | None = None,
    abandon_on_cancel: bool = True,
) -> Callable[[Callable[_P, _R]], Callable[_P, Coroutine[Any, Any, _R]]]: ...
@overload
def sync_to_async(
    func: Callable[_P, _R],
    *,
    thread_sensitive: bool = True,
    executor: Executor | None = None,
    context: contextvars.Context | None = None,
    abandon_on_cancel: bool = True,
) -> Callable[_P, Coroutine[Any, Any, _R]]: ...
def sync_to_async(
    func: Callable[_P, _R] | None = None,
    # What asgiref took before 3.7; see `_asgiref_attributes`.
    *positional: bool,
    thread_sensitive: bool = True,
    executor: Executor | None = None,
    context: contextvars.Context | None = None,
    abandon_on_cancel: bool = True,
) -> (
    Callable[[Callable[_P, _R]], Callable[_P, Coroutine[Any, Any, _R]]]
    | Callable[_P, Coroutine[Any, Any, _R]]
):
    """Make a sync function awaitable: each call runs in a thread, away from the event loop.

    As a function, or as a decorator with or without arguments::

        rows = await sync_to_async(query)(user_id)

        @sync_to_async(thread_sensitive=False)
        def resize(image): ...

    The function sees the caller's context variables and `sys.exc_info()`, and what it
    changes in the former is there for the caller afterwards. Inside, `async_to_sync` runs
    on the caller's event loop.

    When the task that awaits is cancelled: a call that has not started never will; async
    code that the function is blocked on is cancelled and may clean up; the function itself
    is left to finish, its result dropped and its error logged to the logger "asgi_sync". It
    may ask `was_cancelled()`. The task ends cancelled, when is up to `abandon_on_cancel`.

    Args:
        func: A callable that is not async. Without it, a decorator is returned.
        thread_sensitive: True to run it in the thread for code that is bound to a thread:
            the one that is blocked in `async_to_sync` above, or that of the
            `ThreadSensitiveContext` above, whichever is nearer; without either, one that
            the whole program shares. False to run it in any thread of a pool.
        executor: A `concurrent.futures.Executor` to run it in, if not thread-sensitive.
            Of what its `submit` returns `add_done_callback` and `cancel` are called, and no
            more: the outcome takes another way.
        context: A `contextvars.Context` to run it in instead; nothing is copied back. One
            call at a time: another meanwhile raises RuntimeError and runs nothing.
        abandon_on_cancel: True to have a task that is cancelled end without waiting for the
            function. False to have it wait until the function has ended. Then, on Python
            3.12 and newer, the function runs in the task's own context, unless other tasks
            share that: a token from `ContextVar.set` is good for `reset` in another call.

    Returns:
        A `SyncToAsync`, whose coroutines run in any asyncio event loop. They raise what
        the function raises, and RuntimeError if it raised StopIteration, if the call could
        never run (its thread is busy with code that the call descends from and that cannot
        serve it, or its context has exited), or if the executor dropped it.

    Raises:
        TypeError: `func` is async or not callable, or `executor` is given for a
            thread-sensitive function or has no `submit`.

    Source: https://docs.python.org/3/library/asyncio-dev.html#running-blocking-code
    """
    if positional:
        thread_sensitive = positional_thread_sensitive(positional)
    if func is None:
        return lambda func: SyncToAsync(
            func,
            thread_sensitive=thread_sensitive,
            executor=executor,
            context=context,
            abandon_on_cancel=abandon_on_cancel,
        )
    return SyncToAsync(
        func,
        thread_sensitive=thread_sensitive,
        executor=executor,
        context=context,
        abandon_on_cancel=abandon_on_cancel,
    )
