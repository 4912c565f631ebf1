from __future__ import annotations

import asyncio
import gc

import pytest

from asgi_server._tasks import TaskSet


async def wait_for_ever() -> None:
    await asyncio.get_running_loop().create_future()


async def a_few_iterations() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.asyncio
async def test_running_task_is_held_against_garbage_collection() -> None:
    tasks = TaskSet()
    ended: list[bool] = []

    async def work() -> None:
        try:
            await wait_for_ever()
        finally:
            ended.append(True)

    tasks.start(work(), name="work")
    await a_few_iterations()
    gc.collect()

    assert ended == []
    await tasks.wait_ended(cancel=True)
    assert ended == [True]


def test_start_without_a_loop_closes_the_coroutine() -> None:
    coroutine = wait_for_ever()

    with pytest.raises(RuntimeError, match="no running event loop"):
        TaskSet().start(coroutine, name="work")
    assert coroutine.cr_frame is None
    gc.collect()  # a coroutine that nobody awaits would warn


@pytest.mark.asyncio
async def test_waiting_for_no_task_returns() -> None:
    await TaskSet().wait_ended()


@pytest.mark.asyncio
async def test_waiting_includes_tasks_started_meanwhile() -> None:
    tasks = TaskSet()
    order: list[str] = []

    async def second() -> None:
        await a_few_iterations()
        order.append("second")

    async def first() -> None:
        tasks.start(second(), name="second")
        order.append("first")

    tasks.start(first(), name="first")
    await tasks.wait_ended()

    assert order == ["first", "second"]


@pytest.mark.asyncio
async def test_failure_of_one_task_leaves_the_others() -> None:
    tasks = TaskSet()
    may_end = asyncio.Event()

    async def fail() -> None:
        raise OSError

    failing = tasks.start(fail(), name="failing")
    other = tasks.start(may_end.wait(), name="other")
    await asyncio.wait([failing])
    may_end.set()
    await tasks.wait_ended()

    assert other.result() is True
    assert isinstance(failing.exception(), OSError)


@pytest.mark.asyncio
async def test_cancelling_all_does_not_interrupt_the_clean_up_of_one_cancelled_before() -> None:
    tasks = TaskSet()
    cleaning, cleaned = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        try:
            await wait_for_ever()
        finally:
            cleaning.set()
            await a_few_iterations()
            cleaned.set()

    task = tasks.start(work(), name="work")
    await asyncio.sleep(0)
    tasks.cancel(task)
    await cleaning.wait()
    await tasks.wait_ended(cancel=True)

    assert cleaned.is_set()


@pytest.mark.asyncio
async def test_task_that_forgot_uncancel_is_cancelled_like_any_other() -> None:
    tasks = TaskSet()
    ready = asyncio.Event()

    async def work() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        try:
            await wait_for_ever()
        except asyncio.CancelledError:
            ready.set()
        await wait_for_ever()

    task = tasks.start(work(), name="work")
    await ready.wait()
    assert task.cancelling() == 1
    await tasks.wait_ended(cancel=True)

    assert task.cancelled()


@pytest.mark.asyncio
async def test_cancelled_wait_cancels_the_tasks_and_still_waits_for_them() -> None:
    tasks = TaskSet()
    may_end = asyncio.Event()

    async def work() -> None:
        try:
            await wait_for_ever()
        finally:
            await may_end.wait()

    task = tasks.start(work(), name="work")
    waiter = asyncio.create_task(tasks.wait_ended())
    await a_few_iterations()
    waiter.cancel("enough")
    await a_few_iterations()
    assert not waiter.done()

    may_end.set()
    with pytest.raises(asyncio.CancelledError, match="enough"):
        await waiter
    assert task.cancelled()
