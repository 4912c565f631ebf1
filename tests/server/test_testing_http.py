"""HTTPCommunicator, section by section.

The request; the response as it is sent; trailers, early hints and other extensions; the client
that goes; the end of the block; what an application may not send; the loop.
"""

from __future__ import annotations

import asyncio
import contextvars
import io
import re
import selectors
import weakref
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.loop_kinds import LOOP_KINDS

from asgi_server.testing import (
    ApplicationCancelledError,
    ClientDisconnectedError,
    HTTPCommunicator,
)

pytestmark = pytest.mark.usefixtures("quiet_asyncio")

SOON = 0.001  # a time-out that has to run out
START = {"type": "http.response.start", "status": 200, "headers": [(b"x-a", b"1")]}
NEW = {"asgi": {"version": "3.0", "spec_version": "2.4"}}

language = contextvars.ContextVar("language", default="en")


# The applications under test


async def hello(scope: Any, receive: Any, send: Any) -> None:
    await send(START)
    await send({"type": "http.response.body", "body": b"hello"})


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers each part of the body with itself."""
    await send(START)
    more_body = True
    while more_body:
        message = await receive()
        more_body = message["more_body"]
        await send({**message, "type": "http.response.body"})


async def wait_for_disconnect(scope: Any, receive: Any, send: Any) -> None:
    await send(START)
    while (await receive())["type"] != "http.disconnect":
        pass


async def never_ends(scope: Any, receive: Any, send: Any) -> None:
    await send(START)
    await asyncio.get_running_loop().create_future()


async def fail_in_the_body(scope: Any, receive: Any, send: Any) -> None:
    await send(START)
    await send({"type": "http.response.body", "body": b"part", "more_body": True})
    raise ValueError("broken")


def sends(*messages: dict[str, Any]) -> Callable[..., Any]:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    return application


def part(body: bytes, more_body: bool = True) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": more_body}


async def scope_of(*arguments: Any, **keywords: Any) -> Any:
    """The scope that an application is called with."""
    scopes: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)

    async with HTTPCommunicator(application, *arguments, **keywords) as http:
        await http.wait()
    assert scopes[0] is http.scope
    return scopes[0]


# The request


@pytest.mark.asyncio
async def test_scope_is_that_of_a_get_request_by_default() -> None:
    assert await scope_of() == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"testserver")],
        "client": ("127.0.0.1", 50000),
        "server": ("testserver", 80),
        "extensions": {},
    }


@pytest.mark.asyncio
async def test_target_is_path_and_query_quoted_where_it_is_not() -> None:
    scope = await scope_of("post", "/caf\u00e9/a%2Fb c?q=\u00fc&r=%20?")

    assert scope["method"] == "POST"
    assert scope["path"] == "/caf\u00e9/a/b c"
    assert scope["raw_path"] == b"/caf%C3%A9/a%2Fb%20c"
    assert scope["query_string"] == b"q=%C3%BC&r=%20?"


@pytest.mark.parametrize("target", ["", "items", "http://testserver/items"])
def test_target_that_is_no_path_is_refused(target: str) -> None:
    with pytest.raises(ValueError, match=f"'{re.escape(target)}' is not what a client requests"):
        HTTPCommunicator(hello, "GET", target)


@pytest.mark.parametrize(
    "headers", [{"Host": "a", "X-B": "\u00e9"}, [(b"HOST", "a"), ("x-b", b"\xe9")]]
)
@pytest.mark.asyncio
async def test_headers_are_pairs_of_bytes_with_names_in_lower_case(headers: Any) -> None:
    assert (await scope_of(headers=headers))["headers"] == [(b"host", b"a"), (b"x-b", b"\xe9")]


@pytest.mark.parametrize(
    ("keywords", "header"),
    [
        ({"body": b"hello"}, (b"content-length", b"5")),
        ({"body": [b"hello"]}, (b"transfer-encoding", b"chunked")),
        ({"body": None}, (b"transfer-encoding", b"chunked")),
        ({"body": b"hello", "headers": {"Content-Length": "7"}}, (b"content-length", b"7")),
        ({"body": [b"hello"], "scope": {"http_version": "2"}}, None),
        ({}, None),
    ],
)
@pytest.mark.asyncio
async def test_headers_say_how_long_the_body_is(keywords: Any, header: Any) -> None:
    scope = await scope_of("POST", **keywords)

    about_length = (b"content-length", b"transfer-encoding")
    found = [pair for pair in scope["headers"] if pair[0] in about_length]
    assert found == ([] if header is None else [header])


@pytest.mark.asyncio
async def test_scope_takes_other_keys_and_extensions_and_a_copy_of_the_state() -> None:
    state = {"pool": object()}
    scope = await scope_of(
        state=state, extensions=["http.response.push"], scope={"root_path": "/app", "client": None}
    )

    assert (scope["root_path"], scope["client"]) == ("/app", None)
    assert scope["extensions"] == {"http.response.push": {}}
    assert scope["state"] == state
    assert scope["state"] is not state


def test_what_is_no_application_or_no_body_is_refused() -> None:
    with pytest.raises(TypeError, match="None is not an ASGI application"):
        HTTPCommunicator(None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="encode 'text'"):
        HTTPCommunicator(hello, body="text")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a part of the body is bytes, not 'text'"):
        HTTPCommunicator(hello, body=["text"])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="a header is made of str or bytes, not 1"):
        HTTPCommunicator(hello, headers=[("content-length", 1)])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="extensions is a collection of names"):
        HTTPCommunicator(hello, extensions="http.response.push")


@pytest.mark.parametrize(
    ("body", "parts"),
    [(b"abc", [b"abc"]), ([b"a", b"", b"bc"], [b"a", b"", b"bc", b""]), (b"", [b""])],
)
@pytest.mark.asyncio
async def test_body_arrives_in_the_parts_that_are_given(body: Any, parts: list[bytes]) -> None:
    received: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        while not received or received[-1]["more_body"]:
            received.append(await receive())

    async with HTTPCommunicator(application, "POST", body=body) as http:
        await http.wait()

    assert [message["body"] for message in received] == parts


@pytest.mark.asyncio
async def test_test_can_send_the_body_as_answers_come() -> None:
    async with HTTPCommunicator(echo, "POST", body=None) as http:
        await http.send_body(b"one", more_body=True)
        assert await http.receive_chunk() == b"one"
        await http.send_body(b"two")
        assert await http.receive_chunk() == b"two"
        assert await http.receive_chunk() == b""


@pytest.mark.asyncio
async def test_body_cannot_be_sent_twice_or_after_the_client_has_gone() -> None:
    async with HTTPCommunicator(wait_for_disconnect) as http:
        with pytest.raises(RuntimeError, match="body=None"):
            await http.send_body(b"more")
    async with HTTPCommunicator(wait_for_disconnect, body=None) as http:
        http.disconnect()
        with pytest.raises(RuntimeError, match="has disconnected"):
            await http.send_body(b"more")


# The response, as it is sent


@pytest.mark.asyncio
async def test_response_is_received_part_by_part_while_the_application_waits() -> None:
    may_go_on = asyncio.Event()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send(part(b"one"))
        await may_go_on.wait()
        await send(part(b"two", more_body=False))

    async with HTTPCommunicator(application) as http:
        assert await http.receive_start() == {**START, "trailers": False}
        assert await http.receive_chunk() == b"one"
        assert await http.receive_nothing(timeout=SOON)
        may_go_on.set()
        assert await http.receive_nothing() is False
        assert await http.receive_chunk() == b"two"
        assert await http.receive_chunk() == b""
        assert await http.receive_start() == {**START, "trailers": False}


@pytest.mark.asyncio
async def test_iteration_gives_the_parts_that_were_not_received_without_the_empty_ones() -> None:
    application = sends(START, part(b"a"), part(b""), part(b"b"), part(b"c"), part(b"", False))

    async with HTTPCommunicator(application) as http:
        assert await http.receive_chunk() == b"a"
        assert [chunk async for chunk in http] == [b"b", b"c"]


@pytest.mark.asyncio
async def test_read_is_the_rest_of_the_body() -> None:
    async with HTTPCommunicator(sends(START, part(b"a"), part(b"b"), part(b"c", False))) as http:
        assert await http.receive_chunk() == b"a"
        assert await http.read() == b"bc"
        assert await http.read() == b""


@pytest.mark.asyncio
async def test_records_are_read_however_the_parts_divide_them() -> None:
    application = sends(
        START, part(b"data: 1\n\ndata: 2"), part(b"\n"), part(b"\n"), part(b"rest", False)
    )

    async with HTTPCommunicator(application) as http:
        assert await http.read_until(b"\n\n") == b"data: 1\n\n"
        assert await http.read_until(b"\n\n") == b"data: 2\n\n"
        with pytest.raises(asyncio.IncompleteReadError) as caught:
            await http.read_until(b"\n\n")
        assert caught.value.partial == b"rest"
        with pytest.raises(ValueError, match="separator is empty"):
            await http.read_until(b"")


@pytest.mark.asyncio
async def test_wait_that_timed_out_or_was_cancelled_can_be_repeated_and_loses_nothing() -> None:
    may_go_on = asyncio.Event()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send(part(b"one"))
        await may_go_on.wait()
        await send(part(b"two", more_body=False))

    async with HTTPCommunicator(application, timeout=SOON) as http:
        with pytest.raises(TimeoutError):
            await http.read()
        http.timeout = None
        reading = asyncio.create_task(http.read())
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait([reading])
        may_go_on.set()
        assert await http.read() == b"onetwo"


@pytest.mark.asyncio
async def test_time_out_says_where_the_application_waits() -> None:
    async with HTTPCommunicator(never_ends, timeout=SOON) as http:
        await http.receive_start()
        with pytest.raises(TimeoutError, match=r"test_testing_http.py:\d+, in never_ends"):
            await http.receive_chunk()
        await http.cancel()


@pytest.mark.asyncio
async def test_failure_is_raised_where_the_test_waits_after_what_was_sent_before() -> None:
    async with HTTPCommunicator(fail_in_the_body) as http:
        await asyncio.sleep(0)  # it has failed before the first is received
        assert (await http.receive_start())["status"] == 200
        assert await http.receive_chunk() == b"part"
        for _ in range(2):
            with pytest.raises(ValueError, match="broken") as caught:
                await http.receive_chunk()
            assert caught.traceback[-1].name == "fail_in_the_body"


@pytest.mark.asyncio
async def test_failure_ends_a_wait_at_once() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        raise ValueError("broken")

    async with HTTPCommunicator(application, timeout=None) as http:
        with pytest.raises(ValueError, match="broken"):
            await http.receive_start()


@pytest.mark.asyncio
async def test_application_that_returns_too_early_ends_a_wait_at_once() -> None:
    async with HTTPCommunicator(sends(), timeout=None) as http:
        with pytest.raises(AssertionError, match=r"returned without sending http\.response\.start"):
            await http.receive_start()
    async with HTTPCommunicator(sends(START, part(b"a")), timeout=None) as http:
        with pytest.raises(AssertionError, match=r"returned without sending http\.response\.body"):
            await http.read()


@pytest.mark.asyncio
async def test_application_that_was_cancelled_by_something_else_is_an_error() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        raise asyncio.CancelledError

    async with HTTPCommunicator(application) as http:
        with pytest.raises(ApplicationCancelledError):
            await http.receive_start()


@pytest.mark.asyncio
async def test_wait_receiving_tells_without_time_that_nothing_was_sent() -> None:
    async with HTTPCommunicator(echo, body=None) as http:
        await http.receive_start()
        await http.wait_receiving()
        assert await http.receive_nothing(timeout=0)
        await http.send_body(b"one", more_body=True)
        await http.wait_receiving()
        assert await http.receive_nothing(timeout=0) is False
        await http.send_body(b"")


@pytest.mark.asyncio
async def test_endless_response_waits_for_its_reader() -> None:
    sent = 0

    async def application(scope: Any, receive: Any, send: Any) -> None:
        nonlocal sent
        await send(START)
        while True:
            await send(part(b"x"))
            sent += 1

    async with HTTPCommunicator(application, scope=NEW, max_unread=4) as http:
        for _ in range(10):
            assert await http.receive_chunk() == b"x"
        assert sent <= 15


@pytest.mark.asyncio
async def test_wait_that_times_out_says_if_the_application_waits_for_the_test() -> None:
    application = sends(START, part(b"a"), part(b"b"), part(b"c", more_body=False))

    async with HTTPCommunicator(application, max_unread=2, timeout=SOON) as http:
        with pytest.raises(TimeoutError) as caught:
            await http.wait()
        assert caught.value.__notes__[0].startswith("3 messages are unread")
        assert await http.read() == b"abc"
        await http.wait()


# Trailers, early hints, and other extensions


@pytest.mark.asyncio
async def test_trailers_are_received_after_the_body() -> None:
    trailers = {"type": "http.response.trailers", "headers": [(b"x", b"1")]}
    application = sends(
        {**START, "trailers": True},
        part(b"a", False),
        {**trailers, "more_trailers": True},
        trailers,
    )

    async with HTTPCommunicator(application, extensions=["http.response.trailers"]) as http:
        assert await http.read() == b"a"
        for _ in range(2):
            assert await http.receive_trailers() == [(b"x", b"1"), (b"x", b"1")]


@pytest.mark.asyncio
async def test_response_that_announces_no_trailers_has_none() -> None:
    async with HTTPCommunicator(hello) as http:
        assert await http.receive_trailers() == []
        assert await http.receive_chunk() == b""


@pytest.mark.asyncio
async def test_early_hint_is_received_before_the_response() -> None:
    may_go_on = asyncio.Event()
    hint = {"type": "http.response.early_hint", "links": iter([b"</a>; rel=preload"])}

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send(hint)
        await may_go_on.wait()
        await hello(scope, receive, send)

    async with HTTPCommunicator(application, extensions=["http.response.early_hint"]) as http:
        assert await http.receive_early_hint() == [b"</a>; rel=preload"]
        may_go_on.set()
        with pytest.raises(AssertionError, match="no more early hints"):
            await http.receive_early_hint()
        assert await http.read() == b"hello"


@pytest.mark.asyncio
async def test_early_hint_is_received_where_the_specification_has_it() -> None:
    hint = {"type": "http.response.early_hint", "links": [b"</a>"]}
    application = sends(START, hint, part(b"a", True), hint, part(b"b", False))

    async with HTTPCommunicator(application, extensions=[hint["type"]], validate=True) as http:
        assert await http.receive_early_hint() == [b"</a>"]
        with pytest.raises(AssertionError, match="no more early hints before the body"):
            await http.receive_early_hint()
        assert await http.receive_chunk() == b"a"
        assert await http.receive_early_hint() == [b"</a>"]
        assert await http.read() == b"b"


@pytest.mark.asyncio
async def test_hints_pushes_and_debug_information_are_collected_on_the_way() -> None:
    push = {"type": "http.response.push", "path": "/a.css", "headers": [(b"x", b"1")]}
    hint = {"type": "http.response.early_hint", "links": [b"</a>"]}
    debug = {"type": "http.response.debug", "info": {"template": "a.html"}}
    kinds = [message["type"] for message in (push, hint, debug)]

    async with HTTPCommunicator(
        sends(hint, debug, hint, START, push, part(b"a", False)), extensions=kinds
    ) as http:
        assert await http.read() == b"a"
    assert http.early_hints == [[b"</a>"], [b"</a>"]]
    assert http.pushes == [push]
    assert http.debug == {"template": "a.html"}


@pytest.mark.asyncio
async def test_file_sent_by_its_path_is_the_body(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"contents")
    message = {"type": "http.response.pathsend", "path": str(path)}

    async with HTTPCommunicator(sends(START, message), extensions=[message["type"]]) as http:
        assert await http.read() == b"contents"


@pytest.mark.asyncio
async def test_parts_of_an_open_file_are_the_body() -> None:
    file = io.BytesIO(b"0123456789")
    message = {"type": "http.response.zerocopysend", "file": file}

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send({**message, "offset": 2, "count": 3, "more_body": True})
        await send(message)
        file.close()

    async with HTTPCommunicator(application, extensions=["http.response.zerocopysend"]) as http:
        await http.wait()
        assert await http.read() == b"23456789"


# The client goes, and the response is complete


@pytest.mark.asyncio
async def test_disconnect_is_received_after_the_body_and_then_again_and_again() -> None:
    received: list[str] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        while len(received) < 4:
            received.append((await receive())["type"])

    async with HTTPCommunicator(application, body=None) as http:
        await http.send_body(b"part", more_body=True)
        http.disconnect()
        http.disconnect()
        await http.wait()
    assert received == ["http.request", *["http.disconnect"] * 3]


@pytest.mark.asyncio
async def test_body_sent_after_the_response_does_not_follow_the_disconnect() -> None:
    received: list[str] = []
    may_go_on = asyncio.Event()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await hello(scope, receive, send)
        await may_go_on.wait()
        while len(received) < 3:
            received.append((await receive())["type"])

    async with HTTPCommunicator(application, "POST", body=None, validate=True) as http:
        await http.read()
        await http.send_body(b"too late")
        may_go_on.set()
        await http.wait()
    assert received == ["http.disconnect"] * 3


@pytest.mark.asyncio
async def test_all_tasks_of_the_application_receive_the_disconnect() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        messages = await asyncio.gather(receive(), receive())
        assert [message["type"] for message in messages] == ["http.disconnect"] * 2

    async with HTTPCommunicator(application) as http:
        http.disconnect()
        await http.wait()


@pytest.mark.asyncio
async def test_disconnect_is_received_when_the_response_is_complete() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await hello(scope, receive, send)
        assert (await receive())["type"] == "http.disconnect"

    async with HTTPCommunicator(application) as http:
        await http.wait()
        assert await http.read() == b"hello"


@pytest.mark.asyncio
async def test_response_sent_before_the_disconnect_can_still_be_received() -> None:
    async with HTTPCommunicator(wait_for_disconnect) as http:
        await http.wait_receiving()
        http.disconnect()
        await http.wait()
        assert (await http.receive_start())["status"] == 200
        with pytest.raises(RuntimeError, match="the test has left"):
            await http.receive_chunk()


@pytest.mark.asyncio
async def test_nothing_is_waited_for_once_the_client_has_gone() -> None:
    async with HTTPCommunicator(never_ends, timeout=None) as http:
        http.disconnect()
        with pytest.raises(RuntimeError, match="the test has left"):
            await http.receive_start()
        await http.cancel()


@pytest.mark.asyncio
async def test_send_after_the_disconnect_does_nothing_in_older_versions() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await wait_for_disconnect(scope, receive, send)
        await send(part(b"late", more_body=False))

    async with HTTPCommunicator(application) as http:
        await http.wait_receiving()
        http.disconnect()
        await http.wait()
        assert (await http.receive_start())["status"] == 200
        assert await http.receive_nothing(timeout=0)


@pytest.mark.asyncio
async def test_send_after_the_disconnect_raises_an_os_error_that_is_no_failure() -> None:
    caught: list[OSError] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await wait_for_disconnect(scope, receive, send)
        try:
            await send(part(b"late"))
        except OSError as error:
            caught.append(error)
            raise

    async with HTTPCommunicator(application, scope=NEW) as http:
        await http.wait_receiving()
        http.disconnect()
        await http.wait()
    assert isinstance(caught[0], ClientDisconnectedError)


@pytest.mark.asyncio
async def test_send_that_waits_for_its_reader_returns_when_the_client_goes() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        while True:
            await send(part(b"x"))

    async with HTTPCommunicator(application, scope=NEW, timeout=SOON, max_unread=1) as http:
        with pytest.raises(TimeoutError):
            await http.wait()
        http.disconnect()
        http.timeout = None
        await http.wait()


# The end of the block


@pytest.mark.asyncio
async def test_block_waits_for_the_application_and_what_it_does_after_the_response() -> None:
    done: list[bool] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await hello(scope, receive, send)
        await asyncio.sleep(0)
        done.append(True)

    async with HTTPCommunicator(application) as http:
        await http.receive_start()
    assert done == [True]


@pytest.mark.asyncio
async def test_end_of_the_block_disconnects() -> None:
    async with HTTPCommunicator(wait_for_disconnect, timeout=None) as http:
        await http.receive_start()


@pytest.mark.asyncio
async def test_application_that_does_not_end_is_cancelled_and_an_error() -> None:
    cancelled: list[bool] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        try:
            await never_ends(scope, receive, send)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    with pytest.raises(TimeoutError, match="in never_ends") as caught:
        async with HTTPCommunicator(application, timeout=SOON):
            pass
    assert cancelled == [True]
    assert "It was cancelled." in caught.value.__notes__[0]


@pytest.mark.parametrize("what_it_does", ["receives", "sends"])
@pytest.mark.asyncio
async def test_application_that_takes_no_notice_of_the_disconnect_does_not_stop_the_loop(
    what_it_does: str,
) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        while True:
            await (receive() if what_it_does == "receives" else send(START))

    with pytest.raises(TimeoutError, match="has not ended within"):
        async with HTTPCommunicator(application, timeout=SOON) as http:
            http.disconnect()


@pytest.mark.asyncio
async def test_test_can_cancel_the_application_itself() -> None:
    async with HTTPCommunicator(never_ends, timeout=None) as http:
        await http.receive_start()
        await http.cancel()
        await http.cancel()


@pytest.mark.asyncio
async def test_failure_that_the_test_has_not_seen_is_raised_at_the_end_of_the_block() -> None:
    with pytest.raises(ValueError, match="broken"):
        async with HTTPCommunicator(fail_in_the_body) as http:
            await http.receive_start()


@pytest.mark.asyncio
async def test_failure_of_the_clean_up_is_raised_at_the_end_of_the_block() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await wait_for_disconnect(scope, receive, send)
        raise ValueError("cannot clean up")

    with pytest.raises(ValueError, match="cannot clean up"):
        async with HTTPCommunicator(application) as http:
            await http.receive_start()


@pytest.mark.asyncio
async def test_error_of_the_test_is_kept_and_notes_the_failure_of_the_application() -> None:
    with pytest.raises(AssertionError, match="of the test") as caught:
        async with HTTPCommunicator(fail_in_the_body) as http:
            await asyncio.sleep(0)
            assert http is None, "of the test"
    (note,) = caught.value.__notes__
    assert "fail_in_the_body" in note
    assert note.endswith("ValueError: broken")


@pytest.mark.asyncio
async def test_failure_that_the_test_has_seen_is_not_noted_again() -> None:
    with pytest.raises(AssertionError, match="of the test") as caught:
        async with HTTPCommunicator(fail_in_the_body) as http:
            with pytest.raises(ValueError, match="broken"):
                await http.wait()
            raise AssertionError("of the test")
    assert not hasattr(caught.value, "__notes__")


@pytest.mark.asyncio
async def test_error_of_the_test_cancels_the_application_at_once() -> None:
    application_task: list[asyncio.Task[Any] | None] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        application_task.append(asyncio.current_task())
        await never_ends(scope, receive, send)

    with pytest.raises(AssertionError, match="of the test") as caught:
        async with HTTPCommunicator(application, timeout=None) as http:
            await http.receive_start()
            raise AssertionError("of the test")
    assert application_task[0] is not None
    assert application_task[0].cancelled()
    assert not hasattr(caught.value, "__notes__")


@pytest.mark.asyncio
async def test_test_that_is_cancelled_in_or_after_the_block_leaves_nothing_running() -> None:
    cleaned_up: list[str] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        try:
            await never_ends(scope, receive, send)
        finally:
            await asyncio.sleep(0)
            cleaned_up.append(scope["path"])

    async def test(path: str) -> None:
        async with HTTPCommunicator(application, "GET", path, timeout=None) as http:
            await http.receive_start()
            if path == "/in":
                await http.receive_chunk()

    for path in ("/in", "/after"):
        task = asyncio.create_task(test(path))
        for _ in range(5):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert cleaned_up[-1] == path


@pytest.mark.asyncio
async def test_group_of_nothing_but_disconnects_is_no_failure() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await wait_for_disconnect(scope, receive, send)
        async with asyncio.TaskGroup() as group:
            group.create_task(send(part(b"late")))

    async with HTTPCommunicator(application, scope=NEW) as http:
        await http.receive_start()


@pytest.mark.parametrize("application", [hello, never_ends])
@pytest.mark.asyncio
async def test_communicator_is_freed_with_its_last_reference(application: Any) -> None:
    http = HTTPCommunicator(application, timeout=SOON)
    try:
        async with http:
            await http.receive_start()
            await http.read()
    except TimeoutError:
        pass
    reference = weakref.ref(http)
    del http

    assert reference() is None


# What an application may not send


@pytest.mark.parametrize(
    ("messages", "complaint"),
    [
        ([part(b"a")], "'http.response.body' where 'http.response.start' is expected"),
        ([START, START], "'http.response.start' where 'http.response.body' is expected"),
        ([START, part(b"", False), part(b"")], "where nothing more is expected"),
        ([{"type": "websocket.send"}], "'websocket.send' where 'http.response.start' is expected"),
        ([{"type": "http.response.push", "path": "/"}], r"extensions=\['http.response.push'\]"),
        ([START, {"type": "http.response.pathsend"}], "does not offer the extension"),
    ],
)
@pytest.mark.asyncio
async def test_message_out_of_order_fails_where_it_is_sent(messages: Any, complaint: str) -> None:
    async with HTTPCommunicator(sends(*messages)) as http:
        with pytest.raises(RuntimeError, match=complaint) as caught:
            await http.wait()
    assert "application" in [entry.name for entry in caught.traceback]


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (None, "takes a dict with a 'type'"),
        ({"status": 200}, "takes a dict with a 'type'"),
        ({"type": "http.response.start"}, "an int, not None"),
    ],
)
@pytest.mark.asyncio
async def test_what_is_no_message_fails_where_it_is_sent(message: Any, complaint: str) -> None:
    async with HTTPCommunicator(sends(message)) as http:
        with pytest.raises(TypeError, match=complaint):
            await http.wait()


@pytest.mark.asyncio
async def test_body_that_is_not_bytes_fails_where_it_is_sent() -> None:
    async with HTTPCommunicator(sends(START, {"type": "http.response.body", "body": None})) as http:
        with pytest.raises(TypeError, match="is bytes, not None"):
            await http.wait()


# The event loop and the context


def test_communicator_is_bound_to_the_loop_of_its_block() -> None:
    http = HTTPCommunicator(hello)

    async def test() -> None:
        async with http:
            assert await http.read() == b"hello"

    asyncio.run(test())


@pytest.mark.asyncio
async def test_use_outside_of_a_block_or_for_a_second_one_is_refused() -> None:
    http = HTTPCommunicator(hello)
    with pytest.raises(RuntimeError, match="async with HTTPCommunicator"):
        await http.receive_start()
    async with http:
        pass
    with pytest.raises(RuntimeError, match="was used before"):
        await http.__aenter__()


@pytest.mark.asyncio
async def test_application_runs_in_an_empty_context_or_in_the_one_that_is_given() -> None:
    seen: list[str] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        seen.append(language.get())

    token = language.set("de")
    for context in (None, contextvars.copy_context()):
        async with HTTPCommunicator(application, context=context) as http:
            await http.wait()
    language.reset(token)
    assert seen == ["en", "de"]


@pytest.mark.asyncio
async def test_block_can_be_entered_and_left_by_different_tasks() -> None:
    """As where a fixture has the block, and its two ends run in tasks of their own."""

    async def fixture() -> AsyncIterator[HTTPCommunicator]:
        async with HTTPCommunicator(wait_for_disconnect) as http:
            yield http

    ends = fixture()
    http = await asyncio.create_task(anext(ends))  # type: ignore[arg-type]
    assert (await http.receive_start())["status"] == 200
    with pytest.raises(StopAsyncIteration):
        await asyncio.create_task(anext(ends))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", LOOP_KINDS)
def test_request_runs_on_every_kind_of_event_loop(kind: str) -> None:
    async def test() -> None:
        async with HTTPCommunicator(echo, "POST", body=None) as http:
            await http.send_body(b"one", more_body=True)
            assert await http.receive_chunk() == b"one"
            assert await http.receive_nothing(timeout=SOON)
            await http.send_body(b"two")
            assert await http.read() == b"two"
        async with HTTPCommunicator(fail_in_the_body) as http:
            assert await http.receive_chunk() == b"part"
            with pytest.raises(ValueError, match="broken"):
                await http.receive_chunk()
        async with HTTPCommunicator(never_ends) as http:
            await http.receive_start()
            await http.cancel()

    with asyncio.Runner(loop_factory=LOOP_KINDS[kind]) as runner:
        runner.run(test())


def test_nothing_wakes_up_while_nothing_happens() -> None:
    """Nothing is polled: a wait costs no more than a few iterations of the event loop."""
    iterations = 0

    class CountingSelector(selectors.DefaultSelector):
        def select(self, timeout: float | None = None) -> Any:
            nonlocal iterations
            iterations += 1
            return super().select(timeout)

    async def test() -> int:
        async with HTTPCommunicator(never_ends) as http:
            await http.receive_start()
            before = iterations
            assert await http.receive_nothing(timeout=0.05)
            after = iterations
            await http.cancel()
        return after - before

    def make_loop() -> asyncio.AbstractEventLoop:
        return asyncio.SelectorEventLoop(CountingSelector())

    with asyncio.Runner(loop_factory=make_loop) as runner:
        assert 0 < runner.run(test()) <= 4
