"""Which thread runs the event loop of a call from plain sync code, and when that changes."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from asgi_sync import async_to_sync, sync_to_async

this_thread = threading.get_ident
thread_of_sync_code = sync_to_async(threading.get_ident)


async def thread_of_async_code() -> int:
    await asyncio.sleep(0)
    return this_thread()


def test_the_calling_thread_runs_the_loop_itself() -> None:
    assert async_to_sync(thread_of_async_code)() == this_thread()


def test_it_hands_the_loop_over_to_serve_and_serves_until_the_end() -> None:
    async def main() -> list[int]:
        loop, before = asyncio.get_running_loop(), this_thread()
        served = await thread_of_sync_code()
        assert asyncio.get_running_loop() is loop
        return [before, served, this_thread(), await thread_of_sync_code()]

    before, served, after, served_again = async_to_sync(main)()
    assert before == served == served_again == this_thread()
    assert after != this_thread()


def test_while_it_handles_an_exception_another_thread_runs_the_loop() -> None:
    seen: list[object] = []

    async def task() -> None:
        seen.append(sys.exc_info()[1])

    async def main() -> int:
        await asyncio.create_task(task(), context=contextvars.Context())
        seen.append(sys.exc_info()[1])
        return this_thread()

    error = LookupError()
    try:
        raise error
    except LookupError:
        thread = async_to_sync(main)()
    assert thread != this_thread()
    # The task below: nothing; the callee: what its caller handles. (In the task the callee's
    # exception is not its own.)
    assert seen == [None, error]


def test_a_call_that_is_asked_to_serve_by_another_thread_hands_over() -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1) as other_thread:
            context = contextvars.copy_context()

            def asks() -> int:
                call = context.run(thread_of_sync_code)
                return asyncio.run_coroutine_threadsafe(call, loop).result()

            return await asyncio.wrap_future(other_thread.submit(asks))

    assert async_to_sync(main)() == this_thread()


def test_nested_calls_on_loops_of_their_own_each_hand_over() -> None:
    def middle(depth: int) -> int:
        return async_to_sync(outer, force_new_loop=True)(depth - 1)

    async def outer(depth: int) -> int:
        return await (sync_to_async(middle)(depth) if depth else thread_of_sync_code())

    assert async_to_sync(outer)(5) == this_thread()


def test_a_task_sees_its_context_variables_on_both_sides_of_a_hand_over() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")

    async def task() -> str:
        variable.set("task's")
        await thread_of_sync_code()
        return variable.get()

    async def main() -> tuple[str, str]:
        variable.set("main's")
        return await asyncio.create_task(task()), variable.get()

    assert async_to_sync(main)() == ("task's", "main's")


def test_a_loop_that_is_stopped_before_the_end_is_an_error() -> None:
    cancelled: list[str] = []

    async def main() -> None:
        asyncio.get_running_loop().stop()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append("main")
            raise

    with pytest.raises(RuntimeError, match="stopped before Future completed"):
        async_to_sync(main)()
    assert cancelled == ["main"]


def test_a_loop_that_is_stopped_on_the_helper_is_an_error_too() -> None:
    async def main() -> None:
        await thread_of_sync_code()
        asyncio.get_running_loop().stop()
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="stopped before Future completed"):
        async_to_sync(main)()


@pytest.mark.parametrize("served_before", [False, True])
def test_system_exit_in_another_task_ends_the_call(served_before: bool) -> None:
    cancelled: list[str] = []

    async def exits() -> None:
        raise SystemExit(3)

    async def main() -> None:
        if served_before:
            await thread_of_sync_code()
        task = asyncio.create_task(exits())
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append("main")
            raise
        finally:
            assert task.done()

    with pytest.raises(SystemExit):
        async_to_sync(main)()
    assert cancelled == ["main"]
    assert async_to_sync(thread_of_async_code)() == this_thread()


def test_an_error_of_a_task_left_behind_is_reported_as_asyncio_run_does(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fails_when_cancelled() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise LookupError("in the clean-up")

    async def main() -> None:
        tasks.append(asyncio.create_task(fails_when_cancelled()))
        await asyncio.sleep(0)

    tasks: list[asyncio.Task[None]] = []
    async_to_sync(main)()
    reported = [record.exc_info[1] for record in caplog.records if record.exc_info]
    assert tasks[0].exception() in reported
    assert isinstance(tasks[0].exception(), LookupError)


def test_a_call_with_a_time_out_leaves_a_clean_loop() -> None:
    async def main() -> asyncio.AbstractEventLoop:
        async with asyncio.timeout(1000):
            await asyncio.sleep(0)
        return asyncio.get_running_loop()

    assert async_to_sync(main)() is async_to_sync(main)()
