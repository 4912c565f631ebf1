"""One request through the adapter, section by section.

Plain requests; write(); too many and too few bytes; close(); errors of the application; the limit
on headers; other scopes; subclasses; conformance to PEP 3333.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import IO, Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment
from wsgiref.validate import validator

import pytest
from helpers.wsgi_applications import PLAIN, Body, fail, hello, patiently, returning

from asgi_wsgi import WsgiToAsgi, WsgiToAsgiInstance

pytestmark = pytest.mark.asyncio

END = {"type": "http.response.body"}


# Plain requests


async def test_response_is_a_start_each_chunk_and_an_end(server: Any) -> None:
    await server.call(hello)
    headers = [(b"content-type", b"text/plain")]
    assert server.sent == [
        {"type": "http.response.start", "status": 200, "headers": headers},
        {"type": "http.response.body", "body": b"Hello ", "more_body": True},
        {"type": "http.response.body", "body": b"world", "more_body": True},
        END,
    ]


async def test_application_reads_the_request_body_from_wsgi_input(server: Any) -> None:
    def echo(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [])
        return [environ["wsgi.input"].read()]

    await server.call(echo, chunks=[b"abc", b"", b"def"], method="POST")
    assert server.body == b"abcdef"


async def test_request_body_is_closed_after_the_application(server: Any) -> None:
    inputs: list[IO[bytes]] = []

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        inputs.append(environ["wsgi.input"])
        return hello(environ, start_response)

    await server.call(application)
    assert inputs[0].closed


async def test_environ_is_that_of_the_scope(server: Any) -> None:
    environs: list[WSGIEnvironment] = []

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        environs.append(environ)
        return hello(environ, start_response)

    await server.call(application, method="PUT", path="/a", headers=[(b"x", b"y")])
    assert environs[0]["REQUEST_METHOD"] == "PUT"
    assert environs[0]["PATH_INFO"] == "/a"
    assert environs[0]["HTTP_X"] == "y"


async def test_headers_may_be_an_iterable_that_gives_them_once(server: Any) -> None:
    """As middleware that leaves some out may put there."""
    seen: list[Any] = []

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        seen.extend((environ["HTTP_HOST"], environ["wsgi.input"].read()))
        return hello(environ, start_response)

    given = [(b"host", b"example.org"), (b"content-length", b"2"), (b"x-user", b"root")]
    headers = (header for header in given if header[0] != b"x-user")
    await server.call(application, [b"abc"], method="POST", headers=headers)
    assert seen == ["example.org", b"ab"]


async def test_start_response_may_come_with_the_first_iteration(server: Any) -> None:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        start_response("201 Created", [])
        yield b"a"

    await server.call(application)
    assert (server.status, server.body) == (201, b"a")


# write()


async def test_write_sends_before_the_body(server: Any) -> None:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        write = start_response("200 OK", [])
        write(b"a")
        write(b"b")
        return [b"c"]

    await server.call(application)
    assert [message.get("body") for message in server.sent] == [None, b"a", b"b", b"c", None]


async def test_write_sends_before_it_returns(server: Any) -> None:
    sent: list[int] = []

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [])(b"a")
        sent.append(len(server.sent))
        return []

    await server.call(application)
    assert sent == [2]


async def test_write_beyond_the_content_length_is_an_error(server: Any) -> None:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "2")])(b"abc")
        return []

    with pytest.raises(ValueError, match="more bytes than its Content-Length"):
        await server.call(application)
    assert server.body == b"ab"


# Too many and too few bytes


async def test_iteration_stops_at_bytes_beyond_the_content_length(server: Any) -> None:
    body = Body(b"ab", forever=b"c")
    await server.call(returning(body, headers=[("Content-Length", "3")]))
    assert server.body == b"abc"
    assert server.is_complete
    assert (body.given, len(body.closed_by)) == (3, 1)


async def test_too_few_bytes_leave_the_response_incomplete(server: Any) -> None:
    body = Body(b"ab")
    with pytest.raises(RuntimeError, match="gave 2 of the 3 bytes"):
        await server.call(returning(body, headers=[("Content-Length", "3")]))
    assert not server.is_complete
    assert len(body.closed_by) == 1


async def test_head_request_stops_at_the_first_chunk(server: Any) -> None:
    body = Body(forever=b"a")
    await server.call(returning(body), method="HEAD")
    assert [message["type"] for message in server.sent] == [
        "http.response.start",
        "http.response.body",
    ]
    assert server.body == b""
    assert (body.given, len(body.closed_by)) == (1, 1)


# close()


async def test_close_is_called_once_after_the_last_chunk(server: Any) -> None:
    given: list[int] = []

    class NotingBody(Body):
        def close(self) -> None:
            given.append(self.given)

    await server.call(returning(NotingBody(b"a", b"b")))
    assert given == [2]


async def test_response_leaves_without_waiting_for_close(server: Any) -> None:
    """Work that an application puts off until then does not keep its client waiting."""
    has_arrived = threading.Event()

    class SlowBody(Body):
        def close(self) -> None:
            patiently(has_arrived)()

    request = asyncio.create_task(server.call(returning(SlowBody(b"a"))))
    await server.wait_sent(3)
    assert server.is_complete
    has_arrived.set()
    await request


async def test_close_is_called_when_the_iteration_fails(server: Any) -> None:
    body = Body(b"a", fail)
    with pytest.raises(LookupError):
        await server.call(returning(body))
    assert len(body.closed_by) == 1


async def test_close_is_called_when_start_response_never_was(server: Any) -> None:
    body = Body(b"a")
    with pytest.raises(RuntimeError, match="must call start_response"):
        await server.call(lambda environ, start_response: body)
    assert len(body.closed_by) == 1
    assert server.sent == []


async def test_error_of_close_propagates(server: Any) -> None:
    class FailingBody(Body):
        def close(self) -> None:
            fail()

    with pytest.raises(LookupError):
        await server.call(returning(FailingBody(b"a")))
    assert server.is_complete


async def test_body_without_close_is_fine(server: Any) -> None:
    class OldSequence:
        def __getitem__(self, index: int) -> bytes:
            return [b"a", b"b"][index]

    await server.call(returning(OldSequence()))
    assert server.body == b"ab"


# Errors of the application


@pytest.mark.parametrize("error", [ValueError("of the application"), LookupError(), OSError()])
async def test_error_before_the_first_chunk_propagates_and_nothing_is_sent(
    server: Any, error: Exception
) -> None:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [])
        raise error

    with pytest.raises(type(error)) as caught:
        await server.call(application)
    assert caught.value is error
    assert server.sent == []


@pytest.mark.parametrize("thread_sensitive", [False, True])
@pytest.mark.parametrize(
    "error", [SystemExit(1), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError()]
)
async def test_exit_of_the_application_is_an_error_like_any_other(
    server: Any, http_scope: Callable[..., Any], error: BaseException, thread_sensitive: bool
) -> None:
    """It would end the server, or its task, for all other requests."""

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        raise error

    app = WsgiToAsgi(application, thread_sensitive=thread_sensitive)
    with pytest.raises(RuntimeError, match="the WSGI application raised") as caught:
        await app(http_scope(), server.receive, server.send)
    assert caught.value.__cause__ is error
    assert server.sent == []


async def test_error_after_the_first_chunk_propagates_and_leaves_the_response_open(
    server: Any,
) -> None:
    with pytest.raises(LookupError):
        await server.call(returning(Body(b"a", fail)))
    assert server.body == b"a"
    assert not server.is_complete


async def test_error_page_replaces_a_response_that_has_not_been_sent(server: Any) -> None:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [("X", "a")])
        yield b""
        try:
            fail()
        except LookupError:
            start_response("500 Error", [("Y", "b")], sys.exc_info())
        yield b"oops"

    await server.call(application)
    assert (server.status, server.headers, server.body) == (500, [(b"y", b"b")], b"oops")


async def test_error_page_that_is_too_late_raises_the_error_itself(server: Any) -> None:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"a"
        try:
            fail()
        except LookupError:
            start_response("500 Error", [], sys.exc_info())
        yield b"not reached"

    with pytest.raises(LookupError):
        await server.call(application)
    assert server.body == b"a"


async def test_error_page_that_is_too_late_leaves_no_cycle(server: Any) -> None:
    class PageError(Exception):
        pass

    def fail_late(start_response: StartResponse) -> weakref.ref[PageError]:
        try:
            raise PageError
        except PageError as error:
            with pytest.raises(PageError):
                start_response("500 Error", [], sys.exc_info())
            return weakref.ref(error)

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [])(b"a")
        assert fail_late(start_response)() is None
        return []

    gc.disable()
    try:
        await server.call(application)
    finally:
        gc.enable()


async def test_application_that_returns_nothing_is_told_what_to_return(server: Any) -> None:
    with pytest.raises(TypeError, match=r"returned None.*such as \[body\]"):
        await server.call(returning(None))


async def test_application_that_returns_its_body_bare_is_told_what_to_return(server: Any) -> None:
    with pytest.raises(TypeError, match=r"such as \[body\]; it gave a chunk of type int"):
        await server.call(returning(b"abc"))


# The limit on headers


async def test_too_many_duplicate_headers_are_answered_with_400(server: Any) -> None:
    called: list[Any] = []
    await server.call(lambda *_: called.append(1), headers=[(b"a", b"b")] * 101)
    assert server.sent == [
        {
            "type": "http.response.start",
            "status": 400,
            "headers": [(b"content-type", b"text/plain")],
        },
        {"type": "http.response.body", "body": b"Bad Request: Too many duplicate headers"},
    ]
    assert called == []


async def test_limit_on_duplicate_headers_can_be_chosen(
    server: Any, http_scope: Callable[..., Any]
) -> None:
    server.feed({"type": "http.request"})
    scope = http_scope(headers=[(b"a", b"b")] * 3)
    await WsgiToAsgi(hello, duplicate_header_limit=2)(scope, server.receive, server.send)
    assert server.status == 400


# Other scopes


async def test_lifespan_is_acknowledged(server: Any) -> None:
    server.feed({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
    await server.call(hello, type="lifespan")
    assert server.sent == [
        {"type": "lifespan.startup.complete"},
        {"type": "lifespan.shutdown.complete"},
    ]


async def test_websocket_is_refused_before_it_is_accepted(server: Any) -> None:
    server.feed({"type": "websocket.connect"})
    await server.call(hello, type="websocket")
    assert server.sent == [{"type": "websocket.close"}]


async def test_websocket_that_is_gone_already_is_not_answered(server: Any) -> None:
    server.feed({"type": "websocket.disconnect", "code": 1006})
    await server.call(hello, type="websocket")
    assert server.sent == []


async def test_other_scope_is_named(server: Any) -> None:
    with pytest.raises(ValueError, match="received a non-HTTP scope: 'mqtt'"):
        await server.call(hello, type="mqtt")


# Subclasses


async def test_subclass_may_add_to_the_environ_and_to_the_headers(
    server: Any, http_scope: Callable[..., Any]
) -> None:
    class Instance(WsgiToAsgiInstance):
        def build_environ(self, scope: Any, body: IO[bytes] | None) -> WSGIEnvironment:
            return {**super().build_environ(scope, body), "x.user": "ann"}

        def start_response(self, status: str, headers: Any, exc_info: Any = None) -> Any:
            return super().start_response(status, [*headers, ("X", "a")], exc_info)

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [])
        return [environ["x.user"].encode()]

    server.feed({"type": "http.request"})
    await Instance(application)(http_scope(), server.receive, server.send)
    assert (server.headers, server.body) == ([(b"x", b"a")], b"ann")


async def test_start_response_can_be_called_outside_a_request() -> None:
    instance = WsgiToAsgiInstance(hello)
    assert callable(instance.start_response("200 OK", []))


# Conformance: wsgiref.validate checks what the adapter gives and how it treats the application


def lazy(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", PLAIN)
    yield b""
    yield b"a"


def writing(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", PLAIN)(b"a")
    return [b"b"]


def reading(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    body = environ["wsgi.input"]
    start_response("200 OK", PLAIN)
    return [body.readline(), body.read(2), *body.readlines(1), *body, body.read(1)]


def recovering(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", PLAIN)
    try:
        fail()
    except LookupError:
        start_response("500 Error", PLAIN, sys.exc_info())
    return [b"oops"]


def logging(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    errors = environ["wsgi.errors"]
    errors.write("caf\xe9 €\n")
    errors.writelines(["a\n"])
    errors.flush()
    return hello(environ, start_response)


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
@pytest.mark.parametrize(
    ("application", "status", "body"),
    [
        (hello, 200, b"Hello world"),
        (lazy, 200, b"a"),
        (writing, 200, b"ab"),
        (reading, 200, b"one\ntwo\nthree\nfour\n"),
        (recovering, 500, b"oops"),
        (logging, 200, b"Hello world"),
        (returning([], "204 No Content"), 204, b""),
        (returning([], "304 Not Modified"), 304, b""),
        (returning([], "200 OK", PLAIN), 200, b""),
    ],
)
async def test_conformance(
    server: Any,
    capsys: pytest.CaptureFixture[str],
    method: str,
    application: WSGIApplication,
    status: int,
    body: bytes,
) -> None:
    await server.call(
        validator(application),
        chunks=[b"one\ntwo\nth", b"ree\nfour\n"],
        method=method,
        root_path="/app",
        path="/app/\xe9",
        query_string=b"a=\xff",
        headers=[(b"host", b"example.org"), (b"content-length", b"19"), (b"cookie", b"a=b")],
    )
    assert (server.status, server.is_complete) == (status, True)
    assert server.body == (b"" if method == "HEAD" else body)
    assert "without being closed" not in capsys.readouterr().err
