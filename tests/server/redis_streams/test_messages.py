"""The example `redis_streams`: what one worker promises, against a real Redis server."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from helpers.redis_streams import Deployment, Holding, echo
from redis_streams.broker import Broker
from redis_streams.names import Names
from redis_streams.worker import StreamWorker

# Messages and replies


@pytest.mark.asyncio
async def test_application_gets_its_scope_and_message(deployment: Deployment) -> None:
    application = Holding()
    id = await deployment.client.send("ann", "hello")
    async with deployment.working(application):
        message = await application.next()
        application.go_on.release()

    assert message.pop("scope")["id"] == "ann"
    assert message == {"type": "stream.receive", "id": id, "deliveries": 1, "text": "hello"}


@pytest.mark.asyncio
async def test_messages_of_each_scope_are_answered_in_order(deployment: Deployment) -> None:
    sent = [(f"scope-{number % 7}", str(number)) for number in range(700)]
    async with deployment.working(echo, window=10):
        ids = await deployment.client.send_many(sent)
        replies = await deployment.replies(700)

    for scope_id in {scope_id for scope_id, _ in sent}:
        assert [(each.to, each.text) for each in replies if each.scope_id == scope_id] == [
            (id, text) for id, (scope, text) in zip(ids, sent, strict=True) if scope == scope_id
        ]


@pytest.mark.asyncio
async def test_reply_and_acknowledgement_wait_until_the_application_asks_for_more(
    deployment: Deployment,
) -> None:
    application = Holding()
    await deployment.client.send("ann", "hello")
    async with deployment.working(application):
        await application.next()
        assert len(await deployment.pending()) == 1
        assert await deployment.client.last_reply_id() == "0-0"

        application.go_on.release()
        [reply] = await deployment.replies(1)
        assert reply.text == "hello"
        assert await deployment.pending() == {}


@pytest.mark.asyncio
async def test_messages_that_are_handled_are_deleted(deployment: Deployment) -> None:
    async with deployment.working(echo):
        await deployment.client.send_many([("ann", "hello")] * 20)
        await deployment.replies(20)

    partition = deployment.names.partition_of("ann")
    assert await deployment.redis.xlen(deployment.names.messages(partition)) == 0


@pytest.mark.asyncio
async def test_application_that_returns_has_handled_its_message(deployment: Deployment) -> None:
    async def answer_one(scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        await send({"type": "stream.send", "text": message["text"]})

    async with deployment.working(answer_one):
        await deployment.client.send_many([("ann", "1"), ("ann", "2"), ("ann", "3")])
        assert [reply.text for reply in await deployment.replies(3)] == ["1", "2", "3"]
        assert await deployment.pending() == {}


@pytest.mark.asyncio
async def test_what_is_sent_with_no_message_in_hand_is_published_at_once(
    deployment: Deployment,
) -> None:
    async def greet(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "stream.send", "text": "welcome"})
        await echo(scope, receive, send)

    async with deployment.working(greet):
        id = await deployment.client.send("ann", "hello")
        replies = await deployment.replies(2)

    assert [(reply.to, reply.text) for reply in replies] == [("", "welcome"), (id, "hello")]


@pytest.mark.asyncio
async def test_message_is_not_lost_when_the_application_waits_for_it_with_a_time_out(
    deployment: Deployment,
) -> None:
    async def impatient(scope: Any, receive: Any, send: Any) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                message = await asyncio.wait_for(receive(), 0.0001)
                await send({"type": "stream.send", "text": message["text"]})

    texts = [str(number) for number in range(100)]
    async with deployment.working(impatient):
        await deployment.client.send_many([("ann", text) for text in texts])
        assert [reply.text for reply in await deployment.replies(100)] == texts


@pytest.mark.asyncio
async def test_receive_that_is_cancelled_in_between_has_taken_nothing_in_hand(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    is_writing = asyncio.Event()
    has_failed = False

    async def never_ends(*_: Any) -> None:
        is_writing.set()
        await asyncio.get_running_loop().create_future()

    async def give_up_receiving(scope: Any, receive: Any, send: Any) -> None:
        nonlocal has_failed
        if scope["type"] == "lifespan":
            return
        if not has_failed:
            has_failed = True
            raise LookupError
        with monkeypatch.context() as patched:
            patched.setattr(Broker, "count_delivery", never_ends)
            receiving = asyncio.create_task(receive())
            await is_writing.wait()
            receiving.cancel()
            await asyncio.wait([receiving])
        await echo(scope, receive, send)

    await deployment.client.send("ann", "hello")
    async with deployment.working(give_up_receiving):
        [reply] = await deployment.replies(1)

    assert reply.text == "hello"
    # Or the worker would have waited, when it stopped, for what is in nobody's hand.
    assert "were not handled within" not in caplog.text


@pytest.mark.parametrize("message", [{"type": "http.send"}, {"type": "stream.send", "text": 1}])
@pytest.mark.asyncio
async def test_message_of_another_protocol_is_refused(
    deployment: Deployment, message: dict[str, Any]
) -> None:
    async def wrong(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(message)

    await deployment.client.send("ann", "hello")
    async with deployment.working(wrong, max_deliveries=2):
        [letter] = await deployment.dead(1)

    assert "expected type 'stream.send' with a str as 'text'" in letter["error"]


@pytest.mark.asyncio
async def test_reply_stream_is_trimmed(deployment: Deployment) -> None:
    async with deployment.working(echo, replies_kept=10):
        for _ in range(5):
            await deployment.client.send_many([("ann", "hello")] * 100)
            await deployment.replies(100)

    # Redis removes whole nodes of its tree, of 100 entries each.
    assert await deployment.redis.xlen(deployment.names.replies) <= 110


# How much is read


@pytest.mark.asyncio
async def test_no_more_is_read_than_the_window(deployment: Deployment) -> None:
    application = Holding()
    await deployment.client.send_many([("ann", str(number)) for number in range(50)])
    async with deployment.working(application, window=3):
        for number in range(40):
            assert (await application.next())["text"] == str(number)
            assert len(await deployment.pending()) <= 3
            application.go_on.release()
        for _ in range(10):
            application.go_on.release()
        await deployment.replies(50)


@pytest.mark.asyncio
async def test_instances_above_the_limit_make_room_when_idle(deployment: Deployment) -> None:
    texts = [str(number) for number in range(200)]
    async with deployment.working(echo, window=2, max_applications=4) as worker:
        await deployment.client.send_many([(f"scope-{text}", text) for text in texts])
        replies = await deployment.replies(200)
        assert len(worker.application_instances) <= 4

    assert sorted(int(reply.text) for reply in replies) == list(range(200))


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"window": 0}, "window must be at least 1, not 0"),
        ({"max_deliveries": 1}, "max_deliveries must be at least 2"),
        (
            {"window": 10, "max_applications": 79},
            "max_applications must be at least 80, the window times the partitions",
        ),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, int], error: str) -> None:
    broker = Broker("redis://localhost", Names("any", partitions=8), "worker")
    with pytest.raises(ValueError, match=error):
        StreamWorker(echo, broker, **settings)  # type: ignore[arg-type]


@pytest.mark.asyncio
async def test_instance_that_is_cancelled_at_work_loses_nothing(deployment: Deployment) -> None:
    application = Holding()
    await deployment.client.send_many([("ann", "1"), ("ann", "2"), ("ann", "3")])
    async with deployment.working(application) as worker:
        await application.next()
        worker.delete_application_instance("ann")
        again = await application.next()
        for _ in range(3):
            application.go_on.release()
        replies = await deployment.replies(3)

    assert (again["text"], again["deliveries"]) == ("1", 2)
    assert [reply.text for reply in replies] == ["1", "2", "3"]


@pytest.mark.asyncio
async def test_instance_that_goes_on_after_its_end_handles_no_later_message(
    deployment: Deployment,
) -> None:
    application = Holding()

    async def stubborn(scope: Any, receive: Any, send: Any) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await application(scope, receive, send)
        await application(scope, receive, send)

    await deployment.client.send_many([("ann", "1"), ("ann", "2"), ("ann", "3")])
    async with deployment.working(stubborn) as worker:
        received = [await application.next()]
        worker.delete_application_instance("ann")
        await deployment.client.send("ann", "4")
        for _ in range(3):
            received.append(await application.next())
            application.go_on.release()
        replies = await deployment.replies(4)

    assert [message["text"] for message in received] == ["1", "2", "3", "4"]
    assert [reply.text for reply in replies] == ["1", "2", "3", "4"]


# Applications that fail


@pytest.mark.asyncio
async def test_message_that_always_fails_ends_in_the_dead_letter_stream(
    deployment: Deployment,
) -> None:
    deliveries = []

    async def fail_on_bad(scope: Any, receive: Any, send: Any) -> None:
        while True:
            message = await receive()
            await send({"type": "stream.send", "text": message["text"]})
            if message["text"] == "bad":
                deliveries.append(message["deliveries"])
                raise LookupError("no such thing")

    async with deployment.working(fail_on_bad, max_deliveries=3):
        ids = await deployment.client.send_many([("ann", "1"), ("ann", "bad"), ("ann", "2")])
        replies = await deployment.replies(2)
        [letter] = await deployment.dead(1)
        assert await deployment.pending() == {}

    assert deliveries == [1, 2, 3]
    assert letter == {
        "partition": str(deployment.names.partition_of("ann")),
        "id": ids[1],
        "deliveries": "3",
        "error": "LookupError('no such thing')",
        "scope": "ann",
        "text": "bad",
    }
    # In order, and nothing of what the failed attempts had sent.
    assert [reply.text for reply in replies] == ["1", "2"]


@pytest.mark.parametrize(
    ("ends", "error"),
    [("return", "returned without receiving a message"), ("raise", "LookupError"), ("cancel", "")],
)
@pytest.mark.asyncio
async def test_application_that_receives_nothing_fails_at_the_message_it_was_started_for(
    deployment: Deployment, ends: str, error: str
) -> None:
    async def receive_nothing(scope: Any, receive: Any, send: Any) -> None:
        if ends == "raise":
            raise LookupError
        if ends == "cancel":
            raise asyncio.CancelledError

    async with deployment.working(receive_nothing, max_deliveries=2):
        await deployment.client.send_many([("ann", "1"), ("ann", "2")])
        letters = await deployment.dead(2)

    assert [(each["text"], each["deliveries"]) for each in letters] == [("1", "2"), ("2", "2")]
    assert error in letters[0]["error"]


@pytest.mark.asyncio
async def test_entries_that_are_no_messages_end_in_the_dead_letter_stream(
    deployment: Deployment,
) -> None:
    right = deployment.names.partition_of("ann")
    for fields in ({"scope": "ann"}, {"text": "hello"}):
        await deployment.redis.xadd(deployment.names.messages(right), fields)
    wrong = deployment.names.messages(1 - right)
    await deployment.redis.xadd(wrong, {"scope": "ann", "text": "lost"})
    async with deployment.working(echo):
        await deployment.client.send("ann", "hello")
        await deployment.replies(1)
        letters = await deployment.dead(3)

    assert sorted(each["error"] for each in letters) == [
        "the fields `scope` and `text` are needed",
        "the fields `scope` and `text` are needed",
        f"the scope belongs to partition {right}",
    ]
