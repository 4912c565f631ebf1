from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from asgi_sync import (
    SyncToAsync,
    ThreadSensitiveContext,
    async_to_sync,
    sync_to_async,
)
from asgi_sync._workers import workers

pytestmark = pytest.mark.each_loop_kind

thread_of_sync_code = sync_to_async(threading.get_ident)


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


@pytest.mark.asyncio
async def test_a_context_without_calls_uses_no_thread() -> None:
    leased = workers.lease
    try:
        workers.lease = lambda name: pytest.fail("a thread was taken")  # type: ignore[method-assign]
        async with ThreadSensitiveContext():
            pass
    finally:
        workers.lease = leased  # type: ignore[method-assign]


@pytest.mark.asyncio
async def test_contexts_one_after_the_other_reuse_a_thread() -> None:
    threads = set()
    for _ in range(20):
        async with ThreadSensitiveContext():
            threads.add(await sync_to_async(threading.current_thread)())
    assert len(threads) < 20


@pytest.mark.asyncio
async def test_leaving_does_not_wait_for_a_call_that_still_runs() -> None:
    release = threading.Event()
    async with ThreadSensitiveContext():
        task = asyncio.create_task(sync_to_async(release.wait)())
        await asyncio.sleep(0)
    assert not task.done()
    release.set()
    assert await task


@pytest.mark.asyncio
async def test_a_nested_context_changes_nothing() -> None:
    async with ThreadSensitiveContext():
        outer = await thread_of_sync_code()
        async with ThreadSensitiveContext():
            assert await thread_of_sync_code() == outer
        assert await thread_of_sync_code() == outer


@pytest.mark.asyncio
async def test_the_same_context_may_be_entered_again_inside_and_afterwards() -> None:
    context = ThreadSensitiveContext()
    for _ in range(2):
        async with context:
            outer = await thread_of_sync_code()
            async with context:
                assert await thread_of_sync_code() == outer
            assert await thread_of_sync_code() == outer


@pytest.mark.asyncio
async def test_after_the_block_calls_go_where_they_went_before() -> None:
    before = await thread_of_sync_code()
    async with ThreadSensitiveContext():
        await thread_of_sync_code()
    assert await thread_of_sync_code() == before
    assert SyncToAsync.thread_sensitive_context.get(None) is None


@pytest.mark.asyncio
async def test_calls_of_a_task_that_outlives_the_block_still_run_and_one_at_a_time() -> None:
    block_has_ended, running = asyncio.Event(), []

    def alone() -> int:
        running.append(1)
        assert running == [1]
        running.pop()
        return threading.get_ident()

    async def later() -> int:
        await block_has_ended.wait()
        return await sync_to_async(alone)()

    async with ThreadSensitiveContext():
        tasks = [asyncio.create_task(later()) for _ in range(20)]
        await asyncio.sleep(0)
    block_has_ended.set()
    assert threading.get_ident() not in await asyncio.gather(*tasks)


@pytest.mark.asyncio
async def test_it_may_be_left_in_another_contextvars_context() -> None:
    """As test frameworks do with fixtures."""
    context, contextvars_context = ThreadSensitiveContext(), contextvars.copy_context()
    loop = asyncio.get_running_loop()
    await contextvars_context.run(loop.create_task, context.__aenter__())
    await context.__aexit__(None, None, None)
    async with ThreadSensitiveContext():
        assert await thread_of_sync_code()


@pytest.mark.asyncio
async def test_a_given_executor_runs_the_calls_and_is_not_shut_down(
    executor: ThreadPoolExecutor,
) -> None:
    async with ThreadSensitiveContext(executor=executor):
        thread = await thread_of_sync_code()
    assert executor.submit(threading.get_ident).result() == thread


@pytest.mark.asyncio
async def test_a_context_with_an_executor_counts_inside_another(
    executor: ThreadPoolExecutor,
) -> None:
    async with ThreadSensitiveContext():
        outer = await thread_of_sync_code()
        async with ThreadSensitiveContext(executor=executor):
            inner = await thread_of_sync_code()
            async with ThreadSensitiveContext():
                assert await thread_of_sync_code() == inner
        assert await thread_of_sync_code() == outer
    assert inner != outer


def test_a_context_with_an_executor_counts_below_async_to_sync(
    executor: ThreadPoolExecutor,
) -> None:
    async def main() -> tuple[int, int, int]:
        async with ThreadSensitiveContext(executor=executor):
            direct = await thread_of_sync_code()
            nested = await sync_to_async(async_to_sync(thread_of_sync_code))()
        return direct, nested, await thread_of_sync_code()

    direct, nested, after = async_to_sync(main)()
    assert direct == nested == executor.submit(threading.get_ident).result()
    assert after == threading.get_ident()


@pytest.mark.asyncio
async def test_a_call_after_a_context_with_an_executor_has_ended_is_refused(
    executor: ThreadPoolExecutor,
) -> None:
    block_has_ended = asyncio.Event()

    async def later() -> int:
        await block_has_ended.wait()
        return await thread_of_sync_code()

    async with ThreadSensitiveContext(executor=executor):
        task = asyncio.create_task(later())
        await asyncio.sleep(0)
    block_has_ended.set()
    with pytest.raises(RuntimeError, match=r"has exited.*get_ident"):
        await task


@pytest.mark.asyncio
async def test_a_context_with_an_executor_can_be_entered_only_once(
    executor: ThreadPoolExecutor,
) -> None:
    context = ThreadSensitiveContext(executor=executor)
    async with context:
        with pytest.raises(RuntimeError, match="already entered"):
            await context.__aenter__()
    with pytest.raises(RuntimeError, match="cannot be entered again"):
        await context.__aenter__()


def test_an_executor_that_cannot_submit_is_refused() -> None:
    with pytest.raises(TypeError, match=r"concurrent\.futures\.Executor, not 3"):
        ThreadSensitiveContext(executor=3)  # type: ignore[arg-type]


def test_below_sync_code_a_context_leaves_the_blocked_thread_in_charge() -> None:
    async def main() -> int:
        async with ThreadSensitiveContext():
            executor = SyncToAsync.thread_sensitive_context.get(None)
            assert executor is None
            return await thread_of_sync_code()

    assert async_to_sync(main)() == threading.get_ident()


def test_in_an_empty_context_it_counts_below_sync_code_too() -> None:
    """Tests of Django have a request run so, and expect a thread for each of several."""

    async def inside() -> int:
        async with ThreadSensitiveContext():
            return await thread_of_sync_code()

    async def main() -> int:
        loop = asyncio.get_running_loop()
        return await loop.create_task(inside(), context=contextvars.Context())

    assert async_to_sync(main)() != threading.get_ident()
