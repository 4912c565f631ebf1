"""Where a call would run, and why: the answer of the bridge's own rules, for users."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Executor
from typing import Any, NamedTuple

from asgi_sync._affinity import Place
from asgi_sync._async_side import own_loop_in_force
from asgi_sync._async_to_sync import AsyncToSync, refuse_running_loop
from asgi_sync._frames import Record, SyncCall, innermost, this_thread
from asgi_sync._parent_loop import parent_loop
from asgi_sync._serial_executor import SerialExecutor
from asgi_sync._sync_to_async import SyncToAsync, options_of, route
from asgi_sync.current_thread_executor import CurrentThreadExecutor

__all__ = ["Placement", "where_would_run"]


class Placement(NamedTuple):
    """Where a call would run, and why: the answer of `where_would_run`."""

    where: str
    """In words, such as "on the thread of the ThreadSensitiveContext"."""

    why: str
    """What decides it, in words, with the names of the functions that have a part in it."""

    thread: threading.Thread | None
    """The thread, if it is known and runs."""

    def __str__(self) -> str:
        name = "" if self.thread is None else f" ({self.thread.name})"
        return f"{self.where}{name}: {self.why}"


def where_would_run(call: SyncToAsync[..., Any] | AsyncToSync[..., Any]) -> Placement:
    """Say where a call made here would run, and why.

    By the very rules that the call itself would follow; it starts nothing::

        print(where_would_run(sync_to_async(query)))

    For a `sync_to_async` function it tells the thread of the function, and is asked in async
    code; for an `async_to_sync` function it tells the event loop and the thread that runs
    that, and is asked in sync code.

    Args:
        call: What `sync_to_async` or `async_to_sync` has returned.

    Returns:
        The `Placement`.

    Raises:
        RuntimeError: The call would raise it at once, or there is no running event loop for
            a `sync_to_async` function.
        TypeError: `call` is neither.

    Source: https://docs.python.org/3/library/asyncio-dev.html#concurrency-and-multithreading
    """
    if isinstance(call, SyncToAsync):
        return _of_sync_function(call)
    if isinstance(call, AsyncToSync):
        return _of_async_function(call)
    raise TypeError(f"call must come from sync_to_async or async_to_sync, not be {call!r}")


def _of_sync_function(call: SyncToAsync[..., Any]) -> Placement:
    loop = asyncio.get_running_loop()
    name, thread_sensitive, executor = options_of(call)
    if not thread_sensitive:
        if executor is not None:
            return Placement("in the executor that it was made with", "executor= was given", None)
        return Placement("on any thread of a pool", "it is not thread-sensitive", None)
    executor, decision = route(innermost.get(), loop, name)
    thread = _thread_of(executor)
    return Placement(
        f"on {decision.place.value}", _reason(decision.place, decision.because_of), thread
    )


def _reason(place: Place, record: Record | None) -> str:
    name = "" if record is None else record.name
    if place is Place.BLOCKED_THREAD:
        return f"the code runs below async_to_sync({name}), which that thread waits for"
    if place is Place.FUNCTION:
        return (
            f"the code was started from {name}, which is still running; the call is made when"
            " that next waits in async_to_sync, or when it has ended"
        )
    if place is Place.LOOP:
        return "the event loop runs in thread-sensitive code, on the thread of that"
    if place is Place.CONTEXT:
        return "the code is inside of that context, and below no other claim"
    return "neither a context nor a waiting thread above the code has a claim on it"


def _thread_of(executor: Executor | None) -> threading.Thread | None:
    if not isinstance(executor, SerialExecutor | CurrentThreadExecutor):
        return None
    return next((one for one in threading.enumerate() if one.ident == executor.thread), None)


def _of_async_function(call: AsyncToSync[..., Any]) -> Placement:
    refuse_running_loop()
    record = this_thread.record
    caller = record if isinstance(record, SyncCall) and record.is_open else None
    if not call.force_new_loop and caller is not None and parent_loop(caller) is not None:
        return Placement(
            "on the event loop of the caller",
            f"the code runs below sync_to_async({caller.name}), which that loop waits for",
            None,
        )
    if own_loop_in_force.get() is not None:
        return Placement(
            "on the event loop of the AsyncSingleThreadContext",
            "the code is inside of that context",
            None,
        )
    return Placement(
        "on an event loop of its own, run by this thread for as long as it need not serve",
        "force_new_loop was given" if call.force_new_loop else "no event loop waits for this code",
        threading.current_thread(),
    )
