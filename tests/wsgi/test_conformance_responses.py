"""What a client sees of the response of a WSGI application, under every server.

Bodies; chunks as they come; headers; write(); start_response and exc_info; lengths; responses
without a body; threads. All applications run inside `wsgiref.validate`, but for those that break
its rules.
"""

from __future__ import annotations

import contextvars
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import httpx
import pytest
from helpers.served import Served
from helpers.server_threads import PATIENCE

from asgi_wsgi import WsgiToAsgi

PLAIN = [("Content-Type", "text/plain")]


def responding(
    *chunks: bytes, status: str = "200 OK", headers: list[tuple[str, str]] = PLAIN
) -> WSGIApplication:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        start_response(status, list(headers))
        return list(chunks)

    return application


def get(served: Served, application: WSGIApplication, **options: Any) -> httpx.Response:
    served.serve(application, **options)
    return served.client.get("/")


# Bodies


def test_list_of_chunks(served: Served) -> None:
    assert get(served, responding(b"one ", b"", b"two")).text == "one two"


def test_body_without_chunks(served: Served) -> None:
    answer = get(served, responding(status="201 Created"))
    assert (answer.status_code, answer.content) == (201, b"")


def test_body_of_empty_chunks(served: Served) -> None:
    answer = get(served, responding(b"", b"", status="202 Accepted"))
    assert (answer.status_code, answer.content) == (202, b"")


def test_every_byte_of_a_large_body_arrives_in_order(served: Served) -> None:
    chunks = [number.to_bytes(4, "big") * 16_384 for number in range(64)]
    assert get(served, responding(*chunks)).content == b"".join(chunks)


def test_generator_is_run_to_its_end(served: Served) -> None:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        for number in range(200):
            yield b"%d," % number

    expected = "".join(f"{number}," for number in range(200))
    assert get(served, application).text == expected


def test_chunk_is_sent_before_the_next_is_made(served: Served) -> None:
    first_has_arrived = threading.Event()

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        yield b"first"
        assert first_has_arrived.wait(PATIENCE)
        yield b"second"

    served.serve(application)
    with served.client.stream("GET", "/") as answer:
        chunks = answer.iter_raw()
        assert next(chunks) == b"first"
        first_has_arrived.set()
        assert b"".join(chunks) == b"second"


def test_headers_wait_for_the_first_chunk_that_is_not_empty(served: Served) -> None:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        yield b""
        try:
            raise LookupError("before anything is sent")
        except LookupError:
            start_response("503 Later", PLAIN, sys.exc_info())
        yield b"later"

    answer = get(served, application)
    assert (answer.status_code, answer.text) == (503, "later")


def test_bytes_that_the_application_goes_on_changing_arrive_as_they_were(served: Served) -> None:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[Any]:
        start_response("200 OK", PLAIN)
        buffer = bytearray(3)
        for number in range(100):
            buffer[:] = b"%03d" % number
            yield memoryview(buffer)

    expected = "".join(f"{number:03}" for number in range(100))
    assert get(served, application, validated=False).text == expected


# Headers


def test_header_value_is_latin_1(served: Served) -> None:
    answer = get(served, responding(headers=[*PLAIN, ("X-Name", "caf\xe9")]))
    raw = {name.lower(): value for name, value in answer.headers.raw}
    assert raw[b"x-name"] == b"caf\xe9"


def test_repeated_header_arrives_as_often(served: Served) -> None:
    cookies = [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
    answer = get(served, responding(headers=[*PLAIN, *cookies]))
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]


@pytest.mark.parametrize("name", ["Connection", "Keep-Alive", "TE", "Transfer-Encoding", "Upgrade"])
def test_header_of_the_connection_is_refused(served: Served, name: str) -> None:
    answer = get(served, responding(b"x", headers=[*PLAIN, (name, "close")]))
    assert answer.status_code == 500


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        ("200 OK", [("X-Name", "snow \u2603")]),
        ("200 OK", [("X Name", "x")]),
        ("200 OK", [("X-Name", "x\r\nX-Other: y")]),
        ("200 OK", [(b"X-Name", b"x")]),
        ("OK", []),
        (200, []),
    ],
    ids=["no latin-1", "no name", "line break", "bytes", "no number", "no str"],
)
def test_head_that_cannot_be_sent_is_refused(served: Served, status: Any, headers: Any) -> None:
    answer = get(served, responding(b"x", status=status, headers=headers), validated=False)
    assert answer.status_code == 500


# write()


def test_what_is_written_comes_before_what_is_returned(served: Served) -> None:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        write = start_response("200 OK", PLAIN)
        write(b"written, ")
        write(b"written again, ")
        return [b"returned"]

    assert get(served, application).text == "written, written again, returned"


def test_what_is_written_arrives_before_the_application_returns(served: Served) -> None:
    has_arrived = threading.Event()

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", PLAIN)(b"written")
        assert has_arrived.wait(PATIENCE)
        return []

    served.serve(application)
    with served.client.stream("GET", "/") as answer:
        assert next(answer.iter_raw()) == b"written"
        has_arrived.set()


# start_response


def test_start_response_may_be_called_at_the_first_chunk(served: Served) -> None:
    class Lazy:
        def __init__(self, start_response: StartResponse) -> None:
            self._start_response = start_response

        def __iter__(self) -> Iterator[bytes]:
            self._start_response("200 OK", PLAIN)
            yield b"lazy"

    assert get(served, lambda environ, start: Lazy(start), validated=False).text == "lazy"


def test_error_before_the_first_chunk_replaces_the_headers(served: Served) -> None:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [*PLAIN, ("X-First", "1"), ("Content-Length", "3")])
        try:
            raise LookupError("no such thing")
        except LookupError:
            start_response("404 Not Found", PLAIN, sys.exc_info())
        return [b"nothing here"]

    answer = get(served, application)
    assert (answer.status_code, answer.text) == (404, "nothing here")
    assert "x-first" not in answer.headers


# Lengths


def test_bytes_beyond_the_length_are_cut(served: Served) -> None:
    headers = [*PLAIN, ("Content-Length", "4")]
    assert get(served, responding(b"abc", b"def", headers=headers)).content == b"abcd"
    assert get(served, responding(b"next")).content == b"next"


def test_missing_bytes_break_the_response(served: Served) -> None:
    headers = [*PLAIN, ("Content-Length", "4")]
    served.assert_breaks(responding(b"abc", headers=headers))


def test_length_is_that_of_the_application(served: Served) -> None:
    headers = [*PLAIN, ("Content-Length", "3")]
    assert get(served, responding(b"abc", headers=headers)).headers["content-length"] == "3"


# Responses without a body


def test_head_request_has_the_headers_and_no_body(served: Served) -> None:
    served.serve(responding(b"abc", headers=[*PLAIN, ("Content-Length", "3")]))
    answer = served.client.head("/")
    assert (answer.headers["content-length"], answer.content) == ("3", b"")
    assert served.client.get("/").content == b"abc"


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_status_without_a_body_sends_none(served: Served, status: str) -> None:
    answer = get(served, responding(b"abc", status=status, headers=[("X-Name", "x")]))
    assert (answer.status_code, answer.content) == (int(status[:3]), b"")
    assert answer.headers["x-name"] == "x"
    assert get(served, responding(b"next")).content == b"next"


# Threads


def test_call_iteration_and_close_are_in_one_thread_and_context(served: Served) -> None:
    user: contextvars.ContextVar[str] = contextvars.ContextVar("user")
    step: contextvars.ContextVar[str] = contextvars.ContextVar("step")
    seen: list[tuple[str, int, str, str]] = []

    def record(where: str) -> None:
        seen.append((where, threading.get_ident(), user.get(), step.get()))

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            record("iteration")
            step.set("iterated")
            yield b"x"

        def close(self) -> None:
            record("close")

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Body:
        step.set("called")
        record("call")
        start_response("200 OK", PLAIN)
        return Body()

    adapter = WsgiToAsgi(application)

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        user.set("me")
        await adapter(scope, receive, send)

    served.serve_asgi(middleware)
    assert served.client.get("/").content == b"x"
    served.wait_idle()
    (thread,) = {thread for _, thread, _, _ in seen}
    assert thread != threading.get_ident()
    assert [(where, user, step) for where, _, user, step in seen] == [
        ("call", "me", "called"),
        ("iteration", "me", "called"),
        ("close", "me", "iterated"),
    ]


def in_threads(*calls: Callable[[], object]) -> None:
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)


def test_requests_run_at_the_same_time(served: Served) -> None:
    both_are_here = threading.Barrier(2, timeout=PATIENCE)
    answers: list[str] = []

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        both_are_here.wait()
        start_response("200 OK", PLAIN)
        return [environ["PATH_INFO"].encode()]

    served.serve(application)
    in_threads(*[
        lambda path=path: answers.append(served.client.get(path).text) for path in ("/a", "/b")
    ])  # fmt: skip
    assert sorted(answers) == ["/a", "/b"]
