"""WebSocketCommunicator, section by section.

The scope; to connect and to be refused; data; a close by either side; the failure of the
application; the end of the block; what an application may not send.
"""

from __future__ import annotations

import asyncio
import json
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from helpers.loop_kinds import LOOP_KINDS

from asgi_server.testing import (
    ApplicationCancelledError,
    ClientDisconnectedError,
    WebSocketClosedError,
    WebSocketCommunicator,
    WebSocketRefusedError,
)

pytestmark = pytest.mark.usefixtures("quiet_asyncio")

SOON = 0.001  # a time-out that has to run out
ACCEPT = {"type": "websocket.accept"}


# The applications under test


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers until the client closes."""
    assert await receive() == {"type": "websocket.connect"}
    await send(ACCEPT)
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


async def never_answers(scope: Any, receive: Any, send: Any) -> None:
    await asyncio.get_running_loop().create_future()


def sends(*messages: Any) -> Callable[..., Any]:
    """Sends the messages, then waits until the connection has ended."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)
        while (await receive())["type"] != "websocket.disconnect":
            pass

    return application


def text(value: str) -> dict[str, Any]:
    return {"type": "websocket.send", "text": value}


def denial(body: bytes, more_body: bool = False) -> dict[str, Any]:
    return {"type": "websocket.http.response.body", "body": body, "more_body": more_body}


# The scope


@pytest.mark.asyncio
async def test_scope_is_that_of_a_connection() -> None:
    scopes: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await echo(scope, receive, send)

    async with WebSocketCommunicator(
        application,
        "/chat?room=1",
        headers={"Origin": "http://testserver"},
        subprotocols=("v2", "v1"),
        state={"pool": 1},
        scope={"scheme": "wss"},
    ) as websocket:
        await websocket.connect()
    assert scopes[0] is websocket.scope
    assert scopes == [
        {
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.5"},
            "http_version": "1.1",
            "scheme": "wss",
            "path": "/chat",
            "raw_path": b"/chat",
            "query_string": b"room=1",
            "root_path": "",
            "headers": [(b"origin", b"http://testserver"), (b"host", b"testserver")],
            "client": ("127.0.0.1", 50000),
            "server": ("testserver", 80),
            "subprotocols": ["v2", "v1"],
            "extensions": {"websocket.http.response": {}},
            "state": {"pool": 1},
        }
    ]


# To connect, and to be refused


@pytest.mark.asyncio
async def test_connect_returns_what_the_application_accepts_with() -> None:
    accept = {**ACCEPT, "subprotocol": "v1", "headers": iter([(b"x", b"1")])}

    async with WebSocketCommunicator(sends(accept), subprotocols=["v1"]) as websocket:
        for _ in range(2):
            assert await websocket.connect() == {
                "type": "websocket.accept",
                "subprotocol": "v1",
                "headers": [(b"x", b"1")],
            }


@pytest.mark.asyncio
async def test_close_before_the_acceptance_is_a_refusal_with_403() -> None:
    close = {"type": "websocket.close", "code": 4001, "reason": "no seats"}

    async with WebSocketCommunicator(sends(close)) as websocket:
        for _ in range(2):
            with pytest.raises(WebSocketRefusedError, match="403") as refused:
                await websocket.connect()
        with pytest.raises(WebSocketRefusedError):
            await websocket.send_text("hello")
    error = refused.value
    assert (error.status, error.headers, error.body) == (403, [], b"")
    assert (error.code, error.reason) == (4001, "no seats")
    assert isinstance(error, ConnectionRefusedError)


@pytest.mark.asyncio
async def test_refusal_with_a_response_has_its_status_headers_and_body() -> None:
    start = {"type": "websocket.http.response.start", "status": 429, "headers": [(b"x", b"1")]}
    application = sends(start, denial(b"too ", more_body=True), denial(b"many"))

    async with WebSocketCommunicator(application) as websocket:
        with pytest.raises(WebSocketRefusedError, match="429") as refused:
            await websocket.connect()
    error = refused.value
    assert (error.status, error.headers, error.body) == (429, [(b"x", b"1")], b"too many")
    assert (error.code, error.reason) == (None, None)


@pytest.mark.asyncio
async def test_wait_for_a_refusal_that_timed_out_can_be_repeated() -> None:
    may_go_on = asyncio.Event()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.http.response.start", "status": 401})
        await send(denial(b"part ", more_body=True))
        await may_go_on.wait()
        await send(denial(b"by part"))

    async with WebSocketCommunicator(application, timeout=SOON) as websocket:
        with pytest.raises(TimeoutError, match="in application"):
            await websocket.connect()
        may_go_on.set()
        websocket.timeout = None
        with pytest.raises(WebSocketRefusedError) as refused:
            await websocket.connect()
    assert refused.value.body == b"part by part"


@pytest.mark.asyncio
async def test_response_is_not_offered_where_the_test_says_so() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        assert scope["extensions"] == {}
        await send({"type": "websocket.http.response.start", "status": 401})

    async with WebSocketCommunicator(application, extensions=()) as websocket:
        with pytest.raises(RuntimeError, match=r"extensions=\['websocket.http.response'\]"):
            await websocket.connect()


@pytest.mark.asyncio
async def test_application_that_has_refused_receives_that_the_connection_never_was() -> None:
    received: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.close", "code": 4000})
        received.append(await receive())

    async with WebSocketCommunicator(application) as websocket:
        await websocket.wait()
    assert received[0]["code"] == 1006


# Data


@pytest.mark.asyncio
async def test_text_bytes_and_json_go_there_and_back() -> None:
    value = {"name": "caf\u00e9", "numbers": [1, 2.5, None]}

    async with WebSocketCommunicator(echo) as websocket:
        await websocket.connect()
        await websocket.send_text("hello")
        await websocket.send_bytes(b"\x00")
        await websocket.send_json(value)
        await websocket.send_json(value, mode="bytes")
        assert await websocket.receive_text() == "hello"
        assert await websocket.receive_bytes() == b"\x00"
        assert await websocket.receive_json() == value
        assert await websocket.receive_json(mode="bytes") == value


@pytest.mark.asyncio
async def test_empty_messages_are_messages() -> None:
    async with WebSocketCommunicator(echo) as websocket:
        await websocket.connect()
        await websocket.send_text("")
        await websocket.send_bytes(b"")
        assert await websocket.receive() == ""
        assert await websocket.receive() == b""


@pytest.mark.asyncio
async def test_message_of_the_other_kind_is_named() -> None:
    async with WebSocketCommunicator(echo) as websocket:
        await websocket.connect()
        await websocket.send_text("hello")
        with pytest.raises(AssertionError, match=r"expected a binary message.*'hello'"):
            await websocket.receive_bytes()
        await websocket.send_bytes(b"hello")
        with pytest.raises(AssertionError, match=r"expected a text message.*b'hello'"):
            await websocket.receive_text()
        await websocket.send_text("hello")
        with pytest.raises(json.JSONDecodeError):
            await websocket.receive_json()


@pytest.mark.asyncio
async def test_what_is_no_message_is_refused() -> None:
    async with WebSocketCommunicator(echo) as websocket:
        await websocket.connect()
        with pytest.raises(TypeError, match="is a str, not b'hello'"):
            await websocket.send_text(b"hello")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="is bytes, not 'hello'"):
            await websocket.send_bytes("hello")  # type: ignore[arg-type]


@pytest.mark.asyncio
async def test_connection_has_to_be_open() -> None:
    async with WebSocketCommunicator(echo) as websocket:
        with pytest.raises(RuntimeError, match=r"call connect\(\) first"):
            await websocket.send_text("hello")
        with pytest.raises(RuntimeError, match=r"call connect\(\) first"):
            await websocket.receive()


@pytest.mark.asyncio
async def test_wait_that_timed_out_can_be_repeated() -> None:
    async with WebSocketCommunicator(echo, timeout=SOON) as websocket:
        with pytest.raises(TimeoutError, match="has not sent"):
            await websocket.connect()
            await websocket.receive()
        websocket.timeout = 1
        await websocket.send_text("still there?")
        assert await websocket.receive_text() == "still there?"


@pytest.mark.asyncio
async def test_nothing_was_sent_is_known_without_time() -> None:
    async with WebSocketCommunicator(sends(ACCEPT)) as websocket:
        await websocket.connect()
        await websocket.send_text("hello")
        await websocket.wait_receiving()
        assert await websocket.receive_nothing(timeout=0)


@pytest.mark.asyncio
async def test_endless_messages_wait_for_their_reader() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send(ACCEPT)
        number = 0
        while True:
            await send(text(str(number)))
            number += 1

    async with WebSocketCommunicator(application, max_unread=2, timeout=SOON) as websocket:
        with pytest.raises(TimeoutError) as caught:
            await websocket.wait()
        assert caught.value.__notes__[0].startswith("3 messages are unread")
        websocket.timeout = None
        await websocket.connect()
        assert [await websocket.receive() for _ in range(5)] == ["0", "1", "2", "3", "4"]


# A close by either side


@pytest.mark.asyncio
async def test_application_receives_the_code_and_reason_of_the_client_again_and_again() -> None:
    received: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send(ACCEPT)
        while len(received) < 4:
            received.append(await receive())

    async with WebSocketCommunicator(application) as websocket:
        await websocket.connect()
        await websocket.send_text("last words")
        websocket.close(4000, "bye")
        websocket.close(4001, "again")
        await websocket.wait()
        with pytest.raises(RuntimeError, match="can send no more"):
            await websocket.send_text("more")
    disconnect = {"type": "websocket.disconnect", "code": 4000, "reason": "bye"}
    assert received[0] == {"type": "websocket.connect"}
    assert received[1:] == [{"type": "websocket.receive", "text": "last words"}, *[disconnect] * 2]


@pytest.mark.asyncio
async def test_data_sent_after_the_close_does_not_follow_the_disconnect() -> None:
    received: list[str] = []
    may_go_on = asyncio.Event()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        await send({"type": "websocket.close"})
        await may_go_on.wait()
        while len(received) < 3:
            received.append((await receive())["type"])

    async with WebSocketCommunicator(application, validate=True) as websocket:
        await websocket.connect()
        await websocket.send_text("too late")
        may_go_on.set()
        await websocket.wait()
    assert received == ["websocket.disconnect"] * 3


@pytest.mark.asyncio
async def test_client_that_goes_before_the_acceptance_breaks_off() -> None:
    received: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        received.extend([await receive(), await receive()])

    async with WebSocketCommunicator(application):
        pass
    assert received[1] == {"type": "websocket.disconnect", "code": 1006, "reason": ""}


@pytest.mark.asyncio
async def test_messages_sent_before_the_client_closed_can_still_be_received() -> None:
    async with WebSocketCommunicator(sends(ACCEPT, text("early"))) as websocket:
        await websocket.connect()
        await websocket.wait_receiving()
        websocket.close()
        await websocket.wait()
        assert await websocket.receive_text() == "early"
        with pytest.raises(RuntimeError, match="the test has left"):
            await websocket.receive()


@pytest.mark.asyncio
async def test_send_raises_an_os_error_that_is_no_failure_once_the_client_has_gone() -> None:
    caught: list[OSError] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await echo(scope, receive, send)
        try:
            await send(text("late"))
        except OSError as error:
            caught.append(error)
            raise

    async with WebSocketCommunicator(application) as websocket:
        await websocket.connect()
    assert isinstance(caught[0], ClientDisconnectedError)


@pytest.mark.asyncio
async def test_close_by_the_application_has_a_code_and_a_reason() -> None:
    close = {"type": "websocket.close", "code": 4000, "reason": "bye"}

    async with WebSocketCommunicator(sends(ACCEPT, text("last words"), close)) as websocket:
        await websocket.connect()
        assert await websocket.receive_text() == "last words"
        for _ in range(2):
            with pytest.raises(WebSocketClosedError, match="4000: bye") as closed:
                await websocket.receive()
            assert (closed.value.code, closed.value.reason) == (4000, "bye")
        with pytest.raises(WebSocketClosedError):
            await websocket.send_text("more")


@pytest.mark.asyncio
async def test_close_that_the_test_waits_for_is_returned() -> None:
    async with WebSocketCommunicator(
        sends(ACCEPT, {"type": "websocket.close", "reason": None})
    ) as websocket:
        await websocket.connect()
        for _ in range(2):
            closed = await websocket.receive_close()
            assert (closed.code, closed.reason) == (1000, "")
    async with WebSocketCommunicator(sends(ACCEPT, text("data"))) as websocket:
        await websocket.connect()
        with pytest.raises(AssertionError, match=r"expected a close.*'data'"):
            await websocket.receive_close()


@pytest.mark.asyncio
async def test_application_receives_its_own_close_as_a_disconnect() -> None:
    received: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        await send({"type": "websocket.close", "code": 4000, "reason": "bye"})
        received.append(await receive())

    async with WebSocketCommunicator(application) as websocket:
        await websocket.connect()
        await websocket.wait()
    assert received == [{"type": "websocket.disconnect", "code": 4000, "reason": "bye"}]


# The failure of the application


@pytest.mark.asyncio
async def test_failure_is_raised_where_the_test_waits_after_what_was_sent_before() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send(ACCEPT)
        await send(text("first"))
        raise ValueError("broken")

    async with WebSocketCommunicator(application, timeout=None) as websocket:
        await websocket.connect()
        assert await websocket.receive_text() == "first"
        with pytest.raises(ValueError, match="broken"):
            await websocket.receive_text()


@pytest.mark.asyncio
async def test_application_that_returns_without_an_answer_ends_a_wait_at_once() -> None:
    async def returns(scope: Any, receive: Any, send: Any) -> None:
        pass

    async with WebSocketCommunicator(returns, timeout=None) as websocket:
        with pytest.raises(AssertionError, match=r"returned without sending websocket\.accept"):
            await websocket.connect()


@pytest.mark.asyncio
async def test_application_that_was_cancelled_by_something_else_is_an_error() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        raise asyncio.CancelledError

    async with WebSocketCommunicator(application) as websocket:
        with pytest.raises(ApplicationCancelledError):
            await websocket.connect()


# The end of the block


@pytest.mark.asyncio
async def test_end_of_the_block_closes_with_1000_and_waits_for_the_application() -> None:
    received: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        received.append(await receive())
        await asyncio.sleep(0)
        received.append("end")

    async with WebSocketCommunicator(application) as websocket:
        await websocket.connect()
    assert received == [{"type": "websocket.disconnect", "code": 1000, "reason": ""}, "end"]


@pytest.mark.asyncio
async def test_application_that_does_not_end_is_cancelled_and_an_error() -> None:
    with pytest.raises(TimeoutError, match="in never_answers") as caught:
        async with WebSocketCommunicator(never_answers, timeout=SOON):
            pass
    assert "websocket.disconnect" in caught.value.__notes__[0]
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.asyncio
async def test_application_that_takes_no_notice_of_the_close_does_not_stop_the_loop() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        while True:
            await receive()

    with pytest.raises(TimeoutError, match="has not ended within"):
        async with WebSocketCommunicator(application, timeout=SOON) as websocket:
            websocket.close()


@pytest.mark.asyncio
async def test_failure_in_the_clean_up_is_raised_at_the_end_of_the_block() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await echo(scope, receive, send)
        raise ValueError("cannot clean up")

    with pytest.raises(ValueError, match="cannot clean up"):
        async with WebSocketCommunicator(application) as websocket:
            await websocket.connect()


@pytest.mark.asyncio
async def test_communicator_is_freed_with_its_last_reference() -> None:
    websocket = WebSocketCommunicator(sends(ACCEPT, {"type": "websocket.close"}))
    async with websocket:
        await websocket.connect()
        await websocket.receive_close()
    reference = weakref.ref(websocket)
    del websocket

    assert reference() is None


@pytest.mark.parametrize("kind", LOOP_KINDS)
def test_connection_runs_on_every_kind_of_event_loop(kind: str) -> None:
    async def test() -> None:
        async with WebSocketCommunicator(echo) as websocket:
            await websocket.connect()
            await websocket.send_text("hello")
            assert await websocket.receive_text() == "hello"
            await websocket.wait_receiving()
            assert await websocket.receive_nothing(timeout=0)

    with asyncio.Runner(loop_factory=LOOP_KINDS[kind]) as runner:
        runner.run(test())


# What an application may not send


@pytest.mark.parametrize(
    ("messages", "error", "complaint"),
    [
        ([text("early")], RuntimeError, "'websocket.send' where 'websocket.accept' or"),
        ([ACCEPT, ACCEPT], RuntimeError, "'websocket.accept' where 'websocket.send' or"),
        ([ACCEPT, {"type": "websocket.close"}, text("late")], RuntimeError, "nothing more"),
        ([ACCEPT, {"type": "websocket.send"}], TypeError, "either text or bytes"),
        ([ACCEPT, {"type": "websocket.send", "text": "", "bytes": b""}], TypeError, "either"),
        ([ACCEPT, {"type": "websocket.send", "text": b"bytes"}], TypeError, "text is str"),
        ([None], TypeError, "takes a dict with a 'type'"),
    ],
)
@pytest.mark.asyncio
async def test_what_may_not_be_sent_fails_where_it_is_sent(
    messages: Any, error: type[Exception], complaint: str
) -> None:
    async with WebSocketCommunicator(sends(*messages)) as websocket:
        with pytest.raises(error, match=complaint) as caught:
            await websocket.wait()
    assert "application" in [entry.name for entry in caught.traceback]
