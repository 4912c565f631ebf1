from __future__ import annotations

import asyncio
import threading

import pytest

from asgi_sync import AsyncSingleThreadContext, async_to_sync, sync_to_async

pytestmark = pytest.mark.each_loop_kind


async def where() -> tuple[asyncio.AbstractEventLoop, int]:
    return asyncio.get_running_loop(), threading.get_ident()


def test_calls_inside_share_one_loop_in_one_thread_which_is_not_the_callers() -> None:
    with AsyncSingleThreadContext():
        first, second = async_to_sync(where)(), async_to_sync(where)()
    assert first == second
    assert first[1] != threading.get_ident()


def test_the_loop_is_closed_at_the_end_of_the_block() -> None:
    with AsyncSingleThreadContext():
        loop, _ = async_to_sync(where)()
        assert not loop.is_closed()
    assert loop.is_closed()


def test_what_is_bound_to_the_loop_works_in_the_next_call() -> None:
    async def connect() -> asyncio.Queue[str]:
        queue: asyncio.Queue[str] = asyncio.Queue()
        queue.get_task = asyncio.create_task(queue.get())  # type: ignore[attr-defined]
        await asyncio.sleep(0)
        return queue

    async def exchange(queue: asyncio.Queue[str]) -> str:
        await queue.put("message")
        result: str = await queue.get_task  # type: ignore[attr-defined]
        return result

    with AsyncSingleThreadContext():
        assert async_to_sync(exchange)(async_to_sync(connect)()) == "message"


def test_tasks_that_are_left_are_cancelled_and_may_clean_up_with_sync_code() -> None:
    cleaned_up_in: list[int] = []

    async def left_behind() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned_up_in.append(await sync_to_async(threading.get_ident)())

    async def start() -> asyncio.Task[None]:
        task = asyncio.create_task(left_behind())
        await asyncio.sleep(0)
        return task

    with AsyncSingleThreadContext():
        task = async_to_sync(start)()
        assert not cleaned_up_in
    assert cleaned_up_in == [threading.get_ident()]
    assert task.cancelled()


def test_sensitive_code_below_runs_in_the_callers_thread() -> None:
    with AsyncSingleThreadContext():
        assert async_to_sync(sync_to_async(threading.get_ident))() == threading.get_ident()


def test_a_task_of_an_earlier_call_is_served_by_the_present_one() -> None:
    async def start() -> tuple[asyncio.Event, asyncio.Task[int]]:
        event = asyncio.Event()

        async def later() -> int:
            await event.wait()
            return await sync_to_async(threading.get_ident)()

        return event, asyncio.create_task(later())

    async def finish(event: asyncio.Event, task: asyncio.Task[int]) -> int:
        event.set()
        return await task

    with AsyncSingleThreadContext():
        assert async_to_sync(finish)(*async_to_sync(start)()) == threading.get_ident()


def test_a_nested_one_changes_nothing() -> None:
    with AsyncSingleThreadContext():
        outer = async_to_sync(where)()
        with AsyncSingleThreadContext():
            assert async_to_sync(where)() == outer
        assert async_to_sync(where)() == outer


def test_the_same_one_may_be_entered_again_inside_and_afterwards() -> None:
    context = AsyncSingleThreadContext()
    for _ in range(2):
        with context:
            outer = async_to_sync(where)()
            with context:
                assert async_to_sync(where)() == outer
            assert async_to_sync(where)() == outer


def test_a_block_without_calls_uses_no_thread() -> None:
    threads = threading.active_count()
    with AsyncSingleThreadContext():
        assert threading.active_count() == threads


def test_after_the_block_calls_have_loops_of_their_own_again() -> None:
    with AsyncSingleThreadContext():
        inside, _ = async_to_sync(where)()
    after, _ = async_to_sync(where)()
    assert after is not inside


def test_a_new_loop_below_a_call_that_uses_the_shared_one() -> None:
    forced = async_to_sync(where, force_new_loop=True)

    async def outer() -> bool:
        loop, _ = await sync_to_async(forced)()
        return loop is asyncio.get_running_loop()

    with AsyncSingleThreadContext():
        assert async_to_sync(outer)() is False


def test_an_error_in_a_call_leaves_the_loop_in_use() -> None:
    async def fails() -> None:
        raise LookupError

    with AsyncSingleThreadContext():
        before = async_to_sync(where)()
        with pytest.raises(LookupError):
            async_to_sync(fails)()
        assert async_to_sync(where)() == before
