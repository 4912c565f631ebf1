"""Rows of the bridge between sync and async code, asgi-sync."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import queue
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextvars import Context, ContextVar
from typing import Any, TypeAlias

import anyio.to_thread
import asgiref.sync

import asgi_sync
from tests.benchmarks.rows import MILLISECONDS, OURS, Bar, Row, Samplers, Sizes
from tests.benchmarks.timing import (
    AsyncOperation,
    in_sync_code,
    on_event_loop,
    timed_async,
)

GROUP = "bridge"
ASGIREF = "asgiref"
TO_THREAD = "asyncio.to_thread"
ANYIO = "anyio.to_thread"
FLOOR = "floor"
NO_VARIABLES = "no variables set"


def rows(sizes: Sizes) -> list[Row]:
    """All rows of this group."""
    one_by_one = (Bar(ASGIREF, 0.75), Bar(TO_THREAD, 0.9), Bar(ANYIO, 0.65), Bar(FLOOR, 1.2))
    return [
        _row("sync_to_async, sensitive", lambda: _one_by_one(True), *one_by_one),
        _row("sync_to_async, not sensitive", lambda: _one_by_one(False), *one_by_one),
        _at_once("sync_to_async, sensitive", True, sizes),
        _at_once("sync_to_async, not sensitive", False, sizes),
        _row("async_to_sync, does not suspend", lambda: _cold(_return), Bar(ASGIREF, 0.06)),
        _row("async_to_sync, suspends", lambda: _cold(_suspend), Bar(ASGIREF, 0.06)),
        _row("async_to_sync to sync_to_async, sensitive", _there_and_back, Bar(ASGIREF, 0.40)),
        _row("async_to_sync inside sync_to_async", _inside, Bar(ASGIREF, 0.60)),
        _row("ThreadSensitiveContext with one call", _context_with_one_call, Bar(ASGIREF, 0.35)),
        _row(
            f"sync_to_async, {sizes.variables} context variables set",
            lambda: _with_variables(sizes.variables),
            Bar(NO_VARIABLES, 1.5),
        ),
        _import("import, after asyncio", "import {}", Bar(None, 5.0), Bar(ASGIREF)),
        _import(
            "import of both functions, after asyncio",
            "from {} import async_to_sync, sync_to_async",
            Bar(ASGIREF),
        ),
    ]


def _row(name: str, variants: Callable[[], Any], *bars: Bar) -> Row:
    return Row(name, GROUP, variants, bars)


def _import(name: str, statement: str, *bars: Bar) -> Row:
    variants = functools.partial(_imports, statement)
    return Row(name, GROUP, variants, bars, MILLISECONDS, share=0.5, number=1)


def _at_once(name: str, sensitive: bool, sizes: Sizes) -> Row:
    def variants() -> contextlib.AbstractContextManager[Samplers]:
        ours = asgi_sync.sync_to_async(_nothing, thread_sensitive=sensitive)
        theirs = asgiref.sync.sync_to_async(_nothing, thread_sensitive=sensitive)
        count = sizes.at_once
        return on_event_loop(**{OURS: _gather(ours, count), ASGIREF: _gather(theirs, count)})

    bars = (Bar(ASGIREF, 0.30),)
    return Row(f"{name}, {sizes.at_once} at once", GROUP, variants, bars, MILLISECONDS)


# What the calls do: nothing, since what is measured is the way there and back.


def _nothing() -> None:
    pass


async def _return() -> None:
    pass


async def _suspend() -> None:
    await asyncio.sleep(0)


# The bare mechanism, of which each sync_to_async is a more careful form.

_FloorCall: TypeAlias = tuple[Callable[[], object], "asyncio.Future[object]"]


class _Floor:
    """A worker thread that takes calls from a SimpleQueue and wakes the event loop for each."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[_FloorCall | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="floor")

    def __enter__(self) -> _Floor:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._calls.put(None)
        self._thread.join()

    async def call(self, function: Callable[[], object]) -> object:
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._calls.put((function, future))
        return await future

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            function, future = call
            future.get_loop().call_soon_threadsafe(future.set_result, function())


# The variants of each row


@contextlib.contextmanager
def _one_by_one(sensitive: bool) -> Iterator[Samplers]:
    with _Floor() as floor:
        operations: dict[str, AsyncOperation] = {
            OURS: asgi_sync.sync_to_async(_nothing, thread_sensitive=sensitive),
            ASGIREF: asgiref.sync.sync_to_async(_nothing, thread_sensitive=sensitive),
            TO_THREAD: lambda: asyncio.to_thread(_nothing),
            ANYIO: lambda: anyio.to_thread.run_sync(_nothing),
            FLOOR: lambda: floor.call(_nothing),
        }
        with on_event_loop(**operations) as samplers:
            yield samplers


def _gather(call: Callable[[], Awaitable[object]], count: int) -> AsyncOperation:
    return lambda: asyncio.gather(*[call() for _ in range(count)])


def _cold(coroutine_function: Callable[[], Any]) -> contextlib.AbstractContextManager[Samplers]:
    return in_sync_code(
        **{
            OURS: asgi_sync.async_to_sync(coroutine_function),
            ASGIREF: asgiref.sync.async_to_sync(coroutine_function),
        }
    )


def _there_and_back() -> contextlib.AbstractContextManager[Samplers]:
    def crossing(bridge: Any) -> Any:
        call = bridge.sync_to_async(_nothing)

        async def below() -> None:
            await call()

        return bridge.async_to_sync(below)

    return in_sync_code(**{OURS: crossing(asgi_sync), ASGIREF: crossing(asgiref.sync)})


def _inside() -> contextlib.AbstractContextManager[Samplers]:
    def crossing(bridge: Any) -> Any:
        call = bridge.async_to_sync(_return)

        def below() -> None:
            call()

        return bridge.sync_to_async(below)

    return on_event_loop(**{OURS: crossing(asgi_sync), ASGIREF: crossing(asgiref.sync)})


def _context_with_one_call() -> contextlib.AbstractContextManager[Samplers]:
    def crossing(bridge: Any) -> AsyncOperation:
        call = bridge.sync_to_async(_nothing)

        async def one_context() -> None:
            async with bridge.ThreadSensitiveContext():
                await call()

        return one_context

    return on_event_loop(**{OURS: crossing(asgi_sync), ASGIREF: crossing(asgiref.sync)})


@contextlib.contextmanager
def _with_variables(count: int) -> Iterator[Samplers]:
    call = asgi_sync.sync_to_async(_nothing)
    crowded = Context()
    for index in range(count):
        crowded.run(ContextVar[int](f"variable_{index}").set, index)
    with asyncio.Runner() as runner:
        yield {
            OURS: timed_async(runner, call, context=crowded),
            NO_VARIABLES: timed_async(runner, call, context=Context()),
        }


@contextlib.contextmanager
def _imports(statement: str) -> Iterator[Samplers]:
    def sample(module: str) -> float:
        # Time of the processor: the bar is in milliseconds, which on a busy machine pass anyway.
        code = (
            "import asyncio; from time import process_time; start = process_time(); "
            f"{statement.format(module)}; print(process_time() - start)"
        )
        # In a process of its own, without what environment variables would add to the path.
        command = (sys.executable, "-I", "-c", code)
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    yield {
        OURS: lambda number: sum(sample("asgi_sync") for _ in range(number)),
        ASGIREF: lambda number: sum(sample("asgiref.sync") for _ in range(number)),
    }
