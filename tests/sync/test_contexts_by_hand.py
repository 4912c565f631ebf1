"""Contexts that pools of request threads set by hand, with executors of their own for them."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from asgi_sync import (
    AsyncToSync,
    SyncToAsync,
    ThreadSensitiveContext,
    async_to_sync,
    sync_to_async,
)

this_thread = sync_to_async(threading.current_thread)


class Lent:
    """A context that is never entered, and the thread that a pool keeps for it."""

    def __init__(self, executor: ThreadPoolExecutor) -> None:
        self.context = ThreadSensitiveContext()
        self.thread = executor.submit(threading.current_thread).result()
        SyncToAsync.context_to_thread_executor[self.context] = executor

    @contextmanager
    def in_force(self) -> Iterator[None]:
        token = SyncToAsync.thread_sensitive_context.set(self.context)
        try:
            yield
        finally:
            SyncToAsync.thread_sensitive_context.reset(token)

    async def call_detached(self, function: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Await it in a task that descends from nothing, with this context in force."""
        empty = contextvars.Context()
        empty.run(SyncToAsync.thread_sensitive_context.set, self.context)
        return await asyncio.create_task(function(), context=empty)


@pytest.fixture
def lent() -> Iterator[Lent]:
    with ThreadPoolExecutor(max_workers=1) as executor:
        yield Lent(executor)


async def thread_of_a_request() -> threading.Thread:
    """The thread that a framework's request has, which enters a context of its own."""
    async with ThreadSensitiveContext():
        return await this_thread()


@pytest.mark.asyncio
async def test_a_context_entered_inside_leaves_the_calls_to_the_pool(lent: Lent) -> None:
    with lent.in_force():
        assert await this_thread() is lent.thread
        async with ThreadSensitiveContext():
            assert await this_thread() is lent.thread
            assert SyncToAsync.thread_sensitive_context.get() is lent.context
        assert await this_thread() is lent.thread
    assert await this_thread() is not lent.thread


@pytest.mark.asyncio
async def test_inside_an_entered_context_the_one_set_by_hand_counts(lent: Lent) -> None:
    async with ThreadSensitiveContext():
        entered = await this_thread()
        with lent.in_force():
            assert await this_thread() is lent.thread
            assert await thread_of_a_request() is lent.thread
        assert await this_thread() is entered


@pytest.mark.asyncio
async def test_a_context_with_an_executor_counts_inside_one_set_by_hand(lent: Lent) -> None:
    with lent.in_force(), ThreadPoolExecutor(max_workers=1) as own:
        async with ThreadSensitiveContext(executor=own):
            assert await this_thread() is own.submit(threading.current_thread).result()
        assert await this_thread() is lent.thread


@pytest.mark.asyncio
async def test_a_task_that_outlives_a_context_may_be_lent_a_thread(lent: Lent) -> None:
    async def outlives() -> tuple[threading.Thread, threading.Thread]:
        await has_ended.wait()
        with lent.in_force():
            return await this_thread(), await thread_of_a_request()

    has_ended = asyncio.Event()
    async with ThreadSensitiveContext():
        task = asyncio.create_task(outlives())
    has_ended.set()
    assert await task == (lent.thread, lent.thread)


def test_a_waiting_thread_serves_whatever_was_set_by_hand(lent: Lent) -> None:
    async def main() -> tuple[threading.Thread, threading.Thread]:
        with lent.in_force():
            return await this_thread(), await thread_of_a_request()

    here = threading.current_thread()
    assert async_to_sync(main)() == (here, here)


def test_a_detached_task_has_its_pools_thread_and_not_the_waiting_one(lent: Lent) -> None:
    async def main() -> tuple[threading.Thread, threading.Thread]:
        return (
            await lent.call_detached(this_thread),
            await lent.call_detached(thread_of_a_request),
        )

    assert async_to_sync(main)() == (lent.thread, lent.thread)


@pytest.mark.asyncio
async def test_a_detached_task_that_is_given_an_entered_context_has_its_thread() -> None:
    async with ThreadSensitiveContext() as context:
        given = contextvars.Context()
        given.run(SyncToAsync.thread_sensitive_context.set, context)
        detached = asyncio.create_task(this_thread(), context=given)
        assert await detached is await this_thread()


@pytest.mark.asyncio
@pytest.mark.parametrize("has_executor", [True, False])
async def test_the_executor_of_an_entered_context_can_be_looked_up(has_executor: bool) -> None:
    executors = SyncToAsync.context_to_thread_executor
    with ThreadPoolExecutor(max_workers=1) as own:
        context = ThreadSensitiveContext(executor=own if has_executor else None)
        assert context not in executors
        assert None not in executors
        async with context:
            assert context in executors
            found = executors[context].submit(threading.current_thread)
            assert await asyncio.wrap_future(found) is await this_thread()
        assert context not in executors
        with pytest.raises(KeyError):
            executors[context]


def test_no_thread_is_blocked_for_a_context_with_an_executor() -> None:
    async def main() -> None:
        assert hasattr(AsyncToSync.executors, "current")
        with ThreadPoolExecutor(max_workers=1) as own:
            async with ThreadSensitiveContext(executor=own):
                assert not hasattr(AsyncToSync.executors, "current")
            assert hasattr(AsyncToSync.executors, "current")

    async_to_sync(main)()
