from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from asgi_local import Local
from asgi_sync import ThreadSensitiveContext, async_to_sync, sync_to_async

both_kinds = pytest.mark.parametrize("thread_critical", [False, True], ids=["plain", "critical"])


def in_another_thread(function: Any, *args: Any) -> Any:
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(function, *args).result()


def value_of(local: Local) -> Any:
    return getattr(local, "value", None)


async def value_in_async_code(local: Local) -> Any:
    return value_of(local)


async def set_in_async_code(local: Local, value: Any) -> None:
    local.value = value


# As an object with attributes


@both_kinds
def test_an_attribute_can_be_set_read_changed_and_deleted(thread_critical: bool) -> None:
    local = Local(thread_critical)
    local.value = 1
    assert local.value == 1
    local.value = 2
    assert local.value == 2
    del local.value
    assert not hasattr(local, "value")


@both_kinds
def test_reading_or_deleting_what_is_not_set_is_an_attribute_error(thread_critical: bool) -> None:
    local = Local(thread_critical)
    with pytest.raises(AttributeError, match="'missing'"):
        _ = local.missing
    with pytest.raises(AttributeError, match="'missing'"):
        del local.missing


@both_kinds
def test_any_value_is_kept_as_it_is(thread_critical: bool) -> None:
    local, values = Local(thread_critical), [None, False, object(), AttributeError, [1]]
    for value in values:
        local.value = value
        assert local.value is value


@pytest.mark.parametrize("name", ["_asgi_local_storage", "__class__", "__dict__", "__init__"])
def test_a_name_that_the_object_needs_itself_cannot_be_set(name: str) -> None:
    local = Local()
    with pytest.raises(AttributeError, match=name):
        setattr(local, name, 1)
    local.still_works = True
    assert local.still_works


def test_two_locals_have_nothing_in_common() -> None:
    first, second = Local(), Local()
    first.value = 1
    assert not hasattr(second, "value")


def test_it_is_a_class_that_can_be_subclassed_but_not_usefully() -> None:
    class Derived(Local):
        pass

    assert isinstance(Local(), Local)
    with pytest.raises(TypeError, match="cannot be subclassed"):
        Derived()


# Threads


@both_kinds
def test_each_thread_has_its_own_values(thread_critical: bool) -> None:
    local = Local(thread_critical)
    local.value = "ours"

    def other_thread() -> Any:
        before = value_of(local)
        local.value = "theirs"
        return before

    assert in_another_thread(other_thread) is None
    assert local.value == "ours"


@both_kinds
def test_a_context_that_was_merely_copied_into_a_thread_shows_nothing(
    thread_critical: bool,
) -> None:
    local = Local(thread_critical)
    local.value = "ours"
    context = contextvars.copy_context()
    assert in_another_thread(context.run, value_of, local) is None


@both_kinds
@pytest.mark.asyncio
async def test_asyncio_to_thread_shows_nothing(thread_critical: bool) -> None:
    local = Local(thread_critical)
    local.value = "ours"
    assert await asyncio.to_thread(value_of, local) is None


# Tasks


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


# Across the bridge


@pytest.mark.parametrize("thread_sensitive", [True, False])
@pytest.mark.asyncio
async def test_plain_values_cross_to_sync_code_and_back(thread_sensitive: bool) -> None:
    local = Local()
    local.value = "async"

    def change() -> Any:
        before, local.value = local.value, "sync"
        return before

    assert await sync_to_async(change, thread_sensitive=thread_sensitive)() == "async"
    assert local.value == "sync"


def test_plain_values_cross_to_async_code_and_back() -> None:
    local = Local()
    local.value = "sync"
    assert async_to_sync(value_in_async_code)(local) == "sync"
    async_to_sync(set_in_async_code)(local, "async")
    assert local.value == "async"


def test_a_deletion_crosses_too() -> None:
    local = Local()
    local.value = 1

    async def delete() -> None:
        del local.value

    async_to_sync(delete)()
    assert not hasattr(local, "value")


@pytest.mark.asyncio
async def test_what_is_first_set_in_sync_code_is_there_afterwards() -> None:
    local = Local()
    await sync_to_async(setattr)(local, "value", 1)
    assert local.value == 1


@pytest.mark.asyncio
async def test_requests_at_the_same_time_see_their_own_values_only() -> None:
    local = Local()

    def deepest() -> int:
        return int(local.value)

    async def view() -> int:
        await asyncio.sleep(0)
        return await sync_to_async(deepest)()

    async def request(number: int) -> tuple[int, int]:
        async with ThreadSensitiveContext():
            local.value = number
            seen = await sync_to_async(async_to_sync(view))()
            return seen, local.value

    results = await asyncio.gather(*(request(number) for number in range(30)))
    assert results == [(number, number) for number in range(30)]


@pytest.mark.asyncio
async def test_critical_values_of_async_code_do_not_show_in_sync_code() -> None:
    local = Local(thread_critical=True)
    local.value = "async"
    async with ThreadSensitiveContext():
        assert await sync_to_async(value_of)(local) is None
        await sync_to_async(setattr)(local, "value", "sync")
        assert await sync_to_async(value_of)(local) == "sync"
        await sync_to_async(delattr)(local, "value")
    assert local.value == "async"


@pytest.mark.asyncio
async def test_critical_values_of_async_code_show_in_async_code_below_sync_code() -> None:
    local = Local(thread_critical=True)
    local.value = "async"
    assert await sync_to_async(async_to_sync(value_in_async_code))(local) == "async"
    await sync_to_async(async_to_sync(set_in_async_code))(local, "deep")
    assert local.value == "deep"


def test_critical_values_of_a_thread_show_in_sync_code_below_async_code_only() -> None:
    local = Local(thread_critical=True)
    local.value = "thread's"

    async def main() -> tuple[Any, Any]:
        return value_of(local), await sync_to_async(value_of)(local)

    assert async_to_sync(main)() == (None, "thread's")


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


# Memory


@both_kinds
def test_a_value_is_freed_when_it_is_replaced_or_deleted(thread_critical: bool) -> None:
    class Value:
        pass

    local, dead = Local(thread_critical), []
    gc.disable()
    try:
        for _ in range(3):
            local.value = Value()
            dead.append(weakref.ref(local.value))
        del local.value
        assert [reference() for reference in dead] == [None] * 3
    finally:
        gc.enable()


@both_kinds
def test_a_value_is_freed_when_its_thread_ends(thread_critical: bool) -> None:
    class Value:
        pass

    local, dead = Local(thread_critical), []

    def thread() -> None:
        local.value = Value()
        dead.append(weakref.ref(local.value))

    gc.disable()
    try:
        running = threading.Thread(target=thread)
        running.start()
        running.join()
        del running
        assert dead[0]() is None
    finally:
        gc.enable()


@both_kinds
def test_a_missing_attribute_leaves_no_reference_cycle(thread_critical: bool) -> None:
    class Marker:
        pass

    def look() -> weakref.ref[Marker]:
        marker = Marker()
        try:
            _ = Local(thread_critical).missing
        except AttributeError:
            pass
        return weakref.ref(marker)

    gc.disable()
    try:
        assert look()() is None
    finally:
        gc.enable()
