"""Calls an async function from synchronous code."""

from __future__ import annotations

import asyncio
import functools
import sys
from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from types import MappingProxyType, MethodType
from typing import Any, ClassVar, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

from asgi_sync._asgiref_attributes import BlockedThreads
from asgi_sync._async_side import AsyncSide, own_loop_in_force
from asgi_sync._blocking import ThreadIsBlocked, wait_until_ended
from asgi_sync._callables import describe, drop_coroutine_marker, warn_if_not_async
from asgi_sync._driving import run_on_own_loop
from asgi_sync._parent_loop import run_on_parent_loop
from asgi_sync._sync_to_async import sensitive_executor

__all__ = ["AsyncToSync", "async_to_sync"]

_P = ParamSpec("_P")
_Q = ParamSpec("_Q")
_R = TypeVar("_R")
_T = TypeVar("_T")


class AsyncToSync(Generic[_P, _R]):
    """Wraps an async function so that it can be called from sync code; see `async_to_sync`.

    A class, so that it can be subclassed and used as a decorator.

    Args:
        awaitable: The async callable to wrap, available as `.awaitable`.
        force_new_loop: As for `async_to_sync`.
    """

    # Kept for code written for asgiref.
    executors: ClassVar[BlockedThreads] = BlockedThreads()
    # No loop has one that outlives the call it is for.
    loop_thread_executors: ClassVar[Mapping[AbstractEventLoop, Executor]] = MappingProxyType({})

    def __init__(
        self,
        awaitable: Callable[_P, Awaitable[_R]],
        force_new_loop: bool = False,
    ) -> None:
        warn_if_not_async(awaitable)
        # First: the function's own attributes must not replace those set here.
        functools.update_wrapper(self, awaitable)
        drop_coroutine_marker(self)
        self._name = describe(awaitable)
        self.awaitable = awaitable
        self.force_new_loop = force_new_loop
        if hasattr(awaitable, "__self__"):
            self.__self__: Any = awaitable.__self__

    def __call__(self, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        __traceback_hide__ = True
        refuse_running_loop()
        awaitable = self.awaitable(*args, **kwargs)
        side: AsyncSide[_R] | None = None
        try:
            with ThreadIsBlocked(self._name, sensitive_executor) as record:
                side = AsyncSide(record, awaitable, sys.exception())
                # Nothing that this frame holds from here on refers to the arguments.
                del awaitable, args, kwargs
                self._run(side)
        except BaseException as interrupt:
            if side is not None:
                side.give_up(interrupt)
            raise
        side.bring_back()
        try:
            return side.take_result()
        finally:
            # The traceback of a raised error holds this frame and all that it refers to.
            del side, record

    # As in `SyncToAsync`: the first parameter takes instances and classes, ...
    @overload
    def __get__(
        self: Callable[Concatenate[_T, _Q], Any], instance: _T, owner: _T
    ) -> Callable[..., _R]: ...
    # ... classes: a class method, ...
    @overload
    def __get__(
        self: Callable[Concatenate[_T, _Q], Any], instance: object, owner: _T
    ) -> Callable[_Q, _R]: ...
    @overload
    def __get__(self, instance: None, owner: type[Any]) -> Self: ...
    # ... instances: a method, ...
    @overload
    def __get__(
        self: Callable[Concatenate[_T, _Q], Any], instance: _T, owner: type[Any] | None = None
    ) -> Callable[_Q, _R]: ...
    # ... or neither: a static method.
    @overload
    def __get__(self, instance: object, owner: type[Any] | None = None) -> Callable[_P, _R]: ...
    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """Bind to an instance as functions do; accessed on the class, the wrapper itself."""
        return self if instance is None else MethodType(self, instance)

    def _run(self, side: AsyncSide[_R]) -> None:
        """Run the async side, to its end, on the event loop that is right for it (rule R3)."""
        record = side.record
        caller = None if self.force_new_loop else record.caller
        if caller is not None and run_on_parent_loop(side, caller):
            return
        shared = own_loop_in_force.get()
        if shared is not None and shared.can_run(record) and shared.run(side, then_close=False):
            wait_until_ended(record, record.ended)
        else:
            run_on_own_loop(side)


def refuse_running_loop() -> None:
    """Raise RuntimeError in a thread with a running event loop, which would stand still."""
    if asyncio._get_running_loop() is not None:
        raise RuntimeError(
            "You cannot use AsyncToSync in the same thread as an async event loop - "
            "just await the async function directly."
        )


@overload
def async_to_sync(
    *, force_new_loop: bool = False
) -> Callable[[Callable[_P, Awaitable[_R]]], Callable[_P, _R]]: ...
@overload
def async_to_sync(
    awaitable: Callable[_P, Awaitable[_R]],
    *,
    force_new_loop: bool = False,
) -> Callable[_P, _R]: ...
def async_to_sync(
    awaitable: Callable[_P, Awaitable[_R]] | None = None,
    *,
    force_new_loop: bool = False,
) -> Callable[[Callable[_P, Awaitable[_R]]], Callable[_P, _R]] | Callable[_P, _R]:
    """Make an async function callable from sync code: each call waits until it is done.

    As a function, or as a decorator with or without arguments::

        user = async_to_sync(fetch_user)(user_id)

        @async_to_sync
        async def main(): ...

    Below `sync_to_async` the coroutine runs as a task on the event loop of that call.
    Elsewhere, and with `force_new_loop`, it runs on a loop of its own, as good as new, or
    on that of the enclosing `AsyncSingleThreadContext`. The calling thread runs the loop of
    its own itself, until thread-sensitive code from below keeps that thread: then a worker
    thread goes on running the loop, and the calling thread serves.

    Tasks that are left on a loop of its own when the coroutine ends are cancelled and
    awaited before the call returns, as with `asyncio.run`.

    The coroutine sees the caller's context variables and `sys.exc_info()`, and what it
    changes in the former is there for the caller afterwards.

    KeyboardInterrupt in the waiting thread cancels the coroutine, waits until it has
    cleaned up, and propagates; a second one does not wait.

    Args:
        awaitable: An async callable. Another one gets a UserWarning, and works if it
            returns an awaitable. Without it, a decorator is returned.
        force_new_loop: Never use the caller's event loop.

    Returns:
        An `AsyncToSync`. Calling it raises what the coroutine raises, and RuntimeError in
        a thread with a running event loop, which it would block, or when the event loop
        that the coroutine is on has been stopped or closed before it was done.

    Source: https://docs.python.org/3/library/asyncio-runner.html#asyncio.Runner
    """
    if awaitable is None:
        return lambda awaitable: AsyncToSync(awaitable, force_new_loop=force_new_loop)
    return AsyncToSync(awaitable, force_new_loop=force_new_loop)
