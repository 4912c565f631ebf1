"""Samplers: from one operation to what so many of them take."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from contextvars import Context
from time import perf_counter
from typing import TypeAlias

from tests.benchmarks.rows import Sampler, Samplers

Operation: TypeAlias = Callable[[], object]
AsyncOperation: TypeAlias = Callable[[], Awaitable[object]]


@contextlib.contextmanager
def in_sync_code(**operations: Operation) -> Iterator[Samplers]:
    """Time operations in the main thread, where no event loop runs."""
    yield {name: timed(operation) for name, operation in operations.items()}


@contextlib.contextmanager
def on_event_loop(**operations: AsyncOperation) -> Iterator[Samplers]:
    """Time async operations, one after the other, in a task of an event loop that all share."""
    with asyncio.Runner() as runner:
        yield {name: timed_async(runner, operation) for name, operation in operations.items()}


def timed(operation: Operation) -> Sampler:
    """Return a sampler of a function."""

    def sample(number: int) -> float:
        start = perf_counter()
        for _ in range(number):
            operation()
        return perf_counter() - start

    return sample


def timed_async(
    runner: asyncio.Runner,
    operation: AsyncOperation,
    *,
    context: Context | None = None,
    warm_up: bool = True,
) -> Sampler:
    """Return a sampler of an async function, which runs in a task for each repeat.

    Args:
        runner: Has the event loop.
        operation: What is timed.
        context: Of the task; one that all tasks of `runner` share if None.
        warm_up: Whether it is done once before the time is taken. anyio's worker threads, for
            one, end with the task that started them.
    """

    async def time(number: int) -> float:
        if warm_up:
            await operation()
        start = perf_counter()
        for _ in range(number):
            await operation()
        return perf_counter() - start

    return lambda number: runner.run(time(number), context=context)
