"""StatelessServer, section by section.

What a server is made of; messages; the end of an application; failures and their hook; deletion;
eviction; the end of the server, and its clean-up; application_checker; run(); a real transport.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Hashable
from typing import Any

import pytest
from helpers.stateless_servers import (
    SCOPE,
    Boom,
    Server,
    echo,
    ended,
    fail_on_message,
    running,
    task_of,
)

from asgi_server import StatelessServer

# What a server is made of


@pytest.mark.parametrize("application", [None, 1, "myproject.asgi:application"])
def test_application_that_cannot_be_called_is_refused(application: Any) -> None:
    with pytest.raises(TypeError, match="is not an ASGI application"):
        StatelessServer(application=application)


@pytest.mark.parametrize("number", [0, -1, float("nan")])
def test_max_applications_below_one_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match=f"must be at least 1, not {number}"):
        StatelessServer(echo, max_applications=number)


def test_max_applications_that_is_no_number_is_refused() -> None:
    with pytest.raises(TypeError, match="must be a number, not None"):
        StatelessServer(echo, max_applications=None)  # type: ignore[arg-type]


def test_server_keeps_what_it_was_made_with() -> None:
    server = StatelessServer(echo, 7)

    assert server.application is echo
    assert server.max_applications == 7
    assert server.application_instances == {}
    assert server.application_checker_interval == 0.1


def test_application_may_be_replaced_by_another() -> None:
    server = StatelessServer(echo)
    server.application = fail_on_message

    assert server.application is fail_on_message
    with pytest.raises(TypeError, match="is not an ASGI application"):
        server.application = None  # type: ignore[assignment]


@pytest.mark.asyncio
async def test_methods_for_subclasses_say_that_they_are_missing() -> None:
    server = StatelessServer(echo)

    with pytest.raises(NotImplementedError, match=r"You must implement handle\(\)"):
        await server.arun()
    with pytest.raises(NotImplementedError, match=r"You must implement application_send\(\)"):
        await server.application_send({}, {})


# Messages


@pytest.mark.asyncio
async def test_message_reaches_the_application_and_its_answer_the_server() -> None:
    server = Server()
    async with running(server):
        server.message("ann", "hello", {"type": "ann"})

        assert await server.sent.get() == ({"type": "ann"}, "hello")


@pytest.mark.asyncio
async def test_double_callable_application_is_served() -> None:
    class Echo:
        def __init__(self, scope: Any) -> None:
            self.scope = scope

        async def __call__(self, receive: Any, send: Any) -> None:
            await send([self.scope, await receive()])

    server = Server(Echo)
    async with running(server):
        server.message("ann", "hello")

        assert await server.sent.get() == (SCOPE, [SCOPE, "hello"])


@pytest.mark.asyncio
async def test_one_scope_id_has_one_instance() -> None:
    server = Server()
    async with running(server):
        queue = server.get_or_create_application_instance("ann", {"first": True})

        assert server.get_or_create_application_instance("ann", {"first": False}) is queue
        assert server.get_or_create_application_instance("bob", {}) is not queue
        assert server.application_instances["ann"]["scope"] == {"first": True}


@pytest.mark.asyncio
async def test_application_instances_show_each_instance_by_scope_id() -> None:
    server = Server()
    async with running(server):
        queue = server.get_or_create_application_instance("ann", SCOPE)
        details = server.application_instances["ann"]

        assert set(details) == {"scope_id", "scope", "input_queue", "future", "last_used"}
        assert details["scope_id"] == "ann"
        assert details["scope"] is SCOPE
        assert details["input_queue"] is queue
        assert not details["future"].done()
        assert isinstance(details["last_used"], float)


@pytest.mark.asyncio
async def test_application_sees_the_context_of_the_code_that_started_it() -> None:
    language = contextvars.ContextVar("language", default="en")

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send(language.get())

    server = Server(application)
    async with running(server):
        language.set("de")
        server.message("ann", "hello")

        assert await server.sent.get() == (SCOPE, "de")


@pytest.mark.asyncio
async def test_application_sees_the_error_of_its_send() -> None:
    seen: asyncio.Queue[BaseException] = asyncio.Queue()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        try:
            await send("hello")
        except OSError as error:
            seen.put_nowait(error)

    class Unplugged(Server):
        async def application_send(self, scope: Any, message: Any) -> None:
            raise OSError("unplugged")

    server = Unplugged(application)
    async with running(server):
        server.message("ann", "hello")

        assert str(await seen.get()) == "unplugged"


def test_starting_an_instance_without_a_loop_raises_and_leaves_nothing() -> None:
    server = Server()

    with pytest.raises(RuntimeError, match="no running event loop"):
        server.get_or_create_application_instance("ann", SCOPE)
    assert server.application_instances == {}
    gc.collect()  # a coroutine that nobody awaits would warn


# The end of an application


async def return_on_message(scope: Any, receive: Any, send: Any) -> None:
    await receive()


async def cancel_on_message(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    raise asyncio.CancelledError


@pytest.mark.parametrize("application", [return_on_message, fail_on_message, cancel_on_message])
@pytest.mark.asyncio
async def test_application_that_ends_does_not_end_the_server(application: Any) -> None:
    server = Server(application)
    async with running(server) as arun:
        server.message("ann", "end")
        task = task_of(server, "ann")
        await ended(task)

        assert not arun.done()
        assert server.application_instances == {}
        server.message("ann", "again")
        assert task_of(server, "ann") is not task
    assert arun.exception() is None


@pytest.mark.asyncio
async def test_message_in_the_loop_iteration_of_the_end_starts_a_new_instance() -> None:
    server = Server(return_on_message)
    async with running(server):
        server.message("ann", 1)
        first = task_of(server, "ann")
        while not first.done():
            await asyncio.sleep(0)
        server.message("ann", 2)
        second = task_of(server, "ann")

        assert second is not first
        await ended(second)
        assert server.application_instances == {}


# Failures, and the hook that is told of them


@pytest.mark.asyncio
async def test_failure_is_reported_once_with_the_details() -> None:
    server = Server(fail_on_message)
    async with running(server):
        server.message("ann", "bad message")
        details = server.application_instances["ann"]
        exception, reported = await server.failures.get()

        assert isinstance(exception, Boom)
        assert reported is details
    assert server.failures.empty()


@pytest.mark.asyncio
async def test_failure_of_the_call_itself_is_reported_too() -> None:
    def application(scope: Any) -> Any:
        raise Boom("no such path")

    server = Server(application)
    async with running(server):
        server.message("ann", "hello")
        exception, _ = await server.failures.get()

    assert str(exception) == "no such path"


@pytest.mark.asyncio
async def test_base_exceptions_of_applications_are_reported_too() -> None:
    class Exit(BaseException):
        pass

    async def application(scope: Any, receive: Any, send: Any) -> None:
        raise Exit

    server = Server(application)
    async with running(server) as arun:
        server.message("ann", "hello")
        exception, _ = await server.failures.get()

        assert isinstance(exception, Exit)
        assert not arun.done()


@pytest.mark.parametrize("application", [return_on_message, cancel_on_message])
@pytest.mark.asyncio
async def test_return_and_cancellation_are_no_failures(application: Any) -> None:
    server = Server(application)
    async with running(server):
        server.message("ann", "end")
        await ended(task_of(server, "ann"))
    assert server.failures.empty()


@pytest.mark.asyncio
async def test_failures_are_reported_without_arun() -> None:
    server = Server(fail_on_message)
    server.message("ann", "bad message")

    exception, _ = await server.failures.get()
    assert isinstance(exception, Boom)


@pytest.mark.asyncio
async def test_failure_is_logged_by_the_logger_of_the_package(
    caplog: pytest.LogCaptureFixture,
) -> None:
    exception = Boom("bad message")

    await StatelessServer(echo).application_exception(exception, {})  # type: ignore[typeddict-item]

    (record,) = caplog.records
    assert record.name == "asgi_server"
    assert record.levelno == logging.ERROR
    assert record.getMessage() == "Exception inside application: bad message"
    assert record.exc_info is not None
    assert record.exc_info[1] is exception


@pytest.mark.asyncio
async def test_hook_that_raises_ends_the_server_with_its_error() -> None:
    class FailFast(Server):
        async def application_exception(self, exception: BaseException, details: Any) -> None:
            raise exception

    server = FailFast(fail_on_message)
    async with running(server) as arun:
        server.message("ann", "bad message")
        await ended(arun)

    assert isinstance(arun.exception(), Boom)


@pytest.mark.asyncio
async def test_hook_that_raises_without_arun_is_left_to_the_loop() -> None:
    class FailFast(Server):
        async def application_exception(self, exception: BaseException, details: Any) -> None:
            raise exception

    contexts: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: contexts.put_nowait(context)
    )
    FailFast(fail_on_message).message("ann", "bad message")

    context = await contexts.get()
    assert context["message"] == "application_exception() raised"
    assert isinstance(context["exception"], Boom)


# Deletion


@pytest.mark.asyncio
async def test_deleting_an_instance_cancels_it() -> None:
    server = Server()
    async with running(server):
        server.message("ann", "hello")
        task = task_of(server, "ann")
        server.delete_application_instance("ann")

        assert server.application_instances == {}
        await ended(task)
        assert task.cancelled()


@pytest.mark.asyncio
async def test_deleting_an_unknown_instance_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="nobody"):
        Server().delete_application_instance("nobody")


@pytest.mark.asyncio
async def test_deleting_the_oldest_of_none_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="no application instance"):
        Server().delete_oldest_application_instance()


@pytest.mark.asyncio
async def test_new_instance_does_not_wait_for_the_clean_up_of_the_deleted_one() -> None:
    may_end = asyncio.Event()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        try:
            await echo(scope, receive, send)
        finally:
            await may_end.wait()

    server = Server(application)
    async with running(server):
        server.message("ann", 1)
        await server.sent.get()
        old = task_of(server, "ann")
        server.delete_application_instance("ann")
        server.message("ann", 2)
        assert await server.sent.get() == (SCOPE, 2)
        new = task_of(server, "ann")

        may_end.set()
        await ended(old)
        assert task_of(server, "ann") is new


@pytest.mark.asyncio
async def test_failure_in_the_clean_up_of_a_deleted_instance_is_reported() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        try:
            await echo(scope, receive, send)
        finally:
            raise Boom("cannot clean up")

    server = Server(application)
    async with running(server):
        server.message("ann", "hello")
        await server.sent.get()
        server.delete_application_instance("ann")
        exception, _ = await server.failures.get()

    assert str(exception) == "cannot clean up"


# Eviction


@pytest.mark.parametrize("limit", [1, 2, 10])
@pytest.mark.asyncio
async def test_there_are_never_more_instances_than_max_applications(limit: int) -> None:
    server = Server(max_applications=limit)
    async with running(server):
        for scope_id in range(3 * limit):
            server.message(scope_id, "hello")
            assert len(server.application_instances) == min(scope_id + 1, limit)


@pytest.mark.asyncio
async def test_least_recently_used_instance_is_deleted_first() -> None:
    server = Server(max_applications=3)
    async with running(server):
        for scope_id in ["ann", "bob", "cyd", "ann", "dan"]:
            server.message(scope_id, "hello")

        assert list(server.application_instances) == ["cyd", "ann", "dan"]


@pytest.mark.asyncio
async def test_order_of_use_does_not_depend_on_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(100, 0, -1))
    monkeypatch.setattr("time.time", lambda: float(next(clock)))
    server = Server(max_applications=2)
    async with running(server):
        for scope_id in ["ann", "bob", "cyd"]:
            server.message(scope_id, "hello")

        assert list(server.application_instances) == ["bob", "cyd"]


@pytest.mark.asyncio
async def test_lowered_limit_holds_from_the_next_new_instance_on() -> None:
    server = Server(max_applications=5)
    async with running(server):
        for scope_id in range(5):
            server.message(scope_id, "hello")
        server.max_applications = 2
        server.message("new", "hello")

        assert list(server.application_instances) == [4, "new"]


@pytest.mark.asyncio
async def test_subclass_may_choose_which_instance_makes_room() -> None:
    class NewestFirst(Server):
        def delete_oldest_application_instance(self) -> None:
            self.delete_application_instance(list(self.application_instances)[-1])

    server = NewestFirst(max_applications=2)
    async with running(server):
        for scope_id in ["ann", "bob", "cyd"]:
            server.message(scope_id, "hello")

        assert list(server.application_instances) == ["ann", "cyd"]


@pytest.mark.asyncio
async def test_subclass_may_keep_every_instance() -> None:
    class Hoarder(Server):
        def delete_oldest_application_instance(self) -> None:
            pass

    server = Hoarder(max_applications=1)
    async with running(server):
        for scope_id in ["ann", "bob"]:
            server.message(scope_id, "hello")

        assert list(server.application_instances) == ["ann", "bob"]


@pytest.mark.asyncio
async def test_eviction_deletes_by_the_method_that_subclasses_override() -> None:
    class Logging(Server):
        deleted: tuple[Hashable, ...] = ()

        def delete_application_instance(self, scope_id: Hashable) -> None:
            self.deleted += (scope_id,)
            super().delete_application_instance(scope_id)

    server = Logging(max_applications=1)
    async with running(server):
        server.message("ann", "hello")
        server.message("bob", "hello")

        assert server.deleted == ("ann",)


def steps_of(function: Callable[[], object]) -> int:
    """Count the calls that `function` makes: a measure of its work that no clock disturbs."""
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    previous = sys.getprofile()
    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(previous)
    return calls


@pytest.mark.asyncio
async def test_work_per_message_and_eviction_does_not_grow_with_the_instances() -> None:
    work = []
    for held in [10, 2000]:
        server = Server(max_applications=held)
        async with running(server):
            for scope_id in range(held):
                server.get_or_create_application_instance(scope_id, SCOPE)
            work.append(
                (
                    steps_of(lambda: server.message(held // 2, "hello")),  # noqa: B023
                    steps_of(lambda: server.message("new", "hello")),  # noqa: B023
                )
            )

    assert work[0] == work[1]


# The end of the server


@pytest.mark.asyncio
async def test_arun_returns_when_handle_does_and_everything_has_ended() -> None:
    server = Server()
    async with running(server) as arun:
        server.message("ann", "hello")
        await server.sent.get()
        task = task_of(server, "ann")

    assert arun.result() is None
    assert task.cancelled()
    assert server.application_instances == {}
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.asyncio
async def test_arun_raises_the_very_error_of_handle_when_everything_has_ended() -> None:
    cause = ValueError("why")

    class Broken(Server):
        async def handle(self) -> None:
            self.message("ann", "hello")
            await self.sent.get()
            raise OSError("no transport") from cause

    server = Broken()
    with pytest.raises(OSError, match="no transport") as caught:
        await server.arun()

    assert caught.value.__cause__ is cause
    assert caught.value.__context__ is None
    assert server.application_instances == {}
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.asyncio
async def test_error_group_of_handle_is_raised_as_it_is() -> None:
    group = ExceptionGroup("listeners", [OSError("a"), OSError("b")])

    class Broken(Server):
        async def handle(self) -> None:
            raise group

    with pytest.raises(ExceptionGroup) as caught:
        await Broken().arun()
    assert caught.value is group


@pytest.mark.asyncio
async def test_errors_of_handle_and_hook_at_once_are_both_raised() -> None:
    class FailFast(Server):
        async def handle(self) -> None:
            try:
                self.message("ann", "bad message")
                await self.finish.wait()
            finally:
                raise OSError("no transport")

        async def application_exception(self, exception: BaseException, details: Any) -> None:
            raise exception

    with pytest.raises(ExceptionGroup) as caught:
        await FailFast(fail_on_message).arun()
    assert {type(error) for error in caught.value.exceptions} == {Boom, OSError}


@pytest.mark.asyncio
async def test_cancelling_arun_ends_everything_and_raises_cancelled_error() -> None:
    server = Server()
    async with running(server) as arun:
        server.message("ann", "hello")
        await server.sent.get()
        task = task_of(server, "ann")
        arun.cancel()
        await ended(arun)

    assert arun.cancelled()
    assert task.cancelled()
    assert asyncio.all_tasks() == {asyncio.current_task()}


# The clean-up at the end of the server


@pytest.mark.asyncio
async def test_arun_waits_for_the_clean_up_of_deleted_instances_too() -> None:
    cleaning, may_end = asyncio.Event(), asyncio.Event()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        try:
            await echo(scope, receive, send)
        finally:
            cleaning.set()
            await may_end.wait()

    server = Server(application)
    async with running(server) as arun:
        server.message("ann", "hello")
        await server.sent.get()
        server.delete_application_instance("ann")
        await cleaning.wait()
        server.finish.set()
        for _ in range(20):  # as many iterations as it likes: it may not end
            await asyncio.sleep(0)
        assert not arun.done()
        may_end.set()
    assert arun.exception() is None


@pytest.mark.asyncio
async def test_second_cancellation_of_arun_cancels_the_clean_up() -> None:
    cleaning = asyncio.Event()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        try:
            await echo(scope, receive, send)
        finally:
            cleaning.set()
            await asyncio.get_running_loop().create_future()

    server = Server(application)
    async with running(server) as arun:
        server.message("ann", "hello")
        await server.sent.get()
        task = task_of(server, "ann")
        arun.cancel()
        await cleaning.wait()
        assert not arun.done()
        arun.cancel()
        await ended(arun)

    assert arun.cancelled()
    assert task.cancelled()
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.asyncio
async def test_instance_started_by_a_clean_up_is_cancelled_too() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        try:
            await echo(scope, receive, send)
        finally:
            server.message("bob", "ann has gone")

    server = Server(application)
    async with running(server) as arun:
        server.message("ann", "hello")
        await server.sent.get()

    assert arun.exception() is None
    assert server.application_instances == {}
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.asyncio
async def test_arun_waits_until_the_last_failure_is_reported() -> None:
    class Slow(Server):
        async def application_exception(self, exception: BaseException, details: Any) -> None:
            await asyncio.sleep(0)
            await super().application_exception(exception, details)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        try:
            await echo(scope, receive, send)
        finally:
            raise Boom("cannot clean up")

    server = Slow(application)
    async with running(server):
        server.message("ann", "hello")
        await server.sent.get()

    exception, _ = server.failures.get_nowait()
    assert str(exception) == "cannot clean up"


@pytest.mark.asyncio
async def test_server_can_be_run_again() -> None:
    server = Server()
    for _ in range(2):
        server.finish.clear()
        async with running(server):
            server.message("ann", "hello")
            assert await server.sent.get() == (SCOPE, "hello")


# application_checker, for subclasses


@pytest.mark.asyncio
async def test_checker_of_a_subclass_runs_beside_handle_and_ends_with_it() -> None:
    class Checking(Server):
        def __init__(self) -> None:
            super().__init__()
            self.checks = asyncio.Event()
            self.application_checker_interval = 0.001

        async def application_checker(self) -> None:
            while True:
                await asyncio.sleep(self.application_checker_interval)
                self.checks.set()

    server = Checking()
    async with running(server) as arun:
        await server.checks.wait()
    assert arun.exception() is None
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.asyncio
async def test_checker_that_returns_does_not_end_the_server() -> None:
    class Checking(Server):
        async def application_checker(self) -> None:
            return

    server = Checking()
    async with running(server) as arun:
        server.message("ann", "hello")
        assert await server.sent.get() == (SCOPE, "hello")
        assert not arun.done()


@pytest.mark.asyncio
async def test_checker_that_raises_ends_the_server_with_its_error() -> None:
    class Checking(Server):
        async def application_checker(self) -> None:
            raise OSError("disk full")

    server = Checking()
    async with running(server) as arun:
        await ended(arun)
    assert str(arun.exception()) == "disk full"


@pytest.mark.asyncio
async def test_failures_are_reported_while_a_subclass_has_its_own_checker() -> None:
    class Checking(Server):
        async def application_checker(self) -> None:
            await self.finish.wait()

    server = Checking(fail_on_message)
    async with running(server):
        server.message("ann", "bad message")
        exception, _ = await server.failures.get()

    assert isinstance(exception, Boom)


@pytest.mark.asyncio
async def test_checker_can_be_awaited_and_waits_until_cancelled() -> None:
    checker = asyncio.create_task(StatelessServer(echo).application_checker())
    for _ in range(20):
        await asyncio.sleep(0)
    assert not checker.done()
    checker.cancel()
    await ended(checker)
    assert checker.cancelled()


# run()


class Once(Server):
    """Serves one message, then stops."""

    async def handle(self) -> None:
        self.message("ann", "hello")
        await self.sent.get()


def test_run_serves_until_handle_returns() -> None:
    server = Once()

    server.run()

    assert server.application_instances == {}


def test_run_works_in_another_thread_than_main() -> None:
    errors: list[BaseException] = []

    def serve() -> None:
        try:
            Once().run()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=serve)
    thread.start()
    thread.join(timeout=10)

    assert not thread.is_alive()
    assert errors == []


def test_run_raises_what_handle_raises() -> None:
    class Broken(Server):
        async def handle(self) -> None:
            raise OSError("no transport")

    with pytest.raises(OSError, match="no transport"):
        Broken().run()


@pytest.mark.asyncio
async def test_run_inside_a_running_loop_raises_and_leaves_nothing() -> None:
    with pytest.raises(RuntimeError, match=r"await arun\(\) instead"):
        Server().run()
    gc.collect()  # a coroutine that nobody awaits would warn


@pytest.mark.skipif(sys.platform == "win32", reason="os.kill ends the process on Windows")
def test_ctrl_c_ends_run_quietly_after_the_applications(caplog: pytest.LogCaptureFixture) -> None:
    cleaned_up: list[str] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        try:
            await echo(scope, receive, send)
        finally:
            await asyncio.sleep(0)
            cleaned_up.append("ann")

    class Interrupted(Server):
        async def handle(self) -> None:
            self.message("ann", "hello")
            await self.sent.get()
            os.kill(os.getpid(), signal.SIGINT)
            await self.finish.wait()

    caplog.set_level(logging.INFO, "asgi_server")
    Interrupted(application).run()

    assert cleaned_up == ["ann"]
    assert [record.getMessage() for record in caplog.records] == ["Exiting due to Ctrl-C/interrupt"]


# A real transport


class UdpServer(StatelessServer):
    """One application instance for each address that sends datagrams."""

    def __init__(self, application: Any, max_applications: int = 1000) -> None:
        super().__init__(application, max_applications)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind(("127.0.0.1", 0))

    async def handle(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            data, address = await loop.sock_recvfrom(self.socket, 65536)
            queue = self.get_or_create_application_instance(
                address, {"type": "udp", "client": address}
            )
            queue.put_nowait({"type": "udp.receive", "data": data})

    async def application_send(self, scope: Any, message: Any) -> None:
        loop = asyncio.get_running_loop()
        await loop.sock_sendto(self.socket, message["data"], scope["client"])


async def count(scope: Any, receive: Any, send: Any) -> None:
    number = 0
    while True:
        message = await receive()
        number += 1
        await send({"type": "udp.send", "data": b"%s %d" % (message["data"], number)})


@pytest.mark.asyncio
async def test_udp_clients_talk_to_instances_of_their_own() -> None:
    loop = asyncio.get_running_loop()
    server = UdpServer(count)
    clients = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    serving = asyncio.create_task(server.arun())
    try:
        for client in clients:
            client.setblocking(False)
            client.connect(server.socket.getsockname())
        answers = []
        for client, data in [(0, b"ann"), (1, b"bob"), (0, b"ann")]:
            await loop.sock_sendall(clients[client], data)
            answers.append(await loop.sock_recv(clients[client], 65536))

        assert answers == [b"ann 1", b"bob 1", b"ann 2"]
        assert list(server.application_instances) == [
            clients[1].getsockname(),
            clients[0].getsockname(),
        ]
    finally:
        serving.cancel()
        await ended(serving)
        for each in [server.socket, *clients]:
            each.close()
    assert serving.cancelled()
