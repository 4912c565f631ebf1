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


async def ended(reports: Reports) -> None:
    while running := reports.calls.running:
        await asyncio.wait(running)


@pytest.mark.asyncio
async def test_error_of_a_hook_goes_to_who_listens() -> None:
    reports = Reports()
    error = OSError("disk full")
    listener = reports.listen()
    reports.start(fail, error)

    with pytest.raises(OSError, match="disk full") as caught:
        await listener
    assert caught.value is error


@pytest.mark.asyncio
async def test_error_of_a_hook_that_is_not_async_goes_there_too() -> None:
    reports = Reports()
    error = OSError("disk full")
    listener = reports.listen()

    def hook(argument: int) -> None:
        raise error

    assert reports.call(hook, 1) is None
    with pytest.raises(OSError, match="disk full") as caught:
        await listener
    assert caught.value is error


@pytest.mark.asyncio
async def test_stop_iteration_of_a_hook_that_is_not_async_is_an_error_like_any_other() -> None:
    reports = Reports()
    listener = reports.listen()

    assert reports.call(next, iter(())) is None
    with pytest.raises(RuntimeError, match=r"next\(\) raised StopIteration") as caught:
        await listener
    assert isinstance(caught.value.__cause__, StopIteration)


@pytest.mark.asyncio
async def test_hook_that_is_not_async_returns_its_result() -> None:
    assert Reports().call(int, "7") == 7


@pytest.mark.asyncio
async def test_error_with_nobody_listening_goes_to_the_exception_handler_of_the_loop() -> None:
    contexts = collect_unhandled()
    reports = Reports()
    error = OSError("disk full")
    reports.start(fail, error)
    await ended(reports)

    context = contexts.get_nowait()
    assert context["exception"] is error
    assert context["message"] == "fail() raised"


@pytest.mark.asyncio
async def test_second_error_goes_to_the_exception_handler_of_the_loop() -> None:
    contexts = collect_unhandled()
    reports = Reports()
    first, second = OSError("first"), OSError("second")
    listener = reports.listen()
    reports.start(fail, first)
    reports.start(fail, second)
    await ended(reports)

    with pytest.raises(OSError, match="first"):
        await listener
    assert contexts.get_nowait()["exception"] is second


@pytest.mark.asyncio
async def test_hook_that_returns_or_is_cancelled_is_no_failure() -> None:
    contexts = collect_unhandled()
    reports = Reports()
    listener = reports.listen()
    reports.start(cancel)
    reports.start(asyncio.sleep, 0)
    await ended(reports)

    assert not listener.done()
    assert contexts.empty()
