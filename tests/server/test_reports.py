from __future__ import annotations

import asyncio
from typing import Any

import pytest

from asgi_server._reports import Reports


async def fail(error: BaseException) -> None:
    raise error


async def cancel() -> None:
    raise asyncio.CancelledError


def collect_unhandled() -> asyncio.Queue[dict[str, Any]]:
    contexts: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: contexts.put_nowait(context))
    return contexts


@pytest.mark.asyncio
async def test_error_of_a_hook_is_raised_where_it_is_waited_for() -> None:
    reports = Reports()
    error = OSError("disk full")
    waiter = asyncio.create_task(reports.wait_failed())
    await asyncio.sleep(0)
    reports.start(fail(error))

    with pytest.raises(OSError, match="disk full") as caught:
        await waiter
    assert caught.value is error


@pytest.mark.asyncio
async def test_error_with_nobody_waiting_goes_to_the_exception_handler_of_the_loop() -> None:
    contexts = collect_unhandled()
    reports = Reports()
    error = OSError("disk full")
    reports.start(fail(error))
    await reports.wait_ended()

    assert contexts.get_nowait()["exception"] is error


@pytest.mark.asyncio
async def test_second_error_goes_to_the_exception_handler_of_the_loop() -> None:
    contexts = collect_unhandled()
    reports = Reports()
    first, second = OSError("first"), OSError("second")
    waiter = asyncio.create_task(reports.wait_failed())
    await asyncio.sleep(0)
    reports.start(fail(first))
    reports.start(fail(second))
    await reports.wait_ended()

    with pytest.raises(OSError, match="first"):
        await waiter
    assert contexts.get_nowait()["exception"] is second


@pytest.mark.asyncio
async def test_hook_that_returns_or_is_cancelled_is_no_failure() -> None:
    contexts = collect_unhandled()
    reports = Reports()
    waiter = asyncio.create_task(reports.wait_failed())
    reports.start(cancel())
    reports.start(asyncio.sleep(0))
    await reports.wait_ended()

    assert not waiter.done()
    assert contexts.empty()
    waiter.cancel()
    await asyncio.wait([waiter])
