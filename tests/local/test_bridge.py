from __future__ import annotations

import asyncio
from typing import Any

import pytest
from helpers.locals import set_in_async_code, value_in_async_code, value_of

from asgi_local import Local
from asgi_sync import ThreadSensitiveContext, async_to_sync, sync_to_async


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
