from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from asgi_server._expiry import Expiry


class Timers:
    """The clock and the timers of the running event loop, moved on by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.waiting: list[asyncio.TimerHandle] = []
        self._loop = asyncio.get_running_loop()
        monkeypatch.setattr(self._loop, "time", lambda: self.now)
        monkeypatch.setattr(self._loop, "call_at", self._call_at)

    def run_until(self, now: float) -> None:
        self.now = now
        due = [timer for timer in self.waiting if timer.when() <= now]
        self.waiting = [timer for timer in self.waiting if timer.when() > now]
        for timer in due:
            timer._run()

    def _call_at(
        self, when: float, callback: Callable[..., None], *arguments: Any
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, arguments, self._loop)
        self.waiting.append(timer)
        return timer


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
