"""Which instance has to make room, how it is told, and what is reported of its end."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from collections.abc import Hashable
from typing import Any

import pytest
from helpers.stateless_servers import (
    SCOPE,
    Boom,
    Reporting,
    Server,
    echo,
    fail_on_message,
    running,
    task_of,
)

from asgi_server import ApplicationEnd, EndCause, StatelessServer

# Seconds, of a wait that is not to end by time; far more than any test takes.
LONG = 1000.0


async def busy(scope: Any, receive: Any, send: Any) -> None:
    """Works on each message, an event, until it is set."""
    while True:
        message = await receive()
        await send(message)
        await message.wait()


async def end_at_disconnect(scope: Any, receive: Any, send: Any) -> None:
    while (message := await receive()) != "bye":
        await send(message)
    await send("bye, too")


async def never_end(scope: Any, receive: Any, send: Any) -> None:
    """Ignores its cancellation until it is told to end by its scope's event."""
    while not scope["may_end"].is_set():
        try:
            await send(await receive())
        except asyncio.CancelledError:
            await send("cancelled")
            await scope["may_end"].wait()


async def look_again(scope: Any, receive: Any, send: Any) -> None:
    """Gives up one wait for a second message, and waits once more."""
    await send(await receive())
    waiting = asyncio.ensure_future(receive())
    await scope["looks_again"].wait()
    waiting.cancel()
    await asyncio.wait([waiting])
    await receive()


class SayingBye(Reporting):
    def application_disconnect(self, application_details: Any, cause: EndCause) -> Any:
        self.causes = [*getattr(self, "causes", []), cause]
        return "bye"


async def until_idle(server: StatelessServer, number: int) -> None:
    while server.counters().idle != number:
        await asyncio.sleep(0)


# Which one


@pytest.mark.asyncio
async def test_idle_instance_is_evicted_before_one_at_work_that_was_used_earlier() -> None:
    server = Server(busy, max_applications=2)
    work = asyncio.Event()
    async with running(server):
        server.message("working", work)
        await server.sent.get()
        done = asyncio.Event()
        done.set()
        server.message("idle", done)
        await server.sent.get()
        await until_idle(server, 1)
        server.get_or_create_application_instance("new", SCOPE)

        assert list(server.application_instances) == ["working", "new"]
        work.set()


@pytest.mark.asyncio
async def test_of_idle_instances_the_one_that_waits_longest_is_evicted() -> None:
    server = Server(max_applications=3)
    async with running(server):
        for scope_id in ["a", "b", "c", "a"]:
            server.message(scope_id, "hello")
            await server.sent.get()
            await asyncio.sleep(0)
        server.get_or_create_application_instance("new", SCOPE)
        assert list(server.application_instances) == ["c", "a", "new"]

        server.get_or_create_application_instance("c", SCOPE)  # asked for, without a message
        server.get_or_create_application_instance("newer", SCOPE)
        assert list(server.application_instances) == ["new", "c", "newer"]


@pytest.mark.asyncio
async def test_message_put_into_a_queue_that_was_kept_counts_as_use() -> None:
    server = Server(max_applications=2)
    async with running(server):
        kept = server.get_or_create_application_instance("a", SCOPE)
        server.get_or_create_application_instance("b", SCOPE)
        await until_idle(server, 2)
        kept.put_nowait("hello")
        await server.sent.get()
        await until_idle(server, 2)
        server.get_or_create_application_instance("new", SCOPE)

        assert list(server.application_instances) == ["a", "new"]


@pytest.mark.asyncio
async def test_instance_that_waits_in_several_steps_is_not_taken_for_one_that_was_used() -> None:
    server = Server(look_again, max_applications=2)
    looks_again, stays = asyncio.Event(), asyncio.Event()
    async with running(server):
        for scope_id, event in [("looking", looks_again), ("staying", stays)]:
            queue = server.get_or_create_application_instance(scope_id, {"looks_again": event})
            queue.put_nowait("hello")
            await server.sent.get()
        await until_idle(server, 2)
        looks_again.set()
        await until_idle(server, 1)
        await until_idle(server, 2)
        server.get_or_create_application_instance("new", {"looks_again": stays})
        assert list(server.application_instances) == ["staying", "new"]


@pytest.mark.asyncio
async def test_of_instances_at_work_the_least_recently_used_is_evicted() -> None:
    server = Server(busy, max_applications=2)
    work = asyncio.Event()
    async with running(server):
        for scope_id in ["a", "b", "a"]:
            server.message(scope_id, work)
        await server.sent.get()
        server.get_or_create_application_instance("new", SCOPE)

        assert list(server.application_instances) == ["a", "new"]
        work.set()


@pytest.mark.asyncio
async def test_instance_with_a_message_waiting_is_not_idle() -> None:
    server = Server(max_applications=2)
    async with running(server):
        for scope_id in ["a", "b"]:
            server.message(scope_id, "hello")
            await server.sent.get()
        await asyncio.sleep(0)
        server.message("a", "hello again")
        assert server.counters().idle == 1
        server.message("b", "hello again")
        assert server.counters().idle == 0


@pytest.mark.asyncio
async def test_instance_taken_out_of_the_mapping_by_a_subclass_is_not_chosen() -> None:
    server = Server(max_applications=2)
    async with running(server):
        for scope_id in ["a", "b"]:
            server.message(scope_id, "hello")
            await server.sent.get()
        await asyncio.sleep(0)
        del server.application_instances["a"]
        server.delete_oldest_application_instance()

        assert server.application_instances == {}


# How it is told


@pytest.mark.asyncio
async def test_evicted_instance_gets_its_last_message_behind_the_others_and_ends_by_itself() -> (
    None
):
    server = SayingBye(end_at_disconnect, max_applications=1, grace_period=LONG)
    async with running(server):
        server.message("ann", "hello")
        ann = task_of(server, "ann")
        server.message("bob", "hello")
        scope_id, end = await server.ends.get()

        assert (scope_id, end) == ("ann", ApplicationEnd(EndCause.EVICTED, None, False, False, ()))
        assert not ann.cancelled()
        assert server.causes == [EndCause.EVICTED]
        sent = [await server.sent.get() for _ in range(3)]
        assert [message for _, message in sent if message != "hello"] == ["bye, too"]


@pytest.mark.asyncio
async def test_instance_that_does_not_end_at_its_last_message_is_cancelled() -> None:
    server = SayingBye(echo, grace_period=0.01)
    async with running(server):
        server.message("ann", "hello")
        server.delete_application_instance("ann")
        _, end = await server.ends.get()

        assert end == ApplicationEnd(EndCause.DELETED, None, True, False, ())


@pytest.mark.parametrize(
    ("scope", "message"),
    [
        ({"type": "http"}, {"type": "http.disconnect"}),
        ({"type": "websocket"}, {"type": "websocket.disconnect", "code": 1001, "reason": ""}),
        ({"type": "chat"}, None),
        ({"type": ["unhashable"]}, None),
        ({}, None),
        (("127.0.0.1", 53), None),
        (None, None),
    ],
)
def test_protocols_of_the_specification_have_a_disconnect(scope: Any, message: Any) -> None:
    details: Any = {"scope": scope}
    assert StatelessServer(echo).application_disconnect(details, EndCause.EVICTED) == message


@pytest.mark.asyncio
async def test_instance_without_a_last_message_is_cancelled_at_once() -> None:
    server = Reporting(grace_period=LONG)
    async with running(server):
        server.message("ann", "hello")
        server.delete_application_instance("ann")
        _, end = await server.ends.get()

        assert end == ApplicationEnd(EndCause.DELETED, None, True, False, ("hello",))


@pytest.mark.asyncio
async def test_hook_for_the_last_message_that_raises_ends_the_server_and_the_instance() -> None:
    class Broken(Server):
        def application_disconnect(self, application_details: Any, cause: EndCause) -> Any:
            raise Boom

    server = Broken()
    async with running(server) as arun:
        server.message("ann", "hello")
        ann = task_of(server, "ann")
        server.delete_application_instance("ann")
        await asyncio.wait([arun])

    assert isinstance(arun.exception(), Boom)
    assert ann.cancelled()


# What is reported


@pytest.mark.asyncio
async def test_instance_that_ignores_its_cancellation_is_reported_and_again_when_it_ends() -> None:
    scope = {"may_end": asyncio.Event()}
    server = Reporting(never_end, grace_period=0.01)
    async with running(server):
        server.message("ann", "hello", scope)
        await server.sent.get()
        server.delete_application_instance("ann")

        assert await server.overdue.get() == "ann"
        counters = server.counters()
        assert (counters.held, counters.ending, counters.overdue) == (0, 1, 1)
        assert server.ends.empty()

        scope["may_end"].set()
        _, end = await server.ends.get()
        assert end == ApplicationEnd(EndCause.DELETED, None, False, True, ())
        assert server.counters().overdue == 0
    assert server.overdue.empty()


@pytest.mark.asyncio
async def test_overdue_instance_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    scope = {"may_end": asyncio.Event()}
    server = Server(never_end, grace_period=0.01)
    async with running(server):
        server.message("ann", "hello", scope)
        await server.sent.get()
        server.delete_application_instance("ann")
        while not server.counters().overdue:
            await asyncio.sleep(0)
        scope["may_end"].set()

    record = caplog.records[0]
    assert (record.name, record.levelno) == ("asgi_server", logging.ERROR)
    assert "'ann' was cancelled, and has not ended in time" in record.getMessage()


@pytest.mark.parametrize("ends_by", ["return", "failure", "cancellation", "deletion", "stop"])
@pytest.mark.asyncio
async def test_every_end_is_reported_once_with_what_was_not_received(ends_by: str) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send("ready")
        if ends_by in {"deletion", "stop"}:
            await asyncio.get_running_loop().create_future()
        elif ends_by == "failure":
            raise Boom
        elif ends_by == "cancellation":
            raise asyncio.CancelledError

    server = Reporting(application, stop_timeout=0)
    async with running(server):
        for message in "abc":
            server.message("ann", message)
        await server.sent.get()
        if ends_by == "deletion":
            server.delete_application_instance("ann")
        if ends_by == "stop":
            server.stop()
        scope_id, end = await server.ends.get()

    causes = {"deletion": EndCause.DELETED, "stop": EndCause.STOPPED}
    assert scope_id == "ann"
    assert end.cause is causes.get(ends_by, EndCause.ITSELF)
    assert isinstance(end.exception, Boom) == (ends_by == "failure")
    assert end.cancelled == (ends_by not in {"return", "failure"})
    assert end.undelivered == ("b", "c")
    assert server.dropped == [("ann", "b"), ("ann", "c")]
    assert server.ends.empty()


@pytest.mark.asyncio
async def test_only_the_first_dropped_message_of_an_instance_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = Server(queue_limit=1, queue_policy="drop_oldest")
    async with running(server):
        for message in "abc":
            server.message("ann", message)
        await server.sent.get()

    (record,) = caplog.records
    assert (record.name, record.levelno) == ("asgi_server", logging.WARNING)
    assert "A message for 'ann' was dropped" in record.getMessage()
    assert server.counters().messages_dropped == 2


@pytest.mark.asyncio
async def test_hook_for_dropped_messages_that_raises_does_not_interrupt_the_put() -> None:
    class Broken(Server):
        def application_dropped(self, message: Any, input_queue: Any) -> None:
            raise Boom(message)

    server = Broken(queue_limit=1, queue_policy="drop_oldest")
    async with running(server) as arun:
        server.message("ann", "a")
        server.message("ann", "b")
        assert server.application_instances["ann"]["input_queue"].qsize() == 1
        await asyncio.wait([arun])

    assert str(arun.exception()) == "a"


async def hang(scope: Any, receive: Any, send: Any) -> None:
    await asyncio.Event().wait()


class Redelivering(Server):
    """Gives a message that waited for room in vain to a new instance of the same scope id."""

    def application_dropped(self, message: Any, input_queue: Any) -> None:
        if message == "waits for room":
            self.message(input_queue.scope_id, message)


@pytest.mark.asyncio
async def test_hook_for_dropped_messages_may_give_them_to_a_new_instance() -> None:
    server = Redelivering(hang, queue_limit=1)
    queue = server.get_or_create_application_instance("ann", SCOPE)
    queue.put_nowait("first")
    putting = asyncio.create_task(queue.put("waits for room"))
    await asyncio.sleep(0)
    former = task_of(server, "ann")
    server.delete_application_instance("ann")

    assert server.application_instances["ann"]["input_queue"].get_nowait() == "waits for room"
    current = task_of(server, "ann")
    server.delete_application_instance("ann")
    await asyncio.wait([former, current, putting])


@pytest.mark.asyncio
async def test_instance_that_a_hook_starts_meanwhile_is_the_one_that_is_asked_for() -> None:
    server = Redelivering(hang, queue_limit=1)
    queue = server.get_or_create_application_instance("ann", SCOPE)
    queue.put_nowait("first")
    putting = asyncio.create_task(queue.put("waits for room"))
    former = task_of(server, "ann")
    await asyncio.sleep(0)
    former.cancel()
    while not former.done():
        await asyncio.sleep(0)

    # The event loop has not called the server back yet: it finds out here.
    assert server.counters().held == 1
    queue = server.get_or_create_application_instance("ann", SCOPE)
    assert server.counters().created == 2
    assert queue.get_nowait() == "waits for room"
    current = task_of(server, "ann")
    server.delete_application_instance("ann")
    await asyncio.wait([former, current, putting])


class WeakScope(dict):  # type: ignore[type-arg]
    """A scope that can be asked whether it is still there."""


@pytest.mark.parametrize("application", [echo, fail_on_message], ids=["evicted", "failed"])
@pytest.mark.asyncio
async def test_nothing_refers_to_an_instance_that_has_ended(application: Any) -> None:
    server = StatelessServer(application, max_applications=1)
    server.application_exception = ignore  # type: ignore[method-assign]
    scope = WeakScope(type="test")
    there = weakref.ref(scope)
    gc.collect()
    gc.disable()
    try:
        queue = server.get_or_create_application_instance("ann", scope)
        task = task_of(server, "ann")
        await asyncio.sleep(0)
        if application is fail_on_message:
            queue.put_nowait("bad")
        else:
            server.get_or_create_application_instance("bob", {})
        await asyncio.wait([task])
        for _ in range(3):  # the hook has run
            await asyncio.sleep(0)
        del scope, queue, task
        assert there() is None
    finally:
        gc.enable()


async def ignore(exception: BaseException, application_details: Any) -> None:
    pass


# Full queues


@pytest.mark.asyncio
async def test_instance_whose_queue_overflows_has_to_end() -> None:
    server = Reporting(queue_limit=2, queue_policy="close")
    async with running(server):
        for message in "abcd":
            server.message("ann", message)
        first = await server.ends.get()

        assert first == ("ann", ApplicationEnd(EndCause.OVERFLOWED, None, True, False, ("a", "b")))
        # "d" was for a new instance.
        assert await server.sent.get() == (SCOPE, "d")
        assert server.dropped == [("ann", "c"), ("ann", "a"), ("ann", "b")]


@pytest.mark.asyncio
async def test_slow_application_makes_handle_wait() -> None:
    class Flood(Server):
        put = 0

        async def handle(self) -> None:
            while True:
                queue = self.get_or_create_application_instance("ann", SCOPE)
                await queue.put(self.put)
                self.put += 1

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        while True:
            await send(await receive())
            await scope["next"].acquire()

    server = Flood(slow, queue_limit=3)
    server_scope = SCOPE | {"next": asyncio.Semaphore(0)}

    class Flooding(Flood):
        def get_or_create_application_instance(self, scope_id: Hashable, scope: Any) -> Any:
            return super().get_or_create_application_instance(scope_id, server_scope)

    server = Flooding(slow, queue_limit=3, stop_timeout=0)
    async with running(server):
        for number in range(10):
            assert (await server.sent.get())[1] == number
            for _ in range(20):  # as many iterations as it likes
                await asyncio.sleep(0)
            # One received, three in the queue; the next one waits.
            assert server.put == number + 4
            assert server.counters().putters == 1
            server_scope["next"].release()
        server.stop()


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("queue_limit", 0, ValueError),
        ("queue_limit", 1.5, TypeError),
        ("queue_limit", True, TypeError),
        ("queue_policy", "drop_newest", ValueError),
        ("lifespan", None, ValueError),
        ("grace_period", -1, ValueError),
        ("grace_period", 0, ValueError),
        ("grace_period", float("inf"), ValueError),
        ("stop_timeout", float("nan"), ValueError),
        ("stop_timeout", None, TypeError),
    ],
)
def test_setting_that_makes_no_sense_is_refused(name: str, value: Any, error: Any) -> None:
    with pytest.raises(error, match=name):
        StatelessServer(echo, **{name: value})


# Counters


@pytest.mark.asyncio
async def test_counters_tell_what_there_is_and_what_was() -> None:
    server = Reporting(fail_on_message, max_applications=2)
    async with running(server):
        for scope_id in "abc":
            server.get_or_create_application_instance(scope_id, SCOPE)
        await server.ends.get()
        server.message("b", "bad")
        counters = server.counters()
        assert (counters.held, counters.idle, counters.queue_depth) == (2, 1, 1)
        await server.ends.get()
        server.delete_application_instance("c")
        await server.ends.get()

        counters = server.counters()
        assert (counters.created, counters.ended, counters.held) == (3, 3, 0)
        assert (counters.evicted, counters.failed, counters.idle) == (1, 1, 0)
        assert (counters.messages_in, counters.messages_out, counters.messages_dropped) == (1, 0, 0)


@pytest.mark.asyncio
async def test_messages_out_are_those_that_the_transport_took() -> None:
    class Unplugged(Server):
        async def application_send(self, scope: Any, message: Any) -> None:
            if message == "b":
                raise OSError("unplugged")
            await super().application_send(scope, message)

    server = Unplugged()
    async with running(server):
        for message in "ab":
            server.message("ann", message)
        await server.failures.get()

        assert server.counters().messages_out == 1


def test_counters_cannot_be_changed() -> None:
    counters = StatelessServer(echo).counters()
    with pytest.raises(AttributeError):
        counters.held = 1  # type: ignore[misc]
