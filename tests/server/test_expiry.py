from __future__ import annotations

import asyncio

import pytest
from helpers.timers import Timers

from asgi_server._expiry import Expiry


@pytest.mark.asyncio
async def test_one_timer_is_enough_where_expired_items_are_added_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expired: list[str] = []

    def expire(item: str) -> None:
        expired.append(item)
        expiry.add(item + "'")

    with monkeypatch.context() as patch:
        timers = Timers(patch)
        expiry = Expiry(10, expire)
        for second, item in enumerate("abc"):
            timers.run_until(second)
            expiry.add(item)
        counts = []
        for second in range(10, 30):
            timers.run_until(second)
            counts.append(len(timers.waiting))

    assert expired == ["a", "b", "c", "a'", "b'", "c'"]
    assert set(counts) == {1}


@pytest.mark.asyncio
async def test_item_is_timed_by_its_own_event_loop_after_another_one_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expired: list[str] = []
    expiry = Expiry(10, expired.append)

    async def add() -> None:
        expiry.add("left behind")

    former = asyncio.new_event_loop()
    await asyncio.to_thread(former.run_until_complete, add())
    former.close()

    with monkeypatch.context() as patch:
        timers = Timers(patch)
        expiry.add("here")
        timers.run_until(10)

    assert expired == ["here"]
