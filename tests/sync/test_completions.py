from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import threading
import weakref
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from asgi_sync._completions import Mailbox, Waiter, mailbox_of, post_when_done

pytestmark = pytest.mark.each_loop_kind


class CountingLoop:
    """A loop that counts how often it is woken, and calls what it is given when told to."""

    def __init__(self) -> None:
        self.wake_ups: list[object] = []

    def call_soon_threadsafe(self, callback: object) -> None:
        self.wake_ups.append(callback)


class WaiterOfCountingLoop:
    def __init__(self, loop: CountingLoop) -> None:
        self._loop = loop
        self.delivered = False

    def get_loop(self) -> CountingLoop:
        return self._loop

    def deliver(self) -> None:
        self.delivered = True


def test_what_many_threads_have_finished_costs_one_wake_up() -> None:
    loop: Any = CountingLoop()
    mailbox = Mailbox(loop)
    waiters: list[Any] = [WaiterOfCountingLoop(loop) for _ in range(100)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(mailbox.post, waiters))
    assert len(loop.wake_ups) == 1
    mailbox._deliver()
    assert all(waiter.delivered for waiter in waiters)


def test_what_comes_after_a_delivery_has_a_wake_up_of_its_own() -> None:
    loop: Any = CountingLoop()
    mailbox = Mailbox(loop)
    for _ in range(3):
        waiter: Any = WaiterOfCountingLoop(loop)
        mailbox.post(waiter)
        mailbox._deliver()
        assert waiter.delivered
    assert len(loop.wake_ups) == 3


@pytest.mark.asyncio
async def test_nothing_is_left_behind_when_threads_post_all_the_time() -> None:
    loop, interval = asyncio.get_running_loop(), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as threads:
            mailbox = mailbox_of(loop)
            for _ in range(50):
                waiters = [Waiter.on(loop) for _ in range(20)]
                for waiter in waiters:
                    threads.submit(mailbox.post, waiter)
                await asyncio.gather(*waiters)
    finally:
        sys.setswitchinterval(interval)


@pytest.mark.asyncio
async def test_a_waiter_that_was_cancelled_meanwhile_is_left_alone() -> None:
    future: Future[None] = Future()
    waiter = Waiter.on(asyncio.get_running_loop())
    post_when_done(future, waiter)
    waiter.cancel()
    future.set_result(None)
    await asyncio.sleep(0)
    assert waiter.cancelled()


def test_a_post_to_a_loop_that_has_closed_is_of_no_effect() -> None:
    future: Future[None] = Future()

    async def leave() -> None:
        post_when_done(future, Waiter.on(asyncio.get_running_loop()))

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
        waiter = Waiter.on(asyncio.get_running_loop())
        post_when_done(future, waiter)
        threading.Thread(target=future.set_result, args=(None,)).start()
        await waiter
        return weakref.ref(asyncio.get_running_loop())

    dead = asyncio.run(call())
    gc.collect()
    assert dead() is None


class TestWaiter:
    @pytest.mark.asyncio
    async def test_its_task_goes_on_in_the_very_call_that_delivers_it(self) -> None:
        waiter, went_on = Waiter.on(asyncio.get_running_loop()), []

        async def wait() -> None:
            await waiter
            went_on.append(True)

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        delivered = asyncio.get_running_loop().create_future()

        def deliver() -> None:
            waiter.deliver()
            delivered.set_result(list(went_on))

        asyncio.get_running_loop().call_soon(deliver)
        assert await delivered == [True]
        await task

    @pytest.mark.asyncio
    async def test_a_task_that_awaits_it_can_be_cancelled(self) -> None:
        waiter = Waiter.on(asyncio.get_running_loop())

        async def wait() -> None:
            await waiter

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        waiter.deliver()
        assert waiter.cancelled()

    @pytest.mark.asyncio
    async def test_it_can_be_delivered_before_it_is_awaited(self) -> None:
        waiter = Waiter.on(asyncio.get_running_loop())
        waiter.deliver()
        await waiter

    @pytest.mark.asyncio
    async def test_several_may_wait_for_it_as_for_any_future(self) -> None:
        waiter, called = Waiter.on(asyncio.get_running_loop()), []
        context = contextvars.copy_context()
        for number in range(3):
            waiter.add_done_callback(lambda _, n=number: called.append(n), context=context)
        waiter.deliver()
        await asyncio.sleep(0)
        assert called == [0, 1, 2]

    @pytest.mark.asyncio
    async def test_a_callback_that_was_removed_is_not_called(self) -> None:
        waiter, called = Waiter.on(asyncio.get_running_loop()), []
        waiter.add_done_callback(called.append, context=contextvars.copy_context())
        assert waiter.remove_done_callback(called.append) == 1
        waiter.deliver()
        await asyncio.sleep(0)
        assert called == []

    def test_what_ends_the_turn_of_one_leaves_the_others_theirs(self) -> None:
        async def leaves(waiter: Waiter) -> None:
            await waiter
            raise SystemExit

        async def goes_on(waiter: Waiter) -> str:
            await waiter
            return "went on"

        loop = asyncio.SelectorEventLoop()
        try:
            waiters = [Waiter.on(loop) for _ in range(2)]
            first = loop.create_task(leaves(waiters[0]))
            second = loop.create_task(goes_on(waiters[1]))
            loop.run_until_complete(asyncio.sleep(0))
            mailbox = Mailbox(loop)
            for waiter in waiters:
                mailbox.post(waiter)
            with pytest.raises(SystemExit):
                loop.run_until_complete(first)
            assert loop.run_until_complete(second) == "went on"
        finally:
            loop.close()
