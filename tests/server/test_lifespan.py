"""The lifespan of the application of a stateless server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from helpers.loop_kinds import LOOP_KINDS
from helpers.stateless_servers import SCOPE, Boom, Server, echo, running

from asgi_server import LifespanError, StatelessServer


class Application:
    """Echoes, and has a lifespan whose steps it notes."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.scopes: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        if scope["type"] == "lifespan":
            await self.live(scope, receive, send)
        else:
            self.steps.append("instance")
            try:
                await echo(scope, receive, send)
            finally:
                self.steps.append("instance ended")

    async def live(self, scope: Any, receive: Any, send: Any) -> None:
        assert await receive() == {"type": "lifespan.startup"}
        await self.start_up(scope)
        await send({"type": "lifespan.startup.complete"})
        assert await receive() == {"type": "lifespan.shutdown"}
        await self.shut_down()
        await send({"type": "lifespan.shutdown.complete"})

    async def start_up(self, scope: Any) -> None:
        scope["state"]["pool"] = self.steps
        self.steps.append("startup")

    async def shut_down(self) -> None:
        self.steps.append("shutdown")


class Talking(Server):
    """Says hello to one scope, and ends when that is answered."""

    async def handle(self) -> None:
        self.message("ann", "hello")
        await self.sent.get()


# With a lifespan


@pytest.mark.parametrize("mode", ["auto", "on"])
@pytest.mark.asyncio
async def test_startup_comes_before_the_first_instance_and_shutdown_after_the_last(
    mode: str,
) -> None:
    application = Application()
    await Talking(application, lifespan=mode).arun()

    assert application.steps == ["startup", "instance", "instance ended", "shutdown"]
    assert application.scopes[0]["asgi"] == {"version": "3.0", "spec_version": "2.0"}


@pytest.mark.asyncio
async def test_each_scope_has_a_shallow_copy_of_the_state() -> None:
    application = Application()

    class Two(Server):
        async def handle(self) -> None:
            for scope_id in "ab":
                self.message(scope_id, "hello")
                await self.sent.get()

    await Two(application, lifespan="auto").arun()

    lifespan, *scopes = application.scopes
    assert [scope | {"state": None} for scope in scopes] == [SCOPE | {"state": None}] * 2
    for scope in scopes:
        assert scope["state"] is not lifespan["state"]
        assert scope["state"]["pool"] is application.steps
    assert "state" not in SCOPE


@pytest.mark.asyncio
async def test_scope_that_is_no_mapping_is_left_as_it_is() -> None:
    seen: list[Any] = []

    class AnyScope(Application):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            if isinstance(scope, dict):
                await self.live(scope, receive, send)
            else:
                seen.append(scope)
                await send(await receive())

    class Addressed(Server):
        async def handle(self) -> None:
            self.message("ann", "hello", ("127.0.0.1", 53))
            await self.sent.get()

    await Addressed(AnyScope(), lifespan="auto").arun()
    assert seen == [("127.0.0.1", 53)]


@pytest.mark.asyncio
async def test_server_that_is_run_again_has_a_new_lifespan() -> None:
    application = Application()
    server = Talking(application, lifespan="on")
    await server.arun()
    await server.arun()

    assert application.steps == ["startup", "instance", "instance ended", "shutdown"] * 2


@pytest.mark.asyncio
async def test_shutdown_comes_after_a_failure_too() -> None:
    class Broken(Server):
        async def handle(self) -> None:
            raise OSError("no transport")

    application = Application()
    with pytest.raises(OSError, match="no transport"):
        await Broken(application, lifespan="on").arun()
    assert application.steps == ["startup", "shutdown"]


@pytest.mark.asyncio
async def test_application_may_end_after_its_startup() -> None:
    class Short(Application):
        async def live(self, scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await self.start_up(scope)
            await send({"type": "lifespan.startup.complete"})

    application = Short()
    await Talking(application, lifespan="on").arun()

    assert application.steps == ["startup", "instance", "instance ended"]
    assert application.scopes[1]["state"] == {"pool": application.steps}


@pytest.mark.asyncio
async def test_double_callable_application_has_a_lifespan() -> None:
    steps: list[str] = []

    class OldStyle:
        def __init__(self, scope: Any) -> None:
            self.scope = scope

        async def __call__(self, receive: Any, send: Any) -> None:
            if self.scope["type"] != "lifespan":
                await echo(self.scope, receive, send)
            for step in ["startup", "shutdown"]:
                steps.append((await receive())["type"])
                await send({"type": f"lifespan.{step}.complete"})

    await Talking(OldStyle, lifespan="on").arun()
    assert steps == ["lifespan.startup", "lifespan.shutdown"]


@pytest.mark.parametrize("kind", LOOP_KINDS)
def test_every_kind_of_event_loop_runs_a_lifespan(kind: str) -> None:
    application = Application()
    with asyncio.Runner(loop_factory=LOOP_KINDS[kind]) as runner:
        runner.run(Talking(application, lifespan="on").arun())
        with pytest.raises(LifespanError, match="no such scope"):
            runner.run(Talking(fails, lifespan="on").arun())

    assert application.steps == ["startup", "instance", "instance ended", "shutdown"]


# Failures


@pytest.mark.parametrize("mode", ["auto", "on"])
@pytest.mark.asyncio
async def test_startup_that_failed_ends_the_server_with_the_reason(mode: str) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})
        raise Boom

    class Unreached(Server):
        async def handle(self) -> None:
            raise AssertionError

    with pytest.raises(LifespanError, match="startup failed: no database"):
        await Unreached(application, lifespan=mode).arun()
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.asyncio
async def test_shutdown_that_failed_is_raised_at_the_end() -> None:
    class Failing(Application):
        async def live(self, scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.failed"})

    with pytest.raises(LifespanError, match="shutdown failed: it gave no reason"):
        await Talking(Failing(), lifespan="auto").arun()


@pytest.mark.asyncio
async def test_shutdown_that_raises_is_raised_with_its_cause() -> None:
    class Failing(Application):
        async def shut_down(self) -> None:
            raise Boom("no database")

    with pytest.raises(LifespanError, match="shutdown failed: no database") as caught:
        await Talking(Failing(), lifespan="auto").arun()
    assert isinstance(caught.value.__cause__, Boom)


@pytest.mark.asyncio
async def test_failure_between_startup_and_shutdown_ends_the_server() -> None:
    fail = asyncio.Event()

    class Failing(Application):
        async def live(self, scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await fail.wait()
            raise Boom("a background task")

    server = Server(Failing(), lifespan="auto")
    async with running(server) as arun:
        server.message("ann", "hello")
        await server.sent.get()
        fail.set()
        await asyncio.wait([arun])
    assert str(arun.exception()) == "a background task"


@pytest.mark.asyncio
async def test_message_that_does_not_belong_there_is_refused() -> None:
    errors: list[RuntimeError] = []

    class Confused(Application):
        async def live(self, scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "lifespan.startup.complete"})
            try:
                await send({"type": "lifespan.startup.complete"})
            except RuntimeError as error:
                errors.append(error)
            await receive()

    await Talking(Confused(), lifespan="on").arun()

    (error,) = errors
    assert "'lifespan.startup.complete' cannot be sent" in str(error)
    assert "started" in str(error)


# Without a lifespan


async def fails(scope: Any, receive: Any, send: Any) -> None:
    raise Boom("no such scope")


async def ends(scope: Any, receive: Any, send: Any) -> None:
    await receive()


async def reads_on(scope: Any, receive: Any, send: Any) -> None:
    while True:
        await receive()


async def fails_and_cleans_up_for_long(scope: Any, receive: Any, send: Any) -> None:
    try:
        await echo(scope, receive, send)
    finally:
        await asyncio.get_running_loop().create_future()


UNAWARE: list[Callable[..., Awaitable[None]]] = [
    echo,
    fails,
    ends,
    reads_on,
    fails_and_cleans_up_for_long,
]


@pytest.mark.parametrize("lifespan", UNAWARE, ids=lambda function: function.__name__)
@pytest.mark.asyncio
async def test_application_that_knows_no_lifespan_is_served_without_an_error(
    lifespan: Any, caplog: pytest.LogCaptureFixture
) -> None:
    scopes: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(scope, receive, send)
        scopes.append(scope)
        await echo(scope, receive, send)

    caplog.set_level(logging.INFO)
    await Talking(application, lifespan="auto").arun()

    assert SCOPE in scopes  # without a state
    assert caplog.records == []
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("lifespan", [echo, fails, ends], ids=lambda function: function.__name__)
@pytest.mark.asyncio
async def test_lifespan_may_be_demanded(lifespan: Any) -> None:
    with pytest.raises(LifespanError, match="startup failed: ") as caught:
        await Talking(lifespan, lifespan="on").arun()
    assert isinstance(caught.value.__cause__, Boom) == (lifespan is fails)


@pytest.mark.asyncio
async def test_application_is_not_called_with_a_lifespan_unless_that_is_said() -> None:
    application = Application()
    await Talking(application).arun()

    assert application.steps == ["instance", "instance ended"]
    assert application.scopes == [SCOPE]


# The end, in bounded time


@pytest.mark.asyncio
async def test_stop_during_the_startup_cancels_it(caplog: pytest.LogCaptureFixture) -> None:
    cancelled: list[bool] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cancelled.append(True)

    server = Server(application, lifespan="auto")
    async with running(server) as arun:
        server.stop()
        await arun
    assert cancelled == [True]
    assert caplog.records == []


@pytest.mark.parametrize("ignores", [False, True])
@pytest.mark.asyncio
async def test_shutdown_that_takes_too_long_is_cancelled_and_logged(
    ignores: bool, caplog: pytest.LogCaptureFixture
) -> None:
    may_end = asyncio.Event()

    class Slow(Application):
        async def shut_down(self) -> None:
            while not may_end.is_set():
                try:
                    await may_end.wait()
                except asyncio.CancelledError:
                    if not ignores:
                        raise

    await Talking(Slow(), lifespan="on", stop_timeout=0.01, grace_period=0.01).arun()
    may_end.set()

    messages = [record.getMessage() for record in caplog.records]
    assert messages[0] == "The application's lifespan has not ended in time, and is cancelled"
    assert messages[1:] == (
        ["The application's lifespan has not ended after it was cancelled"] if ignores else []
    )
    while len(asyncio.all_tasks()) > 1:
        await asyncio.sleep(0)


@pytest.mark.asyncio
async def test_lifespan_may_hold_tasks_for_the_whole_time() -> None:
    """What a README recommends: background tasks have a parent that ends them."""
    background: list[str] = []

    async def work() -> None:
        try:
            background.append("works")
            await asyncio.get_running_loop().create_future()
        finally:
            background.append("ended")

    class WithTasks(Application):
        async def live(self, scope: Any, receive: Any, send: Any) -> None:
            async with asyncio.TaskGroup() as group:
                await receive()
                scope["state"]["tasks"] = group
                await send({"type": "lifespan.startup.complete"})
                await receive()
                for task in tasks:
                    task.cancel()
            await send({"type": "lifespan.shutdown.complete"})

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "lifespan":
                await self.live(scope, receive, send)
            else:
                tasks.append(scope["state"]["tasks"].create_task(work()))
                await send(await receive())

    tasks: list[asyncio.Task[None]] = []
    await Talking(WithTasks(), lifespan="on").arun()
    assert background == ["works", "ended"]


def test_server_without_arun_has_no_lifespan() -> None:
    application = Application()
    server = StatelessServer(application, lifespan="on")

    async def ask() -> None:
        server.get_or_create_application_instance("ann", SCOPE)
        await asyncio.sleep(0)

    asyncio.run(ask())
    assert application.scopes == [SCOPE]
