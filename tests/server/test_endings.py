"""The phases of instances that were told to end, with a clock that is moved on by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from helpers.timers import Timers

from asgi_server._endings import EndCause, Endings

GRACE_PERIOD = 10


class Recorded(Endings):
    """Notes which tasks become overdue."""

    def __init__(self) -> None:
        self.overdue: list[str] = []
        super().__init__(GRACE_PERIOD, lambda task: self.overdue.append(task.get_name()))


async def stubborn() -> None:
    """Ends at the second cancellation."""
    try:
        await asyncio.get_running_loop().create_future()
    except asyncio.CancelledError:
        await asyncio.get_running_loop().create_future()


@pytest_asyncio.fixture
async def tasks() -> AsyncIterator[dict[str, asyncio.Task[Any]]]:
    tasks = {name: asyncio.create_task(stubborn(), name=name) for name in ("a", "b")}
    await asyncio.sleep(0)
    yield tasks
    for _ in range(2):
        for task in tasks.values():
            task.cancel()
        await asyncio.sleep(0)
    await asyncio.wait(tasks.values())


@pytest.mark.asyncio
async def test_cancelled_task_has_a_grace_period_of_its_own_and_keeps_nobody_waiting(
    tasks: dict[str, asyncio.Task[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        timers = Timers(patch)
        endings = Recorded()
        endings.notice(tasks["a"], EndCause.DELETED)
        timers.run_until(4)
        endings.cancel(tasks["b"], EndCause.DELETED)
        timers.run_until(8)
        endings.cancel(tasks["a"], EndCause.STOPPED)
        timers.run_until(14)
        assert endings.overdue == ["b"]
        timers.run_until(18)

    assert endings.overdue == ["b", "a"]
    assert endings.pop(tasks["a"]) == (EndCause.DELETED, True)


@pytest.mark.asyncio
async def test_task_without_a_deadline_is_not_timed(
    tasks: dict[str, asyncio.Task[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        timers = Timers(patch)
        endings = Recorded()
        endings.notice(tasks["a"], EndCause.STOPPED, has_deadline=False)
        timers.run_until(1000)

    assert timers.waiting == []
    assert tasks["a"].cancelling() == 0
