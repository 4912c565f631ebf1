"""What happens under every server when the application fails or the client goes away.

Errors before and after the first byte; close(); clients that go away.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import httpx
import pytest
from helpers.served import Served
from helpers.server_threads import PATIENCE

PLAIN = [("Content-Type", "text/plain")]


class Body:
    """Chunks that count how often they are closed; an exception among them is raised."""

    def __init__(self, *chunks: bytes | Exception, forever: bytes = b"") -> None:
        self.closed = 0
        self.is_closed = threading.Event()
        self._chunks = chunks
        self._forever = forever

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk
        while self._forever:
            yield self._forever

    def close(self) -> None:
        self.closed += 1
        self.is_closed.set()


def returning(body: Body) -> WSGIApplication:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Body:
        start_response("200 OK", PLAIN)
        return body

    return application


# Errors of the application


def test_error_of_the_call_is_a_500(served: Served) -> None:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        raise LookupError("the application failed")

    served.serve(application)
    assert served.client.get("/").status_code == 500
    assert [str(error) for error in served.errors] == ["the application failed"]
    served.assert_goes_on()


@pytest.mark.parametrize("error", [SystemExit, asyncio.CancelledError])
def test_exit_of_the_application_is_a_500(served: Served, error: type[BaseException]) -> None:
    """The server goes on, and the client does not wait."""

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        raise error("of the application")

    served.serve(application)
    assert served.client.get("/").status_code == 500
    served.assert_goes_on()


def test_error_before_the_first_chunk_is_a_500(served: Served) -> None:
    body = Body(b"", LookupError("the application failed"))
    served.serve(returning(body))
    assert served.client.get("/").status_code == 500
    served.wait_idle()
    assert body.closed == 1
    served.assert_goes_on()


def test_error_after_the_first_chunk_breaks_the_response(served: Served) -> None:
    body = Body(b"first", LookupError("the application failed"))
    served.assert_breaks(returning(body))
    served.wait_idle()
    assert body.closed == 1
    served.assert_goes_on()


def test_exc_info_after_the_first_chunk_breaks_the_response(served: Served) -> None:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        yield b"first"
        try:
            raise LookupError("too late for an error page")
        except LookupError:
            start_response("500 Error", PLAIN, sys.exc_info())
        yield b"never sent"

    served.assert_breaks(application)
    served.assert_goes_on()


def test_error_of_close_is_raised_to_the_server(served: Served) -> None:
    class Failing(Body):
        def close(self) -> None:
            super().close()
            raise LookupError("close failed")

    body = Failing(b"whole")
    served.serve(returning(body))
    # A server may see the error before it has sent the end, or close the connection after it.
    with served.connect() as client, contextlib.suppress(httpx.RemoteProtocolError):
        assert client.get("/").content == b"whole"
    served.wait_idle()
    assert [str(error) for error in served.errors] == ["close failed"]
    assert body.closed == 1
    served.assert_goes_on()


BREAKS: dict[str, Any] = {
    "no start_response": lambda environ, start_response: [b"x"],
    "no iterable": lambda environ, start_response: start_response("200 OK", []) and None,
    "no bytes": lambda environ, start_response: start_response("200 OK", []) and ["text"],
    "started twice": lambda environ, start_response: (
        start_response("200 OK", []) and start_response("200 OK", []) and [b"x"]
    ),
}


@pytest.mark.parametrize("application", BREAKS.values(), ids=BREAKS.keys())
def test_application_that_breaks_the_rules_is_a_500(served: Served, application: Any) -> None:
    served.serve(application, validated=False)
    assert served.client.get("/").status_code == 500
    served.assert_goes_on()


# close()


def test_close_is_called_once_after_the_last_chunk(served: Served) -> None:
    body = Body(b"one", b"two")
    served.serve(returning(body))
    assert served.client.get("/").content == b"onetwo"
    served.wait_idle()
    assert body.closed == 1


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_close_is_called_once_where_the_body_is_not_wanted(served: Served, method: str) -> None:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Body:
        start_response("200 OK", [*PLAIN, ("Content-Length", "3")])
        return body

    body = Body(b"one", b"two")
    served.serve(application)
    served.client.request(method, "/")
    served.wait_idle()
    assert body.closed == 1


# Clients that go away


class ClientFailedError(Exception):
    pass


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail if anything is logged above debug."""
    with caplog.at_level(logging.DEBUG):
        yield
    assert [r for r in caplog.records if r.levelno > logging.DEBUG and "httpx" not in r.name] == []


def test_client_that_goes_away_while_it_reads_stops_the_application(
    served: Served, quiet: None
) -> None:
    body = Body(forever=bytes(10_000))
    served.serve(returning(body))
    with served.connect() as client, client.stream("GET", "/") as answer:
        assert next(answer.iter_raw())
    assert body.is_closed.wait(PATIENCE)
    served.wait_idle()
    assert body.closed == 1
    served.assert_goes_on()


def test_client_that_goes_away_from_a_large_list_ends_the_request(
    served: Served, quiet: None
) -> None:
    """All of which the application has given by then; hypercorn's `send` may never return."""
    chunks = [bytes(500_000)] * 40

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", PLAIN)
        return chunks

    served.serve(application)
    with served.connect() as client, client.stream("GET", "/") as answer:
        assert next(answer.iter_raw())
    served.wait_idle()


def test_client_that_goes_away_is_noticed_by_an_application_that_yields_nothing(
    served: Served, quiet: None
) -> None:
    """At an empty chunk, too, of which nothing would be sent."""
    give_up = threading.Event()

    class Idle(Body):
        def __iter__(self) -> Iterator[bytes]:
            yield b"first"
            while not give_up.is_set():
                yield b""

    body = Idle()
    served.serve(returning(body))
    try:
        with served.connect() as client, client.stream("GET", "/") as answer:
            assert next(answer.iter_raw()) == b"first"
        assert body.is_closed.wait(PATIENCE)
    finally:
        give_up.set()


def read_to_the_end(served: Served, chunks: Any) -> list[Any]:
    """Send an upload that fails on the way, and return what the application's reads did."""
    outcome: list[Any] = []
    has_ended = threading.Event()

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        stream = environ["wsgi.input"]
        try:
            outcome.append(stream.read(5))
            chunks.is_read.set()
            outcome.append(stream.read(1_000))
        except BaseException as error:
            outcome.append(error)
            raise
        finally:
            has_ended.set()
        start_response("200 OK", PLAIN)
        return [b"complete"]

    served.serve(application)
    with served.connect() as client, pytest.raises(ClientFailedError):
        client.post("/", content=chunks)
    assert has_ended.wait(PATIENCE)
    served.wait_idle()
    return outcome


class FailingUpload:
    """Chunks of an upload whose client fails once the application has read the first."""

    def __init__(self) -> None:
        self.is_read = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        yield b"first"
        assert self.is_read.wait(PATIENCE)
        raise ClientFailedError


def test_client_that_goes_away_while_it_sends_fails_the_next_read(
    served: Served, quiet: None
) -> None:
    first, error = read_to_the_end(served, FailingUpload())
    assert first == b"first"
    assert isinstance(error, OSError)
    served.assert_goes_on()
