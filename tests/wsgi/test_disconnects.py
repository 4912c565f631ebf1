"""Requests that end before their response: how the application is stopped, and closed once.

The client goes away, at each point of a request; `send` fails; the task is cancelled; the event
loop stops.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import weakref
from collections.abc import Callable
from typing import IO, Any
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from helpers.wsgi_applications import (
    DISCONNECT,
    END_OF_BODY,
    PATIENCE,
    Body,
    fail,
    hello,
    part,
    patiently,
    reading,
    returning,
    wait_set,
    wait_until,
)

from asgi_sync import async_to_sync, sync_to_async
from asgi_wsgi import WsgiToAsgi, WsgiToAsgiInstance, _link

MakeScope = Callable[..., Any]
LARGE = bytes(64 * 1024)


@pytest.fixture(autouse=True)
def nothing_is_logged(caplog: pytest.LogCaptureFixture) -> Any:
    """No disconnect is worth more than a debug message."""
    caplog.set_level(logging.INFO)
    yield
    assert caplog.records == []


# The client goes away


@pytest.mark.asyncio
async def test_disconnect_before_a_thread_is_free_keeps_the_application_from_running(
    server: Any, http_scope: MakeScope
) -> None:
    called: list[str] = []
    goes_on = threading.Event()

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        called.append(environ["PATH_INFO"])
        patiently(goes_on)()
        return hello(environ, start_response)

    async def send(message: Any) -> None:
        pass

    app = WsgiToAsgi(application, max_workers=1)
    first = asyncio.create_task(app(http_scope(path="/1"), server.receive, send))
    headers = [(b"content-length", b"2")]
    scope = http_scope(path="/2", headers=headers)
    second = asyncio.create_task(app(scope, server.receive, server.send))
    await server.wait_awaited(1)
    server.feed(part(b"a"), DISCONNECT)
    await server.wait_awaited(2)
    goes_on.set()
    await asyncio.gather(first, second)
    assert called == ["/1"]
    assert server.sent == []


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", []),
        ("HEAD", [(b"content-length", b"0")]),
        ("POST", [(b"content-length", b"2")]),
    ],
)
@pytest.mark.asyncio
async def test_disconnect_of_a_request_that_waits_for_a_thread_ends_it_at_once(
    server: Any, http_scope: MakeScope, method: str, headers: Any
) -> None:
    called: list[str] = []
    goes_on = threading.Event()

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        called.append(environ["PATH_INFO"])
        patiently(goes_on)()
        return hello(environ, start_response)

    async def nothing(*_: Any) -> Any:
        await asyncio.Event().wait()

    app = WsgiToAsgi(application, max_workers=1)
    first = asyncio.create_task(app(http_scope(path="/1"), nothing, server.send))
    await wait_until(lambda: bool(called))
    server.feed(part(b"ab" if method == "POST" else b"", more_body=False), DISCONNECT)
    scope = http_scope(path="/2", method=method, headers=headers)
    try:
        async with asyncio.timeout(PATIENCE):
            await app(scope, server.receive, nothing)
    finally:
        goes_on.set()
    await first
    assert called == ["/1"]


@pytest.mark.parametrize("body", [b"", b"ab"])
@pytest.mark.asyncio
async def test_request_that_has_waited_for_a_thread_is_served_like_any_other(
    server: Any, http_scope: MakeScope, body: bytes
) -> None:
    goes_on, begins = threading.Event(), threading.Event()
    read: list[bytes] = []

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        if environ["PATH_INFO"] == "/1":
            begins.set()
            patiently(goes_on)()
        else:
            read.append(environ["wsgi.input"].read())
        return hello(environ, start_response)

    async def ignore(_: Any) -> None:
        pass

    app = WsgiToAsgi(application, max_workers=1)
    first = asyncio.create_task(app(http_scope(path="/1"), server.receive, ignore))
    await wait_set(begins)
    headers = [(b"content-length", b"2")] if body else []
    second = asyncio.create_task(app(http_scope(headers=headers), server.receive, server.send))
    server.feed(part(body, more_body=False))
    await server.wait_awaited(2)
    goes_on.set()
    await asyncio.gather(first, second)
    assert read == [body]
    assert server.body == b"Hello world"


@pytest.mark.parametrize(
    "read", [lambda body: body.read(), lambda body: body.readline(), lambda body: body.read(9)]
)
@pytest.mark.asyncio
async def test_disconnect_fails_the_read_that_waits(server: Any, read: Any) -> None:
    seen: list[Any] = []
    request = asyncio.create_task(server.serve(reading(read, seen)))
    server.feed(part(b"abc"))
    await server.wait_awaited(2)
    server.feed(DISCONNECT)
    await request
    assert isinstance(seen[0], OSError)
    assert server.sent == []


@pytest.mark.asyncio
async def test_disconnect_before_a_read_fails_it(server: Any) -> None:
    """What had arrived is not read either: it could be taken for the whole."""
    seen: list[Any] = []
    is_gone = threading.Event()

    def read(body: IO[bytes]) -> bytes:
        body.read(1)
        patiently(is_gone)()
        return body.read(1)

    request = asyncio.create_task(server.serve(reading(read, seen)))
    server.feed(part(b"abc"))
    await server.wait_awaited(2)
    server.feed(DISCONNECT)
    await server.wait_taken()
    is_gone.set()
    await request
    assert isinstance(seen[0], OSError)


@pytest.mark.asyncio
async def test_error_that_an_application_makes_of_a_disconnect_is_none(server: Any) -> None:
    """Django's UnreadablePostError is one."""

    def read(body: IO[bytes]) -> bytes:
        try:
            return body.read()
        except OSError as error:
            raise LookupError("the body cannot be read") from error

    server.feed(DISCONNECT)
    await server.serve(reading(read, []))
    assert server.sent == []


@pytest.mark.asyncio
async def test_error_of_an_application_that_has_nothing_to_do_with_a_disconnect_propagates(
    server: Any,
) -> None:
    def read(body: IO[bytes]) -> None:
        with pytest.raises(OSError, match="the client has disconnected"):
            body.read()

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        read(environ["wsgi.input"])
        raise LookupError("a mistake")

    server.feed(DISCONNECT)
    with pytest.raises(LookupError, match="a mistake"):
        await server.serve(application)


@pytest.mark.asyncio
async def test_disconnect_during_the_response_stops_and_closes_it(server: Any) -> None:
    """Also with a server whose send() goes on as if nothing had happened."""
    body = Body(forever=b"a")
    request = asyncio.create_task(server.call(returning(body)))
    await server.wait_sent(2)
    server.feed(DISCONNECT)
    await request
    assert not server.is_complete
    assert len(body.closed_by) == 1


@pytest.mark.parametrize("content", [b"", b"ab"])
@pytest.mark.asyncio
async def test_disconnect_is_heard_after_a_body_whose_end_is_a_message_of_its_own(
    server: Any, content: bytes
) -> None:
    """Content-Length has said before where the body ends."""
    body = Body(forever=b"a")
    if content:
        server.feed(part(content))
    server.feed(END_OF_BODY)
    length = (b"content-length", str(len(content)).encode())
    request = asyncio.create_task(server.serve(returning(body), headers=[length]))
    await server.wait_sent(2)
    server.feed(DISCONNECT)
    await request
    assert len(body.closed_by) == 1


@pytest.mark.asyncio
async def test_disconnect_stops_an_application_that_yields_nothing_but_empty_chunks(
    server: Any,
) -> None:
    body = Body(b"a", forever=b"")
    request = asyncio.create_task(server.call(returning(body)))
    await server.wait_sent(2)
    server.feed(DISCONNECT)
    await request
    assert len(body.closed_by) == 1


@pytest.mark.asyncio
async def test_disconnect_wakes_an_application_that_waits_for_a_slow_client(server: Any) -> None:
    body = Body(forever=LARGE)
    server.may_send.clear()
    request = asyncio.create_task(server.call(returning(body)))
    await server.wait_sent(1)
    await wait_until(lambda: body.given == 2)
    server.feed(DISCONNECT)
    await request
    assert len(body.closed_by) == 1


@pytest.mark.parametrize("message", [1, 2, 3])
@pytest.mark.asyncio
async def test_disconnect_ends_a_request_whose_send_never_returns(
    server: Any, http_scope: MakeScope, message: int
) -> None:
    """Of a complete body, so in the request's own task."""
    sent = 0

    async def send(_: Any) -> None:
        nonlocal sent
        sent += 1
        if sent == message:
            server.feed(END_OF_BODY, DISCONNECT)
            await asyncio.Event().wait()

    async with asyncio.timeout(PATIENCE):
        await WsgiToAsgi(hello)(http_scope(), server.receive, send)
    assert sent == message


# It goes away, as far as the server can tell, once the response is complete


def is_last(message: Any) -> bool:
    return message["type"] == "http.response.body" and not message.get("more_body", False)


@pytest.mark.parametrize("thread_sensitive", [False, True])
@pytest.mark.parametrize("chunks", [[b"a"], Body(b"a")], ids=["complete", "streamed"])
@pytest.mark.asyncio
async def test_middleware_may_go_on_after_the_last_message(
    server: Any, http_scope: MakeScope, chunks: Any, thread_sensitive: bool
) -> None:
    done: list[str] = []

    async def send(message: Any) -> None:
        if is_last(message):
            server.feed(END_OF_BODY, DISCONNECT)
            await server.wait_taken()
            # Turns of the loop in which it would be cancelled.
            for _ in range(5):
                await asyncio.sleep(0)
            done.append("what the middleware does then")

    app = WsgiToAsgi(returning(chunks), thread_sensitive=thread_sensitive)
    async with asyncio.timeout(PATIENCE):
        await app(http_scope(), server.receive, send)
    assert len(done) == 1


@pytest.mark.parametrize("thread_sensitive", [False, True])
@pytest.mark.parametrize("chunks", [[b"a"], Body(b"a")], ids=["complete", "streamed"])
@pytest.mark.asyncio
async def test_send_of_the_last_message_that_never_returns_is_not_waited_for_for_ever(
    server: Any,
    http_scope: MakeScope,
    monkeypatch: pytest.MonkeyPatch,
    chunks: Any,
    thread_sensitive: bool,
) -> None:
    monkeypatch.setattr(_link, "FINISH_SECONDS", 0)

    async def send(message: Any) -> None:
        if is_last(message):
            server.feed(END_OF_BODY, DISCONNECT)
            await asyncio.Event().wait()

    app = WsgiToAsgi(returning(chunks), thread_sensitive=thread_sensitive)
    async with asyncio.timeout(PATIENCE):
        await app(http_scope(), server.receive, send)


# Thread-sensitive requests: their thread calls `receive` itself, but for the end of the client


async def _stream_sensitively(server: Any, scope: Any, body: Body, read: Any, fed: Any) -> None:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Body:
        read(environ["wsgi.input"])
        start_response("200 OK", [])
        return body

    server.feed(*fed)
    app = WsgiToAsgi(application, thread_sensitive=True)
    request = asyncio.create_task(app(scope, server.receive, server.send))
    await server.wait_sent(3)
    server.feed(DISCONNECT)
    async with asyncio.timeout(PATIENCE):
        await request
    assert not server.is_complete
    assert len(body.closed_by) == 1


@pytest.mark.parametrize(
    ("headers", "read", "fed"),
    [
        ([], lambda body: None, [END_OF_BODY]),
        ([], lambda body: body.read(), [part(b"ab"), END_OF_BODY]),
        ([(b"content-length", b"0")], lambda body: None, [END_OF_BODY]),
        ([(b"content-length", b"2")], lambda body: body.read(2), [part(b"ab"), END_OF_BODY]),
    ],
)
@pytest.mark.asyncio
async def test_disconnect_stops_a_thread_sensitive_response(
    server: Any, http_scope: MakeScope, headers: Any, read: Any, fed: Any
) -> None:
    body = Body(forever=b"a")
    await _stream_sensitively(server, http_scope(headers=headers), body, read, fed)


@pytest.mark.asyncio
async def test_disconnect_ends_a_thread_sensitive_response_whose_send_never_returns(
    server: Any, http_scope: MakeScope
) -> None:
    body = Body(forever=b"a")
    server.feed(END_OF_BODY)
    server.may_send.clear()
    app = WsgiToAsgi(returning(body), thread_sensitive=True)
    request = asyncio.create_task(app(http_scope(), server.receive, server.send))
    await server.wait_sent(1)
    server.feed(DISCONNECT)
    async with asyncio.timeout(PATIENCE):
        await request
    assert len(body.closed_by) == 1


@pytest.mark.parametrize("is_outermost", [False, True])
def test_thread_sensitive_request_reads_what_the_watch_for_its_client_receives(
    http_scope: MakeScope, is_outermost: bool
) -> None:
    """Also through a middleware whose `receive` needs the very thread that reads."""
    messages = [part(b"ab"), part(b"cd"), END_OF_BODY]
    threads: set[int] = set()
    sent: list[bytes] = []

    async def receive() -> Any:
        threads.add(await sync_to_async(threading.get_ident)())
        return messages.pop(0) if messages else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message.get("body", b""))

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        threads.add(threading.get_ident())
        start_response("200 OK", [])
        yield b"1"
        yield environ["wsgi.input"].read(3)
        yield environ["wsgi.input"].read()

    app = WsgiToAsgi(application, thread_sensitive=True)

    async def main() -> None:
        async with asyncio.timeout(PATIENCE):
            await app(http_scope(), receive, send)

    async_to_sync(main)() if is_outermost else asyncio.run(main())
    assert b"".join(sent) == b"1abcd"
    assert len(threads) == 1


@pytest.mark.asyncio
async def test_time_out_of_the_server_is_its_own_error(server: Any, http_scope: MakeScope) -> None:
    async def send(_: Any) -> None:
        await asyncio.sleep(0)
        raise TimeoutError("of the server")

    with pytest.raises(TimeoutError, match="of the server"):
        await WsgiToAsgi(hello)(http_scope(), server.receive, send)


@pytest.mark.asyncio
async def test_write_after_a_disconnect_raises_a_connection_error(server: Any) -> None:
    errors: list[BaseException] = []

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        write = start_response("200 OK", [])
        try:
            while True:
                write(b"a")
        except ConnectionError as error:
            errors.append(error)
            raise

    request = asyncio.create_task(server.call(application))
    await server.wait_sent(2)
    server.feed(DISCONNECT)
    await request
    assert len(errors) == 1


@pytest.mark.asyncio
async def test_receive_that_fails_after_the_body_does_not_disturb_the_response(
    server: Any, http_scope: MakeScope
) -> None:
    messages = [{"type": "http.request"}]
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, report: reported.append(report))

    async def receive() -> Any:
        return messages.pop()

    await WsgiToAsgi(returning(Body(b"a", b"b")))(http_scope(), receive, server.send)
    gc.collect()  # a task that is dropped with its exception reports it
    assert server.body == b"ab"
    assert server.is_complete
    assert reported == []


@pytest.mark.asyncio
async def test_failed_receive_leaves_no_reference_cycle(server: Any, http_scope: MakeScope) -> None:
    bodies: list[weakref.ref[Any]] = []

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        bodies.append(weakref.ref(environ["wsgi.input"]))
        environ["wsgi.input"].read()
        return hello(environ, start_response)

    async def receive() -> Any:
        raise LookupError("the server failed")

    gc.collect()
    gc.disable()
    try:
        with pytest.raises(LookupError):
            await WsgiToAsgi(application)(http_scope(), receive, server.send)
        await wait_until(lambda: bodies[0]() is None)
    finally:
        gc.enable()


@pytest.mark.asyncio
async def test_request_leaves_no_task_behind(server: Any) -> None:
    await server.call(returning(Body(b"a", b"b")))
    assert asyncio.all_tasks() == {asyncio.current_task()}


# send() fails


@pytest.mark.parametrize("taken", [0, 1, 2])
@pytest.mark.asyncio
async def test_failed_send_stops_and_closes_the_response(server: Any, taken: int) -> None:
    server.refuse_after = taken
    body = Body(b"a", forever=b"b")
    with pytest.raises(OSError, match="the connection is closed"):
        await server.call(returning(body))
    assert len(server.sent) == taken
    assert len(body.closed_by) == 1


@pytest.mark.asyncio
async def test_failed_send_of_a_complete_body_propagates(server: Any) -> None:
    server.refuse_after = 1
    with pytest.raises(OSError, match="the connection is closed"):
        await server.call(hello)
    assert len(server.sent) == 1


@pytest.mark.asyncio
async def test_application_that_gives_up_after_a_failed_write_ends_quietly(server: Any) -> None:
    """The rest of its Content-Length is not missed."""
    server.refuse_after = 2

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        write = start_response("200 OK", [("Content-Length", "9")])
        with pytest.raises(OSError, match="the connection is closed"):
            write(b"abc")
            write(b"def")
        return []

    await server.call(application)
    assert server.body == b"abc"


@pytest.mark.asyncio
async def test_application_that_hides_a_failed_send_is_stopped_at_its_next_chunk(
    server: Any,
) -> None:
    server.refuse_after = 2
    body = Body(forever=b"c")

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Body:
        write = start_response("200 OK", [])
        write(b"a")
        for _ in range(2):
            with pytest.raises(OSError):  # noqa: PT011  the server's, then the adapter's
                write(b"b")
        server.refuse_after = None
        return body

    await server.call(application)
    assert server.body == b"a"
    assert (body.given, len(body.closed_by)) == (1, 1)


@pytest.mark.asyncio
async def test_error_of_the_application_is_not_hidden_by_a_send_that_fails_after_it(
    server: Any,
) -> None:
    server.refuse_after = 0
    with pytest.raises((LookupError, OSError)) as caught:
        await server.call(returning(Body(b"a", fail)))
    assert "the application failed" in str(caught.value)


# The task is cancelled


@pytest.mark.asyncio
async def test_cancelled_request_stops_at_its_next_chunk_and_is_closed(server: Any) -> None:
    cancelled = threading.Event()
    body = Body(b"a", patiently(cancelled), forever=b"b")
    request = asyncio.create_task(server.call(returning(body)))
    await server.wait_sent(2)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    cancelled.set()
    await wait_set(body.is_closed)
    assert len(body.closed_by) == 1
    assert not server.is_complete


@pytest.mark.asyncio
async def test_cancelled_request_that_waits_for_the_server_is_closed(server: Any) -> None:
    body = Body(forever=LARGE)
    server.may_send.clear()
    request = asyncio.create_task(server.call(returning(body)))
    await server.wait_sent(1)
    await wait_until(lambda: body.given == 2)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    await wait_set(body.is_closed)
    assert (body.given, len(body.closed_by)) == (2, 1)


@pytest.mark.parametrize("thread_sensitive", [False, True])
@pytest.mark.asyncio
async def test_cancelled_request_that_waits_for_its_body_fails_the_read(
    server: Any, http_scope: MakeScope, thread_sensitive: bool
) -> None:
    seen: list[Any] = []
    app = WsgiToAsgi(reading(lambda body: body.read(), seen), thread_sensitive=thread_sensitive)
    request = asyncio.create_task(app(http_scope(), server.receive, server.send))
    await server.wait_awaited(1)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    await wait_until(lambda: bool(seen))
    assert isinstance(seen[0], OSError)


@pytest.mark.parametrize("is_whole_loop_cancelled", [False, True])
@pytest.mark.parametrize("options", [{"max_workers": 1}, {"thread_sensitive": True}])
@pytest.mark.asyncio
async def test_cancelled_request_that_waits_for_async_code_ends_quietly(
    server: Any,
    http_scope: MakeScope,
    caplog: pytest.LogCaptureFixture,
    options: dict[str, Any],
    is_whole_loop_cancelled: bool,
) -> None:
    """Also at the end of `asyncio.run`, which cancels what it waits for before it is told to."""
    waits = asyncio.Event()
    tasks: list[Any] = []

    async def wait() -> None:
        tasks.append(asyncio.current_task())
        waits.set()
        await asyncio.Event().wait()

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        if environ["PATH_INFO"] == "/wait":
            async_to_sync(wait)()
        return hello(environ, start_response)

    app = WsgiToAsgi(application, **options)
    request = asyncio.create_task(app(http_scope(path="/wait"), server.receive, server.send))
    await waits.wait()
    if is_whole_loop_cancelled:
        tasks[0].cancel()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    # On the same thread, so it has done with the first one.
    await app(http_scope(), server.receive, server.send)
    assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []


@pytest.mark.asyncio
async def test_request_that_is_cancelled_before_its_application_runs_closes_its_body(
    server: Any, http_scope: MakeScope
) -> None:
    bodies: list[IO[bytes]] = []

    class Instance(WsgiToAsgiInstance):
        async def run_wsgi_app(self, body: IO[bytes]) -> None:
            bodies.append(body)
            await asyncio.Event().wait()

    request = asyncio.create_task(Instance(hello)(http_scope(), server.receive, server.send))
    await wait_until(lambda: bool(bodies))
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert bodies[0].closed


# The event loop stops


@pytest.mark.parametrize("closes", [False, True])
def test_loop_that_stops_wakes_an_application_that_waits_for_its_body(
    server: Any, http_scope: MakeScope, monkeypatch: pytest.MonkeyPatch, closes: bool
) -> None:
    monkeypatch.setattr(_link, "LOOK_SECONDS", 0.01)
    seen: list[Any] = []
    has_ended = threading.Event()

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        try:
            return reading(lambda body: body.read(), seen)(environ, start_response)  # type: ignore[return-value]
        finally:
            has_ended.set()

    reported: list[Any] = []
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _, report: reported.append(report))
    app = WsgiToAsgi(application)
    request = loop.create_task(app(http_scope(), server.receive, server.send))  # type: ignore[arg-type]
    loop.run_until_complete(server.wait_awaited(1))
    if closes:
        loop.close()
    assert has_ended.wait(PATIENCE)
    assert isinstance(seen[0], OSError)
    if not closes:
        loop.run_until_complete(request)
        loop.close()


@pytest.mark.parametrize("closes", [False, True])
@pytest.mark.parametrize("uses", ["wsgi.input", "write"])
def test_thread_sensitive_application_uses_no_other_loop_when_its_own_has_stopped(
    server: Any, http_scope: MakeScope, uses: str, closes: bool
) -> None:
    begins, goes_on, has_ended = threading.Event(), threading.Event(), threading.Event()
    seen: list[Any] = []

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        write = start_response("200 OK", [])
        begins.set()
        patiently(goes_on)()
        try:
            environ["wsgi.input"].read() if uses == "wsgi.input" else write(b"a")
        except OSError as error:
            seen.append(error)
        has_ended.set()
        return []

    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)
    app = WsgiToAsgi(application, thread_sensitive=True)
    request = loop.create_task(app(http_scope(), server.receive, server.send))
    loop.run_until_complete(wait_set(begins))
    if closes:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
    goes_on.set()
    assert has_ended.wait(PATIENCE)
    assert len(seen) == 1
    assert (server.awaited, server.sent) == (0, [])
    if not closes:
        loop.run_until_complete(request)
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def test_loop_that_stops_wakes_an_application_that_waits_for_its_client(
    server: Any, http_scope: MakeScope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_link, "LOOK_SECONDS", 0.01)
    body = Body(forever=LARGE)
    server.may_send.clear()
    loop = asyncio.new_event_loop()
    app = WsgiToAsgi(returning(body))
    request = loop.create_task(app(http_scope(), server.receive, server.send))
    loop.run_until_complete(server.wait_sent(1))
    assert body.is_closed.wait(PATIENCE)
    loop.run_until_complete(request)
    loop.close()
    assert len(body.closed_by) == 1


# The loop makes no task


@pytest.mark.asyncio
async def test_task_factory_that_fails_does_not_keep_the_application_waiting(
    server: Any,
) -> None:
    seen: list[Any] = []
    reported: list[Any] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, report: reported.append(report["exception"]))

    def refuse(loop: Any, coroutine: Any, **kwargs: Any) -> Any:
        raise LookupError("no task")

    loop.set_task_factory(refuse)
    try:
        await server.serve(reading(lambda body: body.read(), seen))
    finally:
        loop.set_task_factory(None)
    assert isinstance(seen[0], OSError)
    assert [str(error) for error in reported] == ["no task"]
