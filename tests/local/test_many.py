"""What is left in memory by any number of short-lived ones."""

from __future__ import annotations

import _thread
import asyncio
import gc
import os
import sys
import threading
from collections.abc import Callable

import pytest

from asgi_local import Local
from asgi_sync import async_to_sync, sync_to_async

MANY = 100_000
# To start a thread takes up to 300 us, so not all in every run: see `tests/conftest.py`.
MANY_THREADS = MANY if "RANDOM_PROGRAMS" in os.environ else 10_000


def locals_(number: int) -> None:
    for turn in range(number):
        local = Local(thread_critical=turn % 2 == 0)
        local.value = turn


def tasks(number: int) -> None:
    async def task() -> None:
        plain.value = critical.value = 1

    async def main() -> None:
        for _ in range(number):
            await asyncio.create_task(task())

    plain, critical = Local(), Local(thread_critical=True)
    asyncio.run(main())


def threads(number: int) -> None:
    def thread() -> None:
        plain.value = critical.value = 1
        ended.release()

    plain, critical, ended = Local(), Local(thread_critical=True), threading.Lock()
    ended.acquire()
    for _ in range(number):
        # A `Thread` would take several times as long.
        _thread.start_new_thread(thread, ())
        ended.acquire()


def crossings(number: int) -> None:
    async def below() -> None:
        Local().value = plain.value
        await sync_to_async(setattr)(plain, "value", plain.value + 1)

    plain = Local()
    plain.value = 0
    for _ in range(number):
        async_to_sync(below)()


@pytest.mark.parametrize(
    ("work", "number"),
    [(locals_, MANY), (tasks, MANY), (threads, MANY_THREADS), (crossings, MANY // 50)],
)
def test_any_number_of_short_lived_ones_leaves_nothing_behind(
    work: Callable[[int], None], number: int
) -> None:
    work(100)
    gc.collect()
    before = sys.getallocatedblocks()
    work(number)
    gc.collect()
    # What is not of this package may keep a little.
    assert sys.getallocatedblocks() - before < 1_000
