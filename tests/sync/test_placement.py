"""`where_would_run` says what a call then does."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from asgi_sync import (
    AsyncSingleThreadContext,
    Placement,
    ThreadSensitiveContext,
    async_to_sync,
    sync_to_async,
    where_would_run,
)

call = sync_to_async(threading.current_thread)


async def told_and_true() -> tuple[Placement, threading.Thread]:
    return where_would_run(call), await call()


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


class TestSyncFunctions:
    def test_below_async_to_sync_the_waiting_thread(self) -> None:
        told, thread = async_to_sync(told_and_true)()
        assert told.thread is thread is threading.current_thread()
        assert told.where == "on the thread that is blocked in async_to_sync"
        assert "async_to_sync(told_and_true)" in told.why

    @pytest.mark.asyncio
    async def test_elsewhere_the_shared_thread(self) -> None:
        await call()
        told, thread = await told_and_true()
        assert told.thread is thread
        assert str(told).startswith(f"on the one shared thread ({thread.name}): neither")

    @pytest.mark.asyncio
    async def test_in_a_context_the_thread_of_that(self) -> None:
        async with ThreadSensitiveContext():
            assert where_would_run(call).thread is None
            await call()
            told, thread = await told_and_true()
        assert told.thread is thread
        assert told.where == "on the thread of the ThreadSensitiveContext"

    @pytest.mark.asyncio
    async def test_in_a_context_that_has_exited_the_error_of_the_call(
        self, executor: ThreadPoolExecutor
    ) -> None:
        async with ThreadSensitiveContext(executor=executor):
            context = contextvars.copy_context()
        with pytest.raises(RuntimeError, match="has exited"):
            context.run(where_would_run, call)

    @pytest.mark.asyncio
    async def test_in_a_loop_run_by_sensitive_code_a_thread_of_that_loop(self) -> None:
        told, _ = await sync_to_async(lambda: asyncio.run(told_and_true()))()
        assert told.where.startswith("on a thread that the event loop keeps")

    @pytest.mark.asyncio
    async def test_started_by_a_busy_function_the_thread_of_that(self) -> None:
        loop, told = asyncio.get_running_loop(), Future[Placement]()

        def function() -> threading.Thread:
            loop.call_soon_threadsafe(lambda: told.set_result(where_would_run(call)))
            told.result()
            return threading.current_thread()

        thread = await sync_to_async(function)()
        assert told.result().thread is thread
        assert "function, which is still running" in told.result().why

    @pytest.mark.asyncio
    async def test_what_is_not_sensitive_runs_anywhere(self, executor: ThreadPoolExecutor) -> None:
        told = where_would_run(sync_to_async(print, thread_sensitive=False))
        assert told.where == "on any thread of a pool"
        told = where_would_run(sync_to_async(print, thread_sensitive=False, executor=executor))
        assert told.why == "executor= was given"

    def test_without_an_event_loop_it_is_an_error(self) -> None:
        with pytest.raises(RuntimeError, match="no running event loop"):
            where_would_run(call)


class TestAsyncFunctions:
    def test_plain_code_runs_a_loop_itself(self) -> None:
        told = where_would_run(async_to_sync(told_and_true))
        assert told.thread is threading.current_thread()
        assert told.where.startswith("on an event loop of its own")

    @pytest.mark.asyncio
    async def test_below_sync_to_async_the_loop_of_the_caller(self) -> None:
        def view() -> list[Placement]:
            return [
                where_would_run(async_to_sync(told_and_true, force_new_loop=new))
                for new in (False, True)
            ]

        on_parent, on_own = await sync_to_async(view)()
        assert on_parent.where == "on the event loop of the caller"
        assert "view), which that loop waits for" in on_parent.why
        assert on_own.why == "force_new_loop was given"

    def test_in_a_single_thread_context_the_loop_of_that(self) -> None:
        with AsyncSingleThreadContext():
            told = where_would_run(async_to_sync(told_and_true))
        assert told.where == "on the event loop of the AsyncSingleThreadContext"

    @pytest.mark.asyncio
    async def test_under_a_running_loop_it_is_the_error_of_the_call(self) -> None:
        with pytest.raises(RuntimeError, match="just await the async function"):
            where_would_run(async_to_sync(told_and_true))


def test_anything_else_is_refused() -> None:
    with pytest.raises(TypeError, match="must come from sync_to_async or async_to_sync, not be 7"):
        where_would_run(7)  # type: ignore[arg-type]
