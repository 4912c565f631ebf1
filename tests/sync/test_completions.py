from __future__ import annotations

import asyncio
import gc
import sys
import threading
import weakref
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from asgi_sync._completions import Mailbox, mailbox_of, post_when_done

pytestmark = pytest.mark.each_loop_kind


class CountingLoop:
    """A loop that counts how often it is woken, and calls what it is given when told to."""

    def __init__(self) -> None:
        self.wake_ups: list[object] = []

    def call_soon_threadsafe(self, callback: object) -> None:
        self.wake_ups.append(callback)


class Waiter:
    """A future of such a loop."""

    def __init__(self, loop: CountingLoop) -> None:
        self._loop = loop
        self._done = False

    def get_loop(self) -> CountingLoop:
        return self._loop

    def done(self) -> bool:
        return self._done

    def set_result(self, result: None) -> None:
        self._done = True


def test_what_many_threads_have_finished_costs_one_wake_up() -> None:
    loop: Any = CountingLoop()
    mailbox = Mailbox(loop)
    waiters: list[Any] = [Waiter(loop) for _ in range(100)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(mailbox.post, waiters))
    assert len(loop.wake_ups) == 1
    mailbox._deliver()
    assert all(waiter.done() for waiter in waiters)


def test_what_comes_after_a_delivery_has_a_wake_up_of_its_own() -> None:
    loop: Any = CountingLoop()
    mailbox = Mailbox(loop)
    for _ in range(3):
        waiter: Any = Waiter(loop)
        mailbox.post(waiter)
        mailbox._deliver()
        assert waiter.done()
    assert len(loop.wake_ups) == 3


@pytest.mark.asyncio
async def test_nothing_is_left_behind_when_threads_post_all_the_time() -> None:
    loop, interval = asyncio.get_running_loop(), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as threads:
            mailbox = mailbox_of(loop)
            for _ in range(50):
                waiters = [loop.create_future() for _ in range(20)]
                for waiter in waiters:
                    threads.submit(mailbox.post, waiter)
                await asyncio.gather(*waiters)
    finally:
        sys.setswitchinterval(interval)


@pytest.mark.asyncio
async def test_a_waiter_that_was_cancelled_meanwhile_is_left_alone() -> None:
    future: Future[None] = Future()
    waiter = asyncio.get_running_loop().create_future()
    post_when_done(future, waiter)
    waiter.cancel()
    future.set_result(None)
    await asyncio.sleep(0)
    assert waiter.cancelled()


def test_a_post_to_a_loop_that_has_closed_is_of_no_effect() -> None:
    future: Future[None] = Future()

    async def leave() -> None:
        post_when_done(future, asyncio.get_running_loop().create_future())

    asyncio.run(leave())
    future.set_result(None)


@pytest.mark.asyncio
async def test_a_loop_in_another_thread_has_another_mailbox() -> None:
    async def mailbox() -> Mailbox:
        return mailbox_of(asyncio.get_running_loop())

    loop = asyncio.get_running_loop()
    here = mailbox_of(loop)
    assert here is mailbox_of(loop)
    assert await asyncio.to_thread(asyncio.run, mailbox()) is not here


def test_nothing_refers_to_a_loop_after_it_was_used() -> None:
    async def call() -> weakref.ref[asyncio.AbstractEventLoop]:
        future: Future[None] = Future()
        waiter = asyncio.get_running_loop().create_future()
        post_when_done(future, waiter)
        threading.Thread(target=future.set_result, args=(None,)).start()
        await waiter
        return weakref.ref(asyncio.get_running_loop())

    dead = asyncio.run(call())
    gc.collect()
    assert dead() is None
