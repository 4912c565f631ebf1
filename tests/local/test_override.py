from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from helpers.locals import both_kinds, in_another_thread, value_in_async_code, value_of

from asgi_local import Local
from asgi_sync import async_to_sync, sync_to_async


@both_kinds
def test_values_are_set_in_the_block_and_restored_after_it(thread_critical: bool) -> None:
    local = Local(thread_critical)
    local.value = "before"
    with local.override(value="inside"):
        assert local.value == "inside"
    assert local.value == "before"


@both_kinds
def test_what_was_not_set_before_is_not_set_afterwards(thread_critical: bool) -> None:
    local = Local(thread_critical)
    with local.override(value="inside"):
        pass
    assert not hasattr(local, "value")


@both_kinds
def test_an_exception_restores_too_and_goes_on(thread_critical: bool) -> None:
    local = Local(thread_critical)
    local.value = "before"
    with pytest.raises(ZeroDivisionError), local.override(value="inside"):
        _ = 1 / 0
    assert local.value == "before"


@both_kinds
def test_what_the_block_does_to_the_attribute_is_undone(thread_critical: bool) -> None:
    local = Local(thread_critical)
    local.value = "before"
    with local.override(value="inside"):
        local.value = "changed"
    assert local.value == "before"
    with local.override(value="inside"):
        del local.value
    assert local.value == "before"


@both_kinds
def test_what_the_block_does_to_other_attributes_stays(thread_critical: bool) -> None:
    local = Local(thread_critical)
    local.deleted = 1
    with local.override(value="inside"):
        local.other = 2
        del local.deleted
    assert dict(local) == {"other": 2}


@both_kinds
def test_overrides_can_be_nested(thread_critical: bool) -> None:
    local, seen = Local(thread_critical), []
    with local.override(value=1, outer=1):
        with local.override(value=2):
            seen.append(dict(local))
        seen.append(dict(local))
    assert seen == [{"value": 2, "outer": 1}, {"value": 1, "outer": 1}]
    assert dict(local) == {}


@both_kinds
def test_one_override_can_be_entered_again_and_inside_itself(thread_critical: bool) -> None:
    local = Local(thread_critical)
    override = local.override(value="inside")
    for _ in range(2):
        with override:
            local.value = "changed"
            with override:
                assert local.value == "inside"
            assert local.value == "changed"
        assert not hasattr(local, "value")


@both_kinds
def test_what_is_overridden_looks_like_any_other_attribute(thread_critical: bool) -> None:
    local = Local(thread_critical)
    with local.override(value=1):
        assert list(local) == [("value", 1)]
        assert repr(local).endswith(": value=1>")
        assert "value" in dir(local)


@both_kinds
def test_an_exit_stack_keeps_it_for_as_long_as_wanted(thread_critical: bool) -> None:
    local, stack = Local(thread_critical), contextlib.ExitStack()
    stack.enter_context(local.override(value="inside"))
    assert local.value == "inside"
    stack.close()
    assert not hasattr(local, "value")


@both_kinds
def test_a_reserved_name_is_refused_before_anything_is_set(thread_critical: bool) -> None:
    local = Local(thread_critical)
    with pytest.raises(AttributeError, match="'override'"):
        local.override(value=1, override=2)
    assert dict(local) == {}


@both_kinds
def test_any_other_name_will_do(thread_critical: bool) -> None:
    local = Local(thread_critical)
    with local.override(self=1, values=2, name=3):
        assert dict(local) == {"self": 1, "values": 2, "name": 3}


# Across the bridge


@pytest.mark.asyncio
async def test_sync_code_below_sees_it_and_what_it_restores_is_restored_above() -> None:
    local = Local()
    local.value = "before"

    def sync_code() -> Any:
        with local.override(value="deeper"):
            pass
        return local.value

    with local.override(value="inside"):
        assert await sync_to_async(sync_code)() == "inside"
    assert await sync_to_async(value_of)(local) == local.value == "before"


def test_async_code_below_sees_it() -> None:
    local = Local()
    with local.override(value="inside"):
        assert async_to_sync(value_in_async_code)(local) == "inside"
    assert async_to_sync(value_in_async_code)(local) is None


@pytest.mark.asyncio
async def test_it_can_be_entered_on_one_side_and_left_on_the_other() -> None:
    local = Local()
    local.value = "before"
    override = local.override(value="inside")
    await sync_to_async(override.__enter__)()
    assert local.value == "inside"
    override.__exit__(None, None, None)
    assert local.value == await sync_to_async(value_of)(local) == "before"
    override.__enter__()
    await sync_to_async(override.__exit__)(None, None, None)
    assert local.value == "before"


# In tasks and threads


@both_kinds
@pytest.mark.asyncio
async def test_a_task_that_was_started_inside_keeps_the_value(thread_critical: bool) -> None:
    local, proceed = Local(thread_critical), asyncio.Event()

    async def child() -> Any:
        await proceed.wait()
        return local.value

    with local.override(value="inside"):
        task = asyncio.create_task(child())
    proceed.set()
    assert await task == "inside"
    assert not hasattr(local, "value")


@both_kinds
@pytest.mark.asyncio
async def test_tasks_can_enter_the_same_override_at_a_time(thread_critical: bool) -> None:
    local, barrier = Local(thread_critical), asyncio.Event()
    override = local.override(value="inside")

    async def task(number: int) -> tuple[Any, Any]:
        local.value = number
        with override:
            await barrier.wait()
            inside = local.value
        return inside, local.value

    tasks = [asyncio.create_task(task(number)) for number in range(3)]
    await asyncio.sleep(0)
    barrier.set()
    assert await asyncio.gather(*tasks) == [("inside", 0), ("inside", 1), ("inside", 2)]


@both_kinds
@pytest.mark.asyncio
async def test_leaving_it_in_a_task_that_does_not_descend_from_it_is_an_error(
    thread_critical: bool,
) -> None:
    local = Local(thread_critical)
    override = local.override(value="inside")

    async def enter() -> None:
        local.value = "private"
        override.__enter__()

    async def leave() -> None:
        local.value = "another's"
        with pytest.raises(RuntimeError, match=r"override\(value\) is not in force here"):
            override.__exit__(None, None, None)
        assert local.value == "another's"

    await asyncio.create_task(enter())
    await asyncio.create_task(leave())


@both_kinds
def test_leaving_it_in_another_thread_is_an_error(thread_critical: bool) -> None:
    local = Local(thread_critical)
    with local.override(value="inside") as nothing:
        override = local.override(value="deeper")
        override.__enter__()
        with pytest.raises(RuntimeError, match="not in force here"):
            in_another_thread(override.__exit__, nothing, None, None)
        assert local.value == "deeper"
        override.__exit__(None, None, None)


@both_kinds
def test_leaving_it_twice_is_an_error(thread_critical: bool) -> None:
    override = Local(thread_critical).override(value="inside")
    with override:
        pass
    with pytest.raises(RuntimeError, match="not in force here"):
        override.__exit__(None, None, None)
