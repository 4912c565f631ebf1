"""Limits of threads hold for the whole process, and can be changed at any time."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from asgi_sync import (
    ThreadLimits,
    ThreadSensitiveContext,
    async_to_sync,
    get_thread_limits,
    set_thread_limits,
    sync_to_async,
)


@pytest.fixture(autouse=True)
def limits() -> Iterator[None]:
    before = get_thread_limits()
    yield
    set_thread_limits(
        pool=before.pool, contexts="unlimited" if before.contexts is None else before.contexts
    )


class Counted:
    """A sync function that tells how many of it run at once at most."""

    def __init__(self) -> None:
        self.most = 0
        self._now = 0
        self._lock = threading.Lock()

    def __call__(self) -> None:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        with self._lock:
            self._now -= 1


def test_setting_returns_what_was_before_and_leaves_what_is_not_given() -> None:
    before = get_thread_limits()
    assert set_thread_limits(pool=3) == before
    assert set_thread_limits(contexts=4) == ThreadLimits(3, before.contexts)
    assert set_thread_limits(contexts="unlimited") == ThreadLimits(3, 4)
    assert get_thread_limits() == ThreadLimits(3, None)


@pytest.mark.parametrize("limit", [0, -1, 1.5, "many", True])
@pytest.mark.parametrize("name", ["pool", "contexts"])
def test_what_is_no_number_of_threads_is_refused_and_nothing_set(name: str, limit: Any) -> None:
    before = get_thread_limits()
    with pytest.raises(ValueError, match=f"{name} must be a number of threads, at least 1, not"):
        set_thread_limits(**{"pool": 5, name: limit})
    assert get_thread_limits() == before


@pytest.mark.asyncio
async def test_no_more_calls_run_than_the_pool_allows() -> None:
    set_thread_limits(pool=2)
    counted = Counted()
    call = sync_to_async(counted, thread_sensitive=False)
    await asyncio.gather(*(call() for _ in range(50)))
    assert counted.most <= 2


@pytest.mark.asyncio
async def test_more_room_in_the_pool_is_used_at_once() -> None:
    set_thread_limits(pool=1)
    hold, ran = threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    first = asyncio.create_task(sync_to_async(hold.wait, thread_sensitive=False)())
    await asyncio.sleep(0)
    second = sync_to_async(loop.call_soon_threadsafe, thread_sensitive=False)
    waiting = asyncio.create_task(second(ran.set))
    await asyncio.sleep(0)
    set_thread_limits(pool=2)
    await ran.wait()
    hold.set()
    await asyncio.gather(first, waiting)


@pytest.mark.asyncio
async def test_contexts_beyond_the_limit_wait_first_come_first_served() -> None:
    set_thread_limits(contexts=1)
    order: list[int] = []

    async def request(number: int) -> None:
        async with ThreadSensitiveContext():
            await sync_to_async(order.append)(number)

    await asyncio.gather(*(request(number) for number in range(30)))
    assert order == list(range(30))


@pytest.mark.asyncio
async def test_no_more_contexts_hold_a_thread_than_are_allowed() -> None:
    set_thread_limits(contexts=3)
    threads: set[threading.Thread] = set()
    most = 0

    async def request() -> None:
        nonlocal most
        async with ThreadSensitiveContext():
            thread = await sync_to_async(threading.current_thread)()
            threads.add(thread)
            most = max(most, len(threads))
            await asyncio.sleep(0)
            threads.remove(thread)

    await asyncio.gather(*(request() for _ in range(30)))
    assert most <= 3


@pytest.mark.asyncio
async def test_a_context_that_is_blocked_in_async_to_sync_does_not_count() -> None:
    set_thread_limits(contexts=1)
    go_on = asyncio.Event()

    async def first() -> str:
        async with ThreadSensitiveContext():
            await sync_to_async(async_to_sync(go_on.wait))()
        return "first"

    async def second() -> str:
        async with ThreadSensitiveContext():
            await sync_to_async(lambda: None)()
        go_on.set()
        return "second"

    assert await asyncio.gather(first(), second()) == ["first", "second"]


@pytest.mark.asyncio
async def test_a_context_that_nobody_has_left_gives_its_place_back_when_it_is_collected() -> None:
    set_thread_limits(contexts=1)

    dead: list[weakref.ref[ThreadSensitiveContext]] = []

    async def never_left() -> None:
        context = ThreadSensitiveContext()
        dead.append(weakref.ref(context))
        await context.__aenter__()
        await sync_to_async(lambda: None)()

    await asyncio.create_task(never_left())
    # The event loop refers to the task, and the thread to the call, for a moment more.
    while dead[0]() is not None:
        await asyncio.sleep(0)
        gc.collect()
    async with ThreadSensitiveContext():
        assert await sync_to_async(lambda: "ran")() == "ran"


@pytest.mark.asyncio
async def test_more_contexts_are_admitted_at_once_when_the_limit_rises() -> None:
    set_thread_limits(contexts=1)
    hold, loop, ran = threading.Event(), asyncio.get_running_loop(), asyncio.Event()

    async def request(function: Any, *args: Any) -> None:
        async with ThreadSensitiveContext():
            await sync_to_async(function)(*args)

    first = asyncio.create_task(request(hold.wait))
    await asyncio.sleep(0)
    second = asyncio.create_task(request(loop.call_soon_threadsafe, ran.set))
    await asyncio.sleep(0)
    set_thread_limits(contexts="unlimited")
    await ran.wait()
    hold.set()
    await asyncio.gather(first, second)
