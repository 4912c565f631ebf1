"""The states in which threads can be found that wait at the bridge, as code that enters them.

| thread      | state                                                                          |
|-------------|--------------------------------------------------------------------------------|
| calling     | outermost `async_to_sync`; it runs the loop: `in_place_*`                      |
|             | it serves a sync function: `serving*`, `nested*`, `loop_inside`                |
|             | it waits for the loop, which a helper runs: `handed_over`, `helper_*`          |
|             | in an `AsyncSingleThreadContext`, between and in calls: `single_thread_*`      |
|             | in no call, with loops and workers parked: `idle`                              |
| worker      | below `asyncio.run`, in a sync function or waiting for async code of it:       |
|             | the shared worker's `worker_*`, a context's `context_*`, the pool's `pool_*`   |
|             | in a function whose caller was cancelled: `orphan`, `serving_orphan`           |

Each is a function that is given a `Held`, calls its `arrive` once the state is entered, stays
until it is released, and returns what the release gives. What breaks out of it is seen by
each layer of async code on the way, which cleans up with the help of sync code, and says so.

Nothing here needs pytest: it runs in child interpreters, which are to start fast.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from asgi_sync import AsyncSingleThreadContext, ThreadSensitiveContext, async_to_sync, sync_to_async
from helpers.everything import nothing, use_everything
from helpers.held import Held


@dataclass(frozen=True)
class State:
    """How a state is entered, and who cleans up when it is broken out of, in order."""

    enter: Callable[[Held], str]
    layers: tuple[str, ...]


STATES: dict[str, State] = {}


def state(*layers: str) -> Callable[[Callable[[Held], str]], Callable[[Held], str]]:
    def register(enter: Callable[[Held], str]) -> Callable[[Held], str]:
        STATES[enter.__name__] = State(enter, layers)
        return enter

    return register


# The calling thread, outermost layer sync


@state("inner")
def in_place_waiting(held: Held) -> str:
    return async_to_sync(held.wait)()


@state("inner")
def in_place_waiting_with_a_timer(held: Held) -> str:
    return async_to_sync(held.wait_with_a_timer)()


@state("inner")
def in_place_busy(held: Held) -> str:
    return async_to_sync(held.spin_on_the_loop)()


@state("outer")
def serving(held: Held) -> str:
    return async_to_sync(held.below)(sync_to_async(held.block)())


@state("outer")
def serving_busy(held: Held) -> str:
    return async_to_sync(held.below)(sync_to_async(held.spin)())


@state("inner")
def handed_over(held: Held) -> str:
    async def main() -> str:
        await sync_to_async(nothing)()
        return await held.wait()

    return async_to_sync(main)()


@state("inner")
def helper_from_the_start(held: Held) -> str:
    try:
        raise LookupError
    except LookupError:
        return async_to_sync(held.wait)()


@state("inner", "outer")
def nested(held: Held) -> str:
    function = sync_to_async(async_to_sync(held.wait))
    return async_to_sync(held.below)(function())


@state("inner", "outer")
def nested_new_loop(held: Held) -> str:
    function = sync_to_async(async_to_sync(held.wait, force_new_loop=True))
    return async_to_sync(held.below)(function())


@state("inner", "outer")
def loop_inside(held: Held) -> str:
    """A loop that the program runs itself, in sync code that is served."""

    def function() -> str:
        return asyncio.run(held.wait())

    return async_to_sync(held.below)(sync_to_async(function)())


# Worker threads, outermost layer async


def run(call: Coroutine[Any, Any, str], held: Held) -> str:
    return asyncio.run(held.below(call))


@state("outer")
def worker_blocked(held: Held) -> str:
    return run(sync_to_async(held.block)(), held)


@state("inner", "outer")
def worker_waiting(held: Held) -> str:
    return run(sync_to_async(async_to_sync(held.wait))(), held)


@state("inner", "outer")
def worker_running_a_new_loop(held: Held) -> str:
    return run(sync_to_async(async_to_sync(held.wait, force_new_loop=True))(), held)


@state("outer")
def worker_blocked_with_a_queue(held: Held) -> str:
    async def both() -> str:
        async with asyncio.TaskGroup() as group:
            # Starts, and queues its call, when this task waits for the other.
            queued = group.create_task(sync_to_async(str)("after the release"))
            result = await sync_to_async(held.block)()
        assert queued.result() == "after the release"
        return result

    return run(both(), held)


@state("outer")
def context_blocked(held: Held) -> str:
    async def main() -> str:
        async with ThreadSensitiveContext():
            return await sync_to_async(held.block)()

    return run(main(), held)


@state("inner", "outer")
def context_waiting(held: Held) -> str:
    async def main() -> str:
        async with ThreadSensitiveContext():
            return await sync_to_async(async_to_sync(held.wait))()

    return run(main(), held)


@state("outer")
def context_with_executor_blocked(held: Held) -> str:
    async def main() -> str:
        async with ThreadSensitiveContext(executor=executor):
            return await sync_to_async(held.block)()

    with ThreadPoolExecutor(1) as executor:
        return run(main(), held)


@state("inner", "outer")
def context_with_executor_waiting(held: Held) -> str:
    async def main() -> str:
        async with ThreadSensitiveContext(executor=executor):
            return await sync_to_async(async_to_sync(held.wait))()

    with ThreadPoolExecutor(1) as executor:
        return run(main(), held)


@state("outer")
def pool_blocked(held: Held) -> str:
    return run(sync_to_async(held.block, thread_sensitive=False)(), held)


@state("inner", "outer")
def pool_waiting(held: Held) -> str:
    return run(sync_to_async(async_to_sync(held.wait), thread_sensitive=False)(), held)


# Functions whose caller was cancelled


async def leave_behind(held: Held, *, thread_sensitive: bool) -> str:
    begun: Future[None] = Future()

    def left_behind() -> None:
        begun.set_result(None)
        held.stay()

    call = asyncio.create_task(sync_to_async(left_behind, thread_sensitive=thread_sensitive)())
    await asyncio.wrap_future(begun)
    call.cancel()
    await asyncio.wait([call])
    return await held.wait()


@state("inner")
def orphan(held: Held) -> str:
    return asyncio.run(leave_behind(held, thread_sensitive=True))


@state("inner")
def orphan_in_the_pool(held: Held) -> str:
    return asyncio.run(leave_behind(held, thread_sensitive=False))


@state("inner")
def serving_orphan(held: Held) -> str:
    return async_to_sync(leave_behind)(held, thread_sensitive=True)


# A loop that several calls share, and none at all


@state("left behind")
def single_thread_idle(held: Held) -> str:
    async def left_behind() -> None:
        async with held.layer("left behind"):
            await asyncio.Event().wait()

    async def start() -> None:
        tasks.append(asyncio.create_task(left_behind()))
        await asyncio.sleep(0)

    tasks: list[asyncio.Task[None]] = []
    with AsyncSingleThreadContext():
        async_to_sync(start)()
        return held.block()


@state("inner")
def single_thread_in_a_call(held: Held) -> str:
    with AsyncSingleThreadContext():
        return async_to_sync(held.wait)()


@state("outer")
def single_thread_serving(held: Held) -> str:
    with AsyncSingleThreadContext():
        return async_to_sync(held.below)(sync_to_async(held.block)())


@state()
def idle(held: Held) -> str:
    use_everything()
    return held.block()
