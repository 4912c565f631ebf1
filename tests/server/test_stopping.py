"""How a server ends: what finishes, what is cancelled, and that it takes a bounded time."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from typing import Any

import pytest
from helpers.children import Ended, interrupt_python_once_ready, run_python
from helpers.loop_kinds import LOOP_KINDS
from helpers.server_threads import thread_of
from helpers.stateless_servers import SCOPE, Reporting, Server, running, task_of

from asgi_server import EndCause

needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="no signals for one process")


async def slow(scope: Any, receive: Any, send: Any) -> None:
    """Takes a few iterations of the loop for each message."""
    while True:
        message = await receive()
        for _ in range(5):
            await asyncio.sleep(0)
        await send(message)


async def never_end(scope: Any, receive: Any, send: Any) -> None:
    message = await receive()
    await send(message)
    while not message.is_set():
        try:
            await message.wait()
        except asyncio.CancelledError:
            await send("cancelled")


async def never_idle(scope: Any, receive: Any, send: Any) -> None:
    await send(await receive())
    await asyncio.get_running_loop().create_future()


def drain(queue: asyncio.Queue[Any]) -> list[Any]:
    return [queue.get_nowait() for _ in range(queue.qsize())]


# stop()


@pytest.mark.asyncio
async def test_stop_lets_applications_finish_what_they_have_been_given() -> None:
    server = Reporting(slow)
    async with running(server) as arun:
        for scope_id in "ab":
            for number in range(3):
                server.message(scope_id, number)
        server.stop()
        await arun

    assert server.sent.qsize() == 6
    ends = [server.ends.get_nowait() for _ in range(2)]
    assert {scope_id for scope_id, _ in ends} == {"a", "b"}
    assert all(end.cause is EndCause.STOPPED and end.undelivered == () for _, end in ends)
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.asyncio
async def test_handle_that_returns_lets_applications_finish_too() -> None:
    class Batch(Server):
        async def handle(self) -> None:
            for number in range(3):
                self.message("ann", number)

    server = Batch(slow)
    await server.arun()

    assert [server.sent.get_nowait()[1] for _ in range(3)] == [0, 1, 2]


@pytest.mark.asyncio
async def test_stop_cancels_handle() -> None:
    cancelled: list[bool] = []

    class Listening(Server):
        async def handle(self) -> None:
            try:
                await super().handle()
            except asyncio.CancelledError:
                cancelled.append(True)
                raise

    server = Listening()
    async with running(server) as arun:
        server.stop()
        await arun

    assert cancelled == [True]


@pytest.mark.asyncio
async def test_application_at_work_when_the_time_is_over_is_cancelled_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = Reporting(never_idle, stop_timeout=0.01)
    async with running(server) as arun:
        server.message("ann", "hello")
        await server.sent.get()
        server.stop()
        await arun

    _, end = server.ends.get_nowait()
    assert (end.cause, end.cancelled, end.overdue) == (EndCause.STOPPED, True, False)
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("asgi_server", logging.WARNING)
    assert "1 applications were at work for longer than 0.01 s" in record.getMessage()


@pytest.mark.asyncio
async def test_application_may_send_to_one_that_is_idle_while_the_server_stops() -> None:
    async def forward(scope: Any, receive: Any, send: Any) -> None:
        while (message := await receive()) != "stop":
            await send(message)
        server.stop()
        for _ in range(20):
            await asyncio.sleep(0)
        server.message("bob", "from ann")

    server = Server(forward)
    async with running(server) as arun:
        server.message("bob", "hello")
        await server.sent.get()
        bob = task_of(server, "bob")
        server.message("ann", "stop")
        await arun

    assert server.sent.get_nowait() == (SCOPE, "from ann")
    assert bob.cancelled()


@pytest.mark.asyncio
async def test_stop_gives_each_application_its_last_message() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        while (message := await receive()) != "bye":
            await send(message)
        await send("bye, too")

    class SayingBye(Reporting):
        def application_disconnect(self, application_details: Any, cause: EndCause) -> Any:
            return "bye"

    server = SayingBye(application)
    async with running(server) as arun:
        server.message("ann", "hello")
        server.stop()
        await arun

    assert [server.sent.get_nowait()[1] for _ in range(2)] == ["hello", "bye, too"]
    _, end = server.ends.get_nowait()
    assert (end.cause, end.cancelled) == (EndCause.STOPPED, False)


@pytest.mark.asyncio
async def test_hook_for_the_last_message_may_delete_another_instance_when_the_server_stops() -> (
    None
):
    async def echo_once(scope: Any, receive: Any, send: Any) -> None:
        await send(await receive())

    class Pairs(Reporting):
        def application_disconnect(self, application_details: Any, cause: EndCause) -> Any:
            if application_details["scope_id"] == "ann":
                self.delete_application_instance("bob")
            return cause

    server = Pairs(echo_once)
    async with running(server) as arun:
        for scope_id in ("ann", "bob"):
            server.get_or_create_application_instance(scope_id, SCOPE)
        server.stop()
        await arun

    causes = {scope_id: end.cause for scope_id, end in drain(server.ends)}
    assert causes == {"ann": EndCause.STOPPED, "bob": EndCause.DELETED}
    assert {message for _, message in drain(server.sent)} == set(causes.values())


@pytest.mark.asyncio
async def test_application_that_ignores_its_cancellation_is_left_and_reported() -> None:
    may_end = asyncio.Event()
    server = Reporting(never_end, stop_timeout=0, grace_period=0.01)
    async with running(server) as arun:
        server.message("ann", may_end)
        await server.sent.get()
        task = task_of(server, "ann")
        server.stop()
        await arun

        assert server.overdue.get_nowait() == "ann"
        assert not task.done()
        may_end.set()
        await asyncio.wait([task])
        _, end = await server.ends.get()
        assert end.overdue
    counters = server.counters()
    assert (counters.created, counters.ended, counters.overdue) == (1, 1, 0)


@pytest.mark.parametrize("what", ["handle", "application_checker"])
@pytest.mark.asyncio
async def test_coroutine_of_the_server_that_ignores_its_cancellation_is_left_and_logged(
    what: str, caplog: pytest.LogCaptureFixture
) -> None:
    may_end = asyncio.Event()

    async def ignore(self: Any) -> None:
        while not may_end.is_set():
            try:
                await may_end.wait()
            except asyncio.CancelledError:
                pass

    server_class = type("Ignoring", (Server,), {what: ignore})
    server = server_class(grace_period=0.01)
    async with running(server) as arun:
        server.stop()
        await arun
        may_end.set()

    (record,) = caplog.records
    assert record.getMessage() == f"{what}() was cancelled, and has not ended in time"
    while len(asyncio.all_tasks()) > 1:
        await asyncio.sleep(0)


@pytest.mark.asyncio
async def test_hook_that_ignores_its_cancellation_is_left_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    may_end = asyncio.Event()

    class Stuck(Server):
        async def application_ended(self, application_details: Any, end: Any) -> None:
            while not may_end.is_set():
                try:
                    await may_end.wait()
                except asyncio.CancelledError:
                    pass

    server = Stuck(grace_period=0.01)
    async with running(server) as arun:
        server.message("ann", "hello")
        await server.sent.get()
        server.stop()
        await arun
        may_end.set()

    (record,) = caplog.records
    assert record.getMessage() == "Calls of hooks have not ended in 0.01 s: application_ended"


@pytest.mark.asyncio
async def test_hook_that_starts_another_instance_at_every_end_does_not_outlive_the_server() -> None:
    class Restarting(Server):
        async def application_ended(self, application_details: Any, end: Any) -> None:
            self.message(application_details["scope_id"], "again")

    server = Restarting(slow, grace_period=0.02)
    async with running(server) as arun:
        server.message("ann", "hello")
        server.stop()
        await arun

    assert asyncio.all_tasks() == {asyncio.current_task()}
    counters = server.counters()
    assert (counters.held, counters.ending) == (0, 0)


def test_exit_of_a_hook_does_not_keep_the_server_from_its_end() -> None:
    class Exiting(Server):
        async def handle(self) -> None:
            self.message("ann", "first")
            self.message("ann", "never received")
            await self.sent.get()

        def application_dropped(self, message: Any, input_queue: Any) -> None:
            raise SystemExit(3)

    with pytest.raises(SystemExit) as exited:
        asyncio.run(Exiting(never_idle, stop_timeout=0).arun())
    assert exited.value.code == 3


@pytest.mark.asyncio
async def test_stop_at_once_waits_for_nothing() -> None:
    server = Reporting(never_idle, stop_timeout=1000, grace_period=1000)
    async with running(server) as arun:
        server.message("ann", "hello")
        await server.sent.get()
        server.stop()
        for _ in range(20):
            await asyncio.sleep(0)
        assert not arun.done()
        server.stop(at_once=True)
        await arun

    _, end = server.ends.get_nowait()
    assert (end.cause, end.cancelled) == (EndCause.STOPPED, True)


@pytest.mark.asyncio
async def test_stop_at_once_leaves_what_ignores_its_cancellation() -> None:
    may_end = asyncio.Event()
    server = Reporting(never_end, stop_timeout=1000, grace_period=1000)
    async with running(server) as arun:
        server.message("ann", may_end)
        await server.sent.get()
        task = task_of(server, "ann")
        server.stop(at_once=True)
        await arun

        assert server.overdue.get_nowait() == "ann"
        may_end.set()
        await asyncio.wait([task])


@pytest.mark.asyncio
async def test_stop_before_arun_ends_it_as_soon_as_it_begins() -> None:
    server = Server()
    server.stop()
    await server.arun()

    # That was for one arun() only.
    async with running(server) as arun:
        server.message("ann", "hello")
        await server.sent.get()
        assert not arun.done()


@pytest.mark.asyncio
async def test_stop_may_be_called_by_an_application_and_more_than_once() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send(await receive())
        server.stop()
        server.stop()

    server = Server(application)
    async with running(server) as arun:
        server.message("ann", "hello")
        await arun
    assert server.sent.get_nowait() == (SCOPE, "hello")


def test_server_whose_second_run_was_refused_can_still_be_stopped() -> None:
    serving = threading.Event()

    class Listening(Server):
        async def handle(self) -> None:
            serving.set()
            await super().handle()

    server = Listening()
    with thread_of(server.run):
        assert serving.wait(10)
        try:
            with pytest.raises(RuntimeError, match="running already"):
                server.run()
        finally:
            server.stop()


def test_stop_may_be_called_in_another_thread() -> None:
    serving = threading.Event()

    class Listening(Server):
        async def handle(self) -> None:
            serving.set()
            await super().handle()

    server = Listening()
    with thread_of(server.run):
        assert serving.wait(10)
        server.stop()


@pytest.mark.asyncio
async def test_second_arun_at_the_same_time_is_refused() -> None:
    server = Server()
    async with running(server) as arun:
        with pytest.raises(RuntimeError, match="running already"):
            await server.arun()
        server.message("ann", "hello")
        await server.sent.get()
        assert not arun.done()


@pytest.mark.asyncio
async def test_cancellation_while_it_stops_cancels_the_applications() -> None:
    server = Reporting(never_idle, stop_timeout=1000)
    async with running(server) as arun:
        server.message("ann", "hello")
        await server.sent.get()
        server.stop()
        for _ in range(20):
            await asyncio.sleep(0)
        arun.cancel()
        await asyncio.wait([arun])

    assert arun.cancelled()
    assert server.ends.get_nowait()[1].cancelled


@pytest.mark.asyncio
async def test_failure_of_handle_does_not_wait_for_applications_at_work() -> None:
    class Broken(Reporting):
        async def handle(self) -> None:
            self.message("ann", "hello")
            await self.sent.get()
            raise OSError("no transport")

    server = Broken(never_idle, stop_timeout=1000)
    with pytest.raises(OSError, match="no transport"):
        await server.arun()
    assert server.ends.get_nowait()[1].cancelled


@pytest.mark.asyncio
async def test_two_errors_that_are_equal_are_both_raised() -> None:
    class SameError(Exception):
        def __eq__(self, other: object) -> bool:
            return isinstance(other, SameError)

        __hash__ = Exception.__hash__

    class Broken(Server):
        async def handle(self) -> None:
            raise SameError

        async def application_checker(self) -> None:
            raise SameError

    with pytest.raises(BaseExceptionGroup) as caught:
        await Broken().arun()
    assert [type(error) for error in caught.value.exceptions] == [SameError, SameError]


@pytest.mark.asyncio
async def test_listener_cancelled_by_something_else_ends_the_server() -> None:
    class Broken(Server):
        async def handle(self) -> None:
            raise asyncio.CancelledError("a listener")

    with pytest.raises(asyncio.CancelledError):
        await Broken().arun()


def test_instance_left_on_a_loop_that_has_ended_is_forgotten_by_the_next_run() -> None:
    class Once(Server):
        may_end = False

        async def handle(self) -> None:
            event = asyncio.Event()
            if self.may_end:
                event.set()
            self.message("ann", event)
            self.message("ann", "never received")
            await self.sent.get()

    server = Once(never_end, stop_timeout=0, grace_period=0.01)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(server.arun())
    left = asyncio.all_tasks(loop)
    assert len(left) == 1
    assert server.counters().overdue == 1
    loop.close()

    server.may_end = True
    asyncio.run(server.arun())
    counters = server.counters()
    assert (counters.created, counters.ended, counters.overdue) == (2, 2, 0)
    assert (counters.queue_depth, counters.messages_dropped) == (0, 2)
    for task in left:
        # Python logs what is lost with a loop, when it is collected.
        task._log_destroy_pending = False  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", LOOP_KINDS)
def test_every_kind_of_event_loop_serves_and_stops(kind: str) -> None:
    server = Reporting(slow, max_applications=2)

    async def serve() -> None:
        async with running(server) as arun:
            for scope_id in "abc":
                server.message(scope_id, "hello")
                assert server.get_or_create_application_instance(scope_id, {}).qsize() == 1
                await server.sent.get()
            server.stop()
            await arun

    with asyncio.Runner(loop_factory=LOOP_KINDS[kind]) as runner:
        runner.run(serve())
    causes = [server.ends.get_nowait()[1].cause for _ in range(3)]
    assert causes == [EndCause.EVICTED, EndCause.STOPPED, EndCause.STOPPED]
    assert server.counters().ended == 3


# run(), in a process of its own

SERVER = """
import asyncio, logging, signal, sys
from asgi_server import StatelessServer

logging.basicConfig(level="INFO", format="%(levelname)s %(message)s", stream=sys.stdout)

class Server(StatelessServer):
    async def handle(self):
        self.get_or_create_application_instance("ann", {}).put_nowait("hello")
        await asyncio.Event().wait()

    async def application_send(self, scope, message):
        print(message, flush=True)
"""


def lines_of(child: Ended) -> list[str]:
    assert (child.status, child.err) == (0, "")
    return child.out.splitlines()


@needs_signals
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_signal_lets_applications_finish_and_run_return(name: str) -> None:
    code = """
async def application(scope, receive, send):
    await receive()
    signal.raise_signal(signal.NAME)
    await asyncio.sleep(0.05)
    await send("finished")

Server(application).run()
print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)
print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
"""
    child = run_python(SERVER + code.replace("NAME", name))

    exiting = "Ctrl-C/interrupt" if name == "SIGINT" else name
    assert lines_of(child) == ["finished", f"INFO Exiting due to {exiting}", "True", "True"]


@needs_signals
@pytest.mark.skipif("uvloop" not in LOOP_KINDS, reason="uvloop is not installed")
def test_signals_stop_a_server_on_uvloop_too() -> None:
    code = """
import uvloop

async def application(scope, receive, send):
    await receive()
    await send(type(asyncio.get_running_loop()).__module__)
    signal.raise_signal(signal.SIGTERM)
    await asyncio.sleep(0.05)
    signal.raise_signal(signal.SIGTERM)
    try:
        await asyncio.Event().wait()
    finally:
        await send("cleaned up")

with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    asyncio.Runner = lambda: runner
    Server(application, stop_timeout=1000).run()
"""
    assert lines_of(run_python(SERVER + code)) == [
        "uvloop",
        "cleaned up",
        "INFO Exiting due to SIGTERM",
    ]


@needs_signals
def test_second_signal_ends_run_at_once() -> None:
    code = """
async def application(scope, receive, send):
    await receive()
    try:
        for _ in range(2):
            signal.raise_signal(signal.SIGTERM)
            await asyncio.sleep(0.05)
        await asyncio.Event().wait()
    finally:
        await send("cleaned up")

Server(application, stop_timeout=1000, grace_period=1000).run()
"""
    assert lines_of(run_python(SERVER + code)) == ["cleaned up", "INFO Exiting due to SIGTERM"]


@needs_signals
def test_third_signal_interrupts_code_that_does_not_return_to_the_loop() -> None:
    code = """
async def application(scope, receive, send):
    await receive()
    for _ in range(3):
        signal.raise_signal(signal.SIGINT)
    print("not reached")

Server(application).run()
print("returned")
"""
    assert lines_of(run_python(SERVER + code)) == [
        "INFO Exiting due to Ctrl-C/interrupt",
        "returned",
    ]


@needs_signals
def test_run_returns_though_an_application_ignores_its_cancellation() -> None:
    code = """
async def application(scope, receive, send):
    await receive()
    signal.raise_signal(signal.SIGTERM)
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass

Server(application, stop_timeout=0, grace_period=0.01).run()
sys.stderr = None  # what Python says of a coroutine that ignores everything
"""
    lines = lines_of(run_python(SERVER + code))

    assert "ERROR The application of 'ann' was cancelled, and has not ended in time" in lines
    assert any(line.startswith("ERROR Left behind") for line in lines)
    assert "INFO Exiting due to SIGTERM" in lines


@needs_signals
def test_signal_from_outside_wakes_a_server_that_waits() -> None:
    code = """
class Waiting(Server):
    async def handle(self):
        print("ready", flush=True)
        await asyncio.Event().wait()

async def application(scope, receive, send):
    pass

Waiting(application).run()
"""
    child = interrupt_python_once_ready(SERVER + code)

    assert lines_of(child) == ["ready", "INFO Exiting due to Ctrl-C/interrupt"]


@needs_signals
def test_signal_handler_of_the_program_is_left() -> None:
    code = """
async def application(scope, receive, send):
    await receive()
    signal.raise_signal(signal.SIGTERM)

server = Server(application)

def own_handler(*arguments):
    print("own handler")
    server.stop()

signal.signal(signal.SIGTERM, own_handler)
server.run()
print(signal.getsignal(signal.SIGTERM) is own_handler)
"""
    assert lines_of(run_python(SERVER + code)) == ["own handler", "True"]


def test_system_exit_of_an_application_ends_run_and_the_others() -> None:
    code = """
async def application(scope, receive, send):
    if await receive() == "exit":
        raise SystemExit(3)
    try:
        await asyncio.Event().wait()
    finally:
        await send("cleaned up")

class Exiting(Server):
    async def handle(self):
        for scope_id, message in [("ann", "hello"), ("bob", "exit")]:
            self.get_or_create_application_instance(scope_id, {}).put_nowait(message)
        await asyncio.Event().wait()

Exiting(application).run()
"""
    child = run_python(SERVER + code)

    assert (child.status, child.out, child.err) == (3, "cleaned up\n", "")


def test_system_exits_of_applications_that_are_cancelled_do_not_end_the_end_of_a_server() -> None:
    code = """
async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        print("shut down")
        await send({"type": "lifespan.shutdown.complete"})
        return
    try:
        await receive()
    except asyncio.CancelledError:
        for _ in range(scope["status"]):
            await asyncio.sleep(0)
        raise SystemExit(scope["status"])

class Exiting(Server):
    async def handle(self):
        for status in (1, 10, 20):
            scope = {"type": "test", "status": status}
            self.get_or_create_application_instance(status, scope)
        await asyncio.sleep(0)

server = Exiting(application, lifespan="on")
try:
    server.run()
finally:
    print(server.counters().ended)
"""
    child = run_python(SERVER + code)

    assert (child.status, child.out, child.err) == (1, "shut down\n3\n", "")
