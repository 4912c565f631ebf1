from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from asgi_sync import _loop_pool
from asgi_sync._loop_pool import LoopPool, PooledLoop

Loop = asyncio.AbstractEventLoop


@pytest.fixture
def pool() -> Iterator[LoopPool]:
    pool = LoopPool()
    yield pool
    pool.close_all()


def take(pool: LoopPool) -> PooledLoop:
    pooled = pool.take()
    pooled.count_references()
    return pooled


def test_a_loop_that_was_given_back_clean_is_taken_again(pool: LoopPool) -> None:
    pooled = take(pool)
    pooled.loop.run_until_complete(asyncio.sleep(0.001))
    pool.give_back(pooled, as_new=pooled.is_as_new)
    assert pool.take() is pooled
    pooled.loop.close()


def test_no_more_than_so_many_are_kept(pool: LoopPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_loop_pool, "MAX_IDLE_LOOPS", 2)
    taken = [take(pool) for _ in range(3)]
    for pooled in taken:
        pool.give_back(pooled, as_new=pooled.is_as_new)
    assert [pooled.loop.is_closed() for pooled in taken] == [False, False, True]


async def generator() -> Any:
    yield 1


def leave_timer(loop: Loop) -> None:
    loop.call_later(1000, print)


def leave_callback(loop: Loop) -> None:
    loop.call_soon(print)


def leave_task(loop: Loop) -> None:
    # Referred to by nothing that runs: only the set of all tasks knows it.
    left.append(loop.create_task(asyncio.Event().wait()))
    loop.run_until_complete(asyncio.sleep(0))


def leave_reader(loop: Loop) -> None:
    ours, theirs = socket.socketpair()
    left.extend([ours, theirs])
    loop.add_reader(ours, print)


def leave_signal_handler(loop: Loop) -> None:
    loop.add_signal_handler(signal.SIGUSR2, print)


def leave_exception_handler(loop: Loop) -> None:
    loop.set_exception_handler(print)


def leave_task_factory(loop: Loop) -> None:
    loop.set_task_factory(lambda loop, coroutine, **_: asyncio.Task(coroutine, loop=loop))


def leave_debug_mode(loop: Loop) -> None:
    loop.set_debug(True)


def leave_default_executor(loop: Loop) -> None:
    loop.run_until_complete(loop.run_in_executor(None, print))
    loop.run_until_complete(loop.shutdown_default_executor())


def leave_asynchronous_generator(loop: Loop) -> None:
    async def begin() -> None:
        await anext(left[-1])

    left.append(generator())
    loop.run_until_complete(begin())


def leave_attribute(loop: Loop) -> None:
    loop.anything = 1  # type: ignore[attr-defined]


def leave_it_closed(loop: Loop) -> None:
    loop.close()


left: list[Any] = []
TRACES = [
    leave_timer,
    leave_callback,
    leave_task,
    leave_reader,
    leave_exception_handler,
    leave_task_factory,
    leave_debug_mode,
    leave_default_executor,
    leave_asynchronous_generator,
    leave_attribute,
    leave_it_closed,
]
if sys.platform != "win32":
    TRACES.append(leave_signal_handler)


@pytest.mark.parametrize("leave", TRACES, ids=lambda leave: leave.__name__)
def test_a_loop_on_which_something_was_left_is_closed(
    pool: LoopPool, leave: Callable[[Loop], None]
) -> None:
    pooled = take(pool)
    pooled.loop.set_exception_handler(None)
    assert pooled.is_as_new
    leave(pooled.loop)
    try:
        assert not pooled.is_as_new
        for task in [] if pooled.loop.is_closed() else asyncio.all_tasks(pooled.loop):
            task.cancel()
            pooled.loop.run_until_complete(asyncio.wait([task]))
        if leave is leave_asynchronous_generator:
            pooled.loop.run_until_complete(left[-1].aclose())
        if leave is not leave_task and leave is not leave_asynchronous_generator:
            pool.give_back(pooled, as_new=pooled.is_as_new)
            assert pooled.loop.is_closed()
    finally:
        pooled.loop.close()
        while left:
            thing = left.pop()
            if isinstance(thing, socket.socket):
                thing.close()


def test_a_loop_of_another_policy_is_not_taken(
    pool: LoopPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pooled = take(pool)
    pool.give_back(pooled, as_new=pooled.is_as_new)
    monkeypatch.setattr(_loop_pool, "_policy_in_force", lambda: "another")
    another = pool.take()
    assert another is not pooled
    assert pooled.loop.is_closed()
    another.loop.close()


def test_a_loop_that_cannot_be_looked_into_is_never_kept(
    pool: LoopPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Foreign(asyncio.SelectorEventLoop):
        pass

    monkeypatch.setattr(asyncio, "new_event_loop", Foreign)
    pooled = PooledLoop()
    assert not pooled.is_as_new
    pool.give_back(pooled, as_new=pooled.is_as_new)
    assert pooled.loop.is_closed()


def test_a_loop_that_something_was_posted_to_while_it_was_idle_is_not_taken(
    pool: LoopPool,
) -> None:
    pooled = take(pool)
    pool.give_back(pooled, as_new=pooled.is_as_new)
    pooled.loop.call_soon_threadsafe(print)
    another = pool.take()
    assert another is not pooled
    assert pooled.loop.is_closed()
    another.loop.close()
