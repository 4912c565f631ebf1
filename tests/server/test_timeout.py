from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from asgi_server.timeout import timeout

NEVER = 3600
SOON = 0.001

ignore_deprecation = pytest.mark.filterwarnings("ignore::DeprecationWarning")


async def wait_for_ever() -> None:
    await asyncio.get_running_loop().create_future()


def cancelling() -> int:
    task = asyncio.current_task()
    assert task is not None
    return task.cancelling()


@asynccontextmanager
async def with_statement(block: timeout) -> AsyncIterator[timeout]:
    with block:
        yield block


@asynccontextmanager
async def async_with_statement(block: timeout) -> AsyncIterator[timeout]:
    async with block:
        yield block


both_statements = pytest.mark.parametrize("entered", [with_statement, async_with_statement])


def test_making_one_warns_here_and_names_the_replacement() -> None:
    with pytest.warns(DeprecationWarning, match=r"Use asyncio\.timeout\(\) instead") as caught:
        timeout(1)
    (warning,) = caught
    assert warning.filename == __file__


@pytest.mark.asyncio
async def test_loop_argument_warns_and_is_ignored() -> None:
    loop = asyncio.new_event_loop()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        block = timeout(NEVER, loop=loop)
    loop.close()

    assert [str(warning.message) for warning in caught][1:] == [
        "The loop argument to timeout() is deprecated."
    ]
    async with block:
        pass


@ignore_deprecation
@both_statements
@pytest.mark.asyncio
async def test_block_that_takes_too_long_raises_timeout_error(entered: Any) -> None:
    block = timeout(SOON)
    with pytest.raises(TimeoutError) as caught:
        async with entered(block):
            await wait_for_ever()

    assert block.expired
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)


@ignore_deprecation
@both_statements
@pytest.mark.asyncio
async def test_block_that_ends_in_time_is_left_alone(entered: Any) -> None:
    block = timeout(NEVER)
    async with entered(block) as value:
        assert value is block
        await asyncio.sleep(0)

    assert not block.expired


@ignore_deprecation
@pytest.mark.asyncio
async def test_timeout_leaves_no_cancellation_behind() -> None:
    with pytest.raises(TimeoutError):
        async with timeout(SOON):
            await wait_for_ever()

    assert cancelling() == 0


@ignore_deprecation
@pytest.mark.asyncio
async def test_outer_timeout_of_asyncio_still_works_around_it() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(SOON) as outer:
            async with timeout(NEVER) as inner:
                await wait_for_ever()

    assert outer.expired()
    assert not inner.expired
    assert cancelling() == 0


@ignore_deprecation
@pytest.mark.asyncio
async def test_cancellation_from_outside_goes_through() -> None:
    async def work() -> None:
        async with timeout(NEVER):
            await wait_for_ever()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])

    assert task.cancelled()


@ignore_deprecation
@pytest.mark.asyncio
async def test_cancellation_from_outside_goes_before_the_timeout() -> None:
    blocks: list[timeout] = []

    async def work() -> None:
        async with timeout(0) as block:
            blocks.append(block)
            await wait_for_ever()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()  # the time-out is due in this iteration too
    await asyncio.wait([task])

    assert blocks[0].expired
    assert task.cancelled()


@ignore_deprecation
@pytest.mark.asyncio
async def test_error_of_the_block_goes_through() -> None:
    block = timeout(NEVER)
    with pytest.raises(ValueError, match="broken"):
        async with block:
            raise ValueError("broken")

    assert not block.expired


@ignore_deprecation
@pytest.mark.asyncio
async def test_error_of_the_clean_up_goes_through_and_no_cancellation_stays() -> None:
    block = timeout(SOON)
    with pytest.raises(ValueError, match="cannot clean up"):
        async with block:
            try:
                await wait_for_ever()
            finally:
                raise ValueError("cannot clean up")

    assert block.expired
    assert cancelling() == 0


@ignore_deprecation
@pytest.mark.parametrize("seconds", [0, -1])
@pytest.mark.asyncio
async def test_no_time_at_all_ends_the_first_wait(seconds: float) -> None:
    with pytest.raises(TimeoutError):
        async with timeout(seconds):
            await asyncio.sleep(0)


@ignore_deprecation
@pytest.mark.asyncio
async def test_no_time_at_all_is_enough_for_a_block_that_does_not_wait() -> None:
    async with timeout(0) as block:
        pass
    await asyncio.sleep(0)

    assert not block.expired


@ignore_deprecation
@pytest.mark.asyncio
async def test_none_is_no_limit() -> None:
    async with timeout(None) as block:
        await asyncio.sleep(0)
        assert block.remaining is None


@ignore_deprecation
@pytest.mark.asyncio
async def test_remaining_counts_down_to_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    now = loop.time()
    block = timeout(60)
    assert block.remaining is None

    monkeypatch.setattr(loop, "time", lambda: now)
    async with block:
        assert block.remaining == pytest.approx(60)
        monkeypatch.setattr(loop, "time", lambda: now + 45)
        assert block.remaining == pytest.approx(15)
        monkeypatch.setattr(loop, "time", lambda: now + 61)
        assert block.remaining == 0.0


@ignore_deprecation
@pytest.mark.asyncio
async def test_block_can_be_entered_again_after_it_was_left() -> None:
    block = timeout(SOON)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            async with block:
                assert not block.expired
                await wait_for_ever()


@ignore_deprecation
@pytest.mark.asyncio
async def test_block_cannot_be_entered_inside_itself() -> None:
    async with timeout(NEVER) as block:
        with pytest.raises(RuntimeError, match="entered already"):
            block.__enter__()


@ignore_deprecation
@pytest.mark.asyncio
async def test_outside_a_task_it_cannot_be_entered() -> None:
    errors: asyncio.Queue[BaseException] = asyncio.Queue()

    def enter() -> None:
        try:
            timeout(NEVER).__enter__()
        except RuntimeError as error:
            errors.put_nowait(error)

    asyncio.get_running_loop().call_soon(enter)

    assert "inside a task" in str(await errors.get())
