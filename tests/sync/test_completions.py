from __future__ import annotations

import asyncio
import gc
import sys
import threading
import weakref
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from asgi_sync._completions import Mailbox, mailbox_here, post_when_done

pytestmark = pytest.mark.each_loop_kind


class CountingLoop:
    """A loop that counts how often it is woken, and calls what it is given when told to."""

    def __init__(self) -> None:
        self.wake_ups: list[object] = []

    def call_soon_threadsafe(self, callback: object) -> None:
        self.wake_ups.append(callback)


@pytest.mark.asyncio
async def test_what_many_threads_have_finished_costs_one_wake_up() -> None:
    loop, counting = asyncio.get_running_loop(), CountingLoop()
    mailbox = Mailbox(counting)  # type: ignore[arg-type]
    waiters = [loop.create_future() for _ in range(100)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(mailbox.post, waiters))
    assert len(counting.wake_ups) == 1
    mailbox._deliver()
    assert all(waiter.done() for waiter in waiters)


@pytest.mark.asyncio
async def test_what_comes_after_a_delivery_has_a_wake_up_of_its_own() -> None:
    loop, counting = asyncio.get_running_loop(), CountingLoop()
    mailbox = Mailbox(counting)  # type: ignore[arg-type]
    for _ in range(3):
        waiter = loop.create_future()
        mailbox.post(waiter)
        mailbox._deliver()
        assert waiter.done()
    assert len(counting.wake_ups) == 3


@pytest.mark.asyncio
async def test_nothing_is_left_behind_when_threads_post_all_the_time() -> None:
    loop, interval = asyncio.get_running_loop(), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as threads:
            mailbox = mailbox_here()
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
        return mailbox_here()

    here = mailbox_here()
    assert here is mailbox_here()
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
