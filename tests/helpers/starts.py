"""The ways in which async code starts other async code, and lets it outlive itself."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeAlias

Call: TypeAlias = Callable[[], Coroutine[Any, Any, Any]]
Start: TypeAlias = Callable[[Call], Awaitable[Any]]

# Longer than any test; none waits for it.
LIMIT_SECONDS = 600


def directly(call: Call) -> Awaitable[Any]:
    return call()


def in_a_task(call: Call) -> Awaitable[Any]:
    return asyncio.create_task(call())


def in_gather(call: Call) -> Awaitable[Any]:
    return asyncio.gather(call())


def in_wait_for(call: Call) -> Awaitable[Any]:
    return asyncio.create_task(asyncio.wait_for(call(), LIMIT_SECONDS))


def in_a_task_group(call: Call) -> Awaitable[Any]:
    async def group() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(call())

    return asyncio.create_task(group())


def in_call_later(call: Call) -> Awaitable[Any]:
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def start_task() -> None:
        loop.create_task(call()).add_done_callback(lambda _: done.set_result(None))

    loop.call_later(0, start_task)
    return done


def in_an_empty_context(call: Call) -> Awaitable[Any]:
    return contextvars.Context().run(asyncio.get_running_loop().create_task, call())


STARTS: dict[str, Start] = {
    "directly": directly,
    "in a task": in_a_task,
    "in gather": in_gather,
    "in wait_for": in_wait_for,
    "in a TaskGroup": in_a_task_group,
    "in call_later": in_call_later,
    "in an empty context": in_an_empty_context,
}
