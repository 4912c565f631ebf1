"""Lifespan, section by section.

The start, the state and the shutdown; what fails in them; applications without the protocol; the
block that raises or is cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from helpers.loop_kinds import LOOP_KINDS

from asgi_server.testing import (
    ApplicationCancelledError,
    HTTPCommunicator,
    Lifespan,
    LifespanError,
)

pytestmark = pytest.mark.usefixtures("quiet_asyncio")

SOON = 0.001  # a time-out that has to run out

STARTUP = {"type": "lifespan.startup"}
STARTUP_COMPLETE = {"type": "lifespan.startup.complete"}
STARTUP_FAILED = {"type": "lifespan.startup.failed"}
SHUTDOWN = {"type": "lifespan.shutdown"}
SHUTDOWN_COMPLETE = {"type": "lifespan.shutdown.complete"}
SHUTDOWN_FAILED = {"type": "lifespan.shutdown.failed"}


class BrokenError(Exception):
    """Of the application."""


# The applications under test


def serves(steps: list[str]) -> Callable[..., Any]:
    """An application that starts and shuts down, and tells its steps."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        assert await receive() == STARTUP
        steps.append("startup")
        await send(STARTUP_COMPLETE)
        assert await receive() == SHUTDOWN
        steps.append("shutdown")
        await send(SHUTDOWN_COMPLETE)
        await asyncio.sleep(0)
        steps.append("end")

    return application


def answers(*answers: Any) -> Callable[..., Any]:
    """Gives an answer to each message: a message, or an exception; None is to go on."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        for answer in answers:
            await receive()
            for step in answer if isinstance(answer, tuple) else (answer,):
                if isinstance(step, BaseException):
                    raise step
                await send(step)

    return application


async def http_only(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        raise NotImplementedError(f"no {scope['type']} here")


# The start, the state and the shutdown


@pytest.mark.asyncio
async def test_application_starts_and_shuts_down_around_the_block() -> None:
    steps: list[str] = []
    async with Lifespan(serves(steps)) as lifespan:
        assert lifespan.is_supported
        steps.append("block")
    assert steps == ["startup", "block", "shutdown", "end"]


@pytest.mark.asyncio
async def test_scope_is_that_of_the_protocol_and_state_goes_on_to_the_requests() -> None:
    scopes: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        if scope["type"] == "lifespan":
            scope["state"]["pool"] = []
            await serves([])(scope, receive, send)
        else:
            scope["state"]["pool"].append("used")
            scope["state"]["of the request"] = True

    async with Lifespan(application, scope={"of the server": 1}) as lifespan:
        async with HTTPCommunicator(application, state=lifespan.state) as http:
            await http.wait()
        assert lifespan.state == {"pool": ["used"]}
    assert scopes[0] == {
        "type": "lifespan",
        "asgi": {"version": "3.0", "spec_version": "2.0"},
        "state": {"pool": ["used"]},
        "of the server": 1,
    }
    assert scopes[1]["state"] == {"pool": ["used"], "of the request": True}


@pytest.mark.asyncio
async def test_start_and_shutdown_run_in_one_task_whichever_tasks_enter_and_leave() -> None:
    """So that what binds a block to its task works: task groups, `asyncio.timeout`."""
    tasks: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        tasks.append(asyncio.current_task())
        async with asyncio.TaskGroup() as group:
            background = group.create_task(asyncio.sleep(3600))
            await serves([])(scope, receive, send)
            background.cancel()
        tasks.append(asyncio.current_task())

    async def fixture() -> AsyncIterator[Lifespan]:
        async with Lifespan(application) as lifespan:
            yield lifespan

    ends = fixture()
    await asyncio.create_task(anext(ends))  # type: ignore[arg-type]
    with pytest.raises(StopAsyncIteration):
        await asyncio.create_task(anext(ends))  # type: ignore[arg-type]
    assert tasks[0] is tasks[1]


def test_lifespan_is_bound_to_the_loop_of_its_block_and_used_once() -> None:
    lifespan = Lifespan(serves([]))

    async def test() -> None:
        async with lifespan:
            pass
        with pytest.raises(RuntimeError, match="was used before"):
            await lifespan.__aenter__()

    asyncio.run(test())


@pytest.mark.parametrize("kind", LOOP_KINDS)
def test_lifespan_runs_on_every_kind_of_event_loop(kind: str) -> None:
    steps: list[str] = []

    async def test() -> None:
        async with Lifespan(serves(steps)):
            steps.append("block")
        with pytest.raises(NotImplementedError):
            async with Lifespan(http_only):
                pass

    with asyncio.Runner(loop_factory=LOOP_KINDS[kind]) as runner:
        runner.run(test())
    assert steps == ["startup", "block", "shutdown", "end"]


@pytest.mark.asyncio
async def test_application_runs_in_an_empty_context() -> None:
    sizes: list[int] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        sizes.append(len(contextvars.copy_context()))
        await serves([])(scope, receive, send)

    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable")
    variable.set(1)
    for context in (None, contextvars.copy_context()):
        async with Lifespan(application, context=context):
            pass
    assert sizes[0] == 0
    assert sizes[1] > 0


# What fails


@pytest.mark.parametrize(
    "answer", [BrokenError("at the start"), ({**STARTUP_FAILED, "message": "x"}, BrokenError("at"))]
)
@pytest.mark.asyncio
async def test_exception_of_the_start_is_raised_as_it_is(answer: Any) -> None:
    raised = answer[-1] if isinstance(answer, tuple) else answer
    with pytest.raises(BrokenError) as caught:
        async with Lifespan(answers(answer)):
            pytest.fail("the block is not entered")
    assert caught.value is raised
    assert caught.traceback[-1].name == "application"


@pytest.mark.parametrize(
    "answer",
    [BrokenError("at the end"), ({**SHUTDOWN_FAILED, "message": "x"}, BrokenError("at the end"))],
)
@pytest.mark.asyncio
async def test_exception_of_the_shutdown_is_raised_as_it_is(answer: Any) -> None:
    entered = False
    with pytest.raises(BrokenError, match="at the end") as caught:
        async with Lifespan(answers(STARTUP_COMPLETE, answer)):
            entered = True
    assert entered
    assert caught.traceback[-1].name == "application"


@pytest.mark.asyncio
async def test_exception_after_the_shutdown_is_raised() -> None:
    with pytest.raises(BrokenError):
        async with Lifespan(answers(STARTUP_COMPLETE, (SHUTDOWN_COMPLETE, BrokenError()))):
            pass


@pytest.mark.asyncio
async def test_failure_without_an_exception_is_an_error_with_the_message() -> None:
    with pytest.raises(LifespanError, match=r"startup\.failed: no database"):
        async with Lifespan(answers({**STARTUP_FAILED, "message": "no database"})):
            pass
    with pytest.raises(LifespanError, match=r"shutdown\.failed: it gave no message"):
        async with Lifespan(answers(STARTUP_COMPLETE, SHUTDOWN_FAILED)):
            pass


@pytest.mark.asyncio
async def test_failure_is_an_error_with_the_message_also_if_the_application_goes_on() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await answers({**STARTUP_FAILED, "message": "no database"})(scope, receive, send)
        await asyncio.get_running_loop().create_future()

    with pytest.raises(LifespanError, match="no database"):
        async with Lifespan(application, timeout=SOON):
            pass
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.asyncio
async def test_application_that_fails_during_the_block_is_raised_at_its_end() -> None:
    may_fail = asyncio.Event()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(STARTUP_COMPLETE)
        await may_fail.wait()
        raise BrokenError("meanwhile")

    with pytest.raises(BrokenError, match="meanwhile"):
        async with Lifespan(application):
            may_fail.set()
            await asyncio.sleep(0)
    may_fail.clear()
    with pytest.raises(BrokenError, match="meanwhile"):
        async with Lifespan(application):
            may_fail.set()


@pytest.mark.asyncio
async def test_application_that_was_cancelled_by_something_else_is_an_error() -> None:
    with pytest.raises(ApplicationCancelledError):
        async with Lifespan(answers(asyncio.CancelledError())):
            pass
    with pytest.raises(ApplicationCancelledError):
        async with Lifespan(answers(STARTUP_COMPLETE, asyncio.CancelledError())):
            pass


@pytest.mark.asyncio
async def test_start_that_takes_too_long_is_cancelled_and_says_where_it_was() -> None:
    cancelled: list[bool] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cancelled.append(True)

    with pytest.raises(TimeoutError, match=r"has not started within .* in application"):
        async with Lifespan(application, timeout=SOON):
            pass
    assert cancelled == [True]


@pytest.mark.parametrize("last", [(), (SHUTDOWN_COMPLETE,)])
@pytest.mark.asyncio
async def test_shutdown_that_takes_too_long_is_cancelled(last: Any) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await answers(STARTUP_COMPLETE, last)(scope, receive, send)
        await asyncio.get_running_loop().create_future()

    with pytest.raises(TimeoutError, match="in application"):
        async with Lifespan(application, timeout=SOON):
            pass
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("answered", [(), (STARTUP_COMPLETE,)])
@pytest.mark.asyncio
async def test_time_out_notes_what_the_application_raises_when_it_is_cancelled(
    answered: Any,
) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await answers(*answered)(scope, receive, send)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            raise BrokenError("in the clean-up")

    with pytest.raises(TimeoutError) as caught:
        async with Lifespan(application, timeout=SOON):
            pass
    (note,) = caught.value.__notes__
    assert "BrokenError: in the clean-up" in note


@pytest.mark.asyncio
async def test_message_out_of_order_fails_where_it_is_sent() -> None:
    with pytest.raises(RuntimeError, match=r"where 'lifespan\.startup\.complete' or"):
        async with Lifespan(answers(SHUTDOWN_COMPLETE)):
            pass
    with pytest.raises(RuntimeError, match="where nothing now is expected"):
        async with Lifespan(answers((STARTUP_COMPLETE, STARTUP_COMPLETE))):
            pass


# Applications without the protocol


@pytest.mark.asyncio
async def test_application_without_the_protocol_is_an_error_where_it_is_required() -> None:
    with pytest.raises(NotImplementedError, match="no lifespan here"):
        async with Lifespan(http_only):
            pass
    with pytest.raises(LifespanError, match=r"returned without lifespan\.startup\.complete"):
        async with Lifespan(answers()):
            pass


@pytest.mark.parametrize("application", [http_only, answers()])
@pytest.mark.asyncio
async def test_application_without_the_protocol_is_left_alone_where_it_is_not(
    application: Any,
) -> None:
    async with Lifespan(application, required=False) as lifespan:
        assert not lifespan.is_supported
        assert lifespan.state == {}


@pytest.mark.asyncio
async def test_application_that_fails_in_the_start_has_the_protocol() -> None:
    with pytest.raises(BrokenError):
        async with Lifespan(answers(BrokenError()), required=False):
            pass


@pytest.mark.asyncio
async def test_application_that_returns_without_a_word_at_the_shutdown_is_an_error() -> None:
    with pytest.raises(LifespanError, match=r"returned without lifespan\.shutdown\.complete"):
        async with Lifespan(answers(STARTUP_COMPLETE, ())):
            pass


@pytest.mark.asyncio
async def test_application_that_has_returned_after_its_start_needs_no_shutdown() -> None:
    async with Lifespan(answers(STARTUP_COMPLETE)):
        await asyncio.sleep(0)


# The block raises, or is cancelled


@pytest.mark.asyncio
async def test_application_is_shut_down_also_if_the_block_raises() -> None:
    steps: list[str] = []
    with pytest.raises(AssertionError, match="of the test") as caught:
        async with Lifespan(serves(steps)):
            raise AssertionError("of the test")
    assert steps == ["startup", "shutdown", "end"]
    assert not hasattr(caught.value, "__notes__")


@pytest.mark.asyncio
async def test_error_of_the_block_is_kept_and_notes_that_of_the_shutdown() -> None:
    with pytest.raises(AssertionError, match="of the test") as caught:
        async with Lifespan(answers(STARTUP_COMPLETE, BrokenError("at the end"))):
            raise AssertionError("of the test")
    (note,) = caught.value.__notes__
    assert note.startswith("The shutdown of the application failed as well:\nTraceback")
    assert note.endswith("BrokenError: at the end")


@pytest.mark.parametrize("in_the_start", [True, False])
@pytest.mark.asyncio
async def test_test_that_is_cancelled_leaves_nothing_running(in_the_start: bool) -> None:
    reached = asyncio.Event()
    ended: list[bool] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        try:
            if not in_the_start:
                await answers(STARTUP_COMPLETE, ())(scope, receive, send)
            reached.set()
            await asyncio.get_running_loop().create_future()
        finally:
            ended.append(True)

    async def test() -> None:
        async with Lifespan(application, timeout=None):
            pass

    testing = asyncio.create_task(test())
    await reached.wait()
    testing.cancel()
    await asyncio.wait([testing])
    assert testing.cancelled()
    assert ended == [True]


@pytest.mark.asyncio
async def test_no_exception_is_put_into_a_group() -> None:
    """Also where several blocks are left at once."""
    with pytest.raises(BrokenError):
        async with contextlib.AsyncExitStack() as stack:
            lifespan = await stack.enter_async_context(Lifespan(serves([])))
            failing = HTTPCommunicator(answers(BrokenError()), state=lifespan.state)
            await stack.enter_async_context(failing)
            await asyncio.sleep(0)
