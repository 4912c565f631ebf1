from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any

import pytest
from helpers.locals import (
    both_kinds,
    in_another_thread,
    set_in_async_code,
    value_in_async_code,
    value_of,
)

from asgi_local import Local
from asgi_sync import async_to_sync


@both_kinds
@pytest.mark.asyncio
async def test_a_task_starts_with_its_parents_values(thread_critical: bool) -> None:
    local = Local(thread_critical)
    local.value = "parent's"
    assert await asyncio.create_task(value_in_async_code(local)) == "parent's"


@both_kinds
@pytest.mark.asyncio
async def test_what_a_task_sets_or_deletes_stays_in_it(thread_critical: bool) -> None:
    local = Local(thread_critical)
    local.value = "parent's"

    async def delete() -> None:
        del local.value

    await asyncio.create_task(set_in_async_code(local, "child's"))
    await asyncio.create_task(delete())
    assert local.value == "parent's"


@both_kinds
@pytest.mark.asyncio
async def test_what_a_parent_sets_later_is_not_its_childs(thread_critical: bool) -> None:
    local, proceed = Local(thread_critical), asyncio.Event()
    local.value = "before"

    async def child() -> Any:
        await proceed.wait()
        return value_of(local)

    task = asyncio.create_task(child())
    await asyncio.sleep(0)
    local.value = "after"
    proceed.set()
    assert await task == "before"


@both_kinds
@pytest.mark.asyncio
async def test_a_task_that_outlives_its_parent_keeps_its_values(thread_critical: bool) -> None:
    local, proceed = Local(thread_critical), asyncio.Event()

    async def child() -> Any:
        await proceed.wait()
        return value_of(local)

    async def parent() -> asyncio.Task[Any]:
        local.value = "parent's"
        return asyncio.create_task(child())

    task = await asyncio.create_task(parent())
    assert value_of(local) is None
    proceed.set()
    assert await task == "parent's"


@both_kinds
@pytest.mark.asyncio
async def test_a_mutable_value_is_one_and_the_same_in_all_tasks(thread_critical: bool) -> None:
    local = Local(thread_critical)
    local.value = shared = []

    async def child() -> None:
        local.value.append("child's")

    await asyncio.create_task(child())
    assert local.value is shared
    assert shared == ["child's"]


# Loops


def test_critical_values_of_one_loop_do_not_show_in_the_next() -> None:
    local = Local(thread_critical=True)
    async_to_sync(set_in_async_code)(local, "first loop's")
    assert async_to_sync(value_in_async_code)(local) is None
    assert asyncio.run(value_in_async_code(local)) is None


@pytest.mark.asyncio
async def test_a_loop_that_is_moved_to_another_thread_keeps_its_tasks_values() -> None:
    plain, critical = Local(), Local(thread_critical=True)
    moved = asyncio.Event()

    async def task() -> tuple[Any, Any]:
        plain.value, critical.value = "plain", "critical"
        await moved.wait()
        return plain.value, critical.value

    def in_two_threads() -> Any:
        loop = asyncio.new_event_loop()
        try:
            running = loop.create_task(task(), context=contextvars.Context())
            loop.run_until_complete(asyncio.sleep(0))
            moved.set()
            return in_another_thread(loop.run_until_complete, running)
        finally:
            loop.close()

    assert await asyncio.to_thread(in_two_threads) == ("plain", "critical")


@both_kinds
def test_so_does_a_task_that_began_in_the_context_of_its_thread(thread_critical: bool) -> None:
    local, unrelated, moved = Local(thread_critical), Local(), asyncio.Event()
    unrelated.value = "of the thread"

    async def task() -> Any:
        local.value = "task's"
        await moved.wait()
        return local.value

    loop = asyncio.new_event_loop()
    try:
        running = loop.create_task(task())
        loop.run_until_complete(asyncio.sleep(0))
        moved.set()
        assert in_another_thread(loop.run_until_complete, running) == "task's"
    finally:
        loop.close()


@both_kinds
def test_a_task_that_a_thread_sends_to_the_loop_of_another_sees_nothing_of_it(
    thread_critical: bool,
) -> None:
    local, loop = Local(thread_critical), asyncio.new_event_loop()
    local.value = "sender's"

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        seen = asyncio.run_coroutine_threadsafe(value_in_async_code(local), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
    assert seen is None
