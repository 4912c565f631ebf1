from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future

import pytest

from asgi_sync import async_to_sync, check_cancelled, sync_to_async, was_cancelled
from asgi_sync._cancel_handle import CancelHandle

pytestmark = pytest.mark.each_loop_kind


@pytest.mark.asyncio
async def test_a_cancel_reaches_the_task_from_any_thread() -> None:
    handle = CancelHandle()
    task = asyncio.create_task(asyncio.Event().wait())
    assert handle.attach(task)
    await asyncio.to_thread(handle.cancel)
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.asyncio
async def test_a_cancel_before_there_is_a_task_is_known_when_there_is_one() -> None:
    handle = CancelHandle()
    handle.cancel()
    task = asyncio.create_task(asyncio.sleep(0))
    assert not handle.attach(task)
    await task


@pytest.mark.asyncio
async def test_each_cancel_is_passed_on() -> None:
    handle, cancels = CancelHandle(), []

    async def stubborn() -> None:
        for attempt in range(2):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancels.append(attempt)

    task = asyncio.create_task(stubborn())
    handle.attach(task)
    await asyncio.sleep(0)
    handle.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    handle.cancel()
    await task
    assert cancels == [0, 1]


@pytest.mark.asyncio
async def test_after_the_work_is_done_a_cancel_that_is_under_way_is_dropped() -> None:
    handle = CancelHandle()

    async def work() -> str:
        task = asyncio.current_task()
        assert task is not None
        handle.attach(task)
        handle.cancel()
        handle.detach()
        await asyncio.sleep(0)
        return "not cancelled"

    assert await asyncio.create_task(work()) == "not cancelled"


def test_a_cancel_for_a_loop_that_has_closed_is_dropped() -> None:
    handle, loop = CancelHandle(), asyncio.new_event_loop()

    async def work() -> None:
        task = asyncio.current_task()
        assert task is not None
        handle.attach(task)

    loop.run_until_complete(work())
    loop.close()
    handle.cancel()


@pytest.mark.asyncio
async def test_sync_code_can_ask_whether_its_caller_was_cancelled() -> None:
    began, cancelled, answers = threading.Event(), threading.Event(), Future[tuple[bool, bool]]()

    def function() -> None:
        before = was_cancelled()
        began.set()
        cancelled.wait()
        answers.set_result((before, was_cancelled()))

    task = asyncio.create_task(sync_to_async(function, thread_sensitive=False)())
    while not began.is_set():
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    cancelled.set()
    assert await asyncio.wrap_future(answers) == (False, True)


@pytest.mark.asyncio
async def test_the_cancel_of_an_outer_task_is_known_to_sync_code_further_down() -> None:
    began, answer = threading.Event(), Future[bool]()

    def innermost() -> None:
        began.set()
        while not was_cancelled():
            pass
        answer.set_result(True)

    async def middle() -> None:
        await sync_to_async(innermost)()

    task = asyncio.create_task(sync_to_async(async_to_sync(middle))())
    while not began.is_set():
        await asyncio.sleep(0)
    task.cancel()
    assert await asyncio.wrap_future(answer)
    await asyncio.wait([task])


@pytest.mark.asyncio
async def test_check_cancelled_ends_the_function_and_logs_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    began, cleaned_up = threading.Event(), threading.Event()

    def function() -> None:
        began.set()
        try:
            while True:
                check_cancelled()
        finally:
            cleaned_up.set()

    task = asyncio.create_task(sync_to_async(function, abandon_on_cancel=False)())
    while not began.is_set():
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert cleaned_up.is_set()
    assert caplog.records == []


def test_where_no_task_waits_nothing_is_cancelled() -> None:
    assert not was_cancelled()
    check_cancelled()
