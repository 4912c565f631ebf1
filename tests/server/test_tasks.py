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
    tasks.cancel()
    await asyncio.wait(tasks.running)
    assert ended == [True]


def test_start_without_a_loop_closes_the_coroutine() -> None:
    coroutine = wait_for_ever()

    with pytest.raises(RuntimeError, match="no running event loop"):
        TaskSet().start(coroutine, name="work")
    assert coroutine.cr_frame is None
    gc.collect()  # a coroutine that nobody awaits would warn


@pytest.mark.asyncio
async def test_ended_tasks_are_not_held() -> None:
    tasks = TaskSet()
    task = tasks.start(asyncio.sleep(0), name="work")
    assert tasks.running == {task}

    await asyncio.wait([task])

    assert tasks.running == set()


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
    await asyncio.wait([other])

    assert other.result() is True
    assert isinstance(failing.exception(), OSError)
