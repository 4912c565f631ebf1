"""WSGI applications for the tests of asgi-wsgi, and how the tests wait for them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

PLAIN = [("Content-Type", "text/plain")]
# How long a thread waits for what the test is about to do: over it, the test fails.
PATIENCE = 10


def hello(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", PLAIN)
    return [b"Hello ", b"world"]


class Body:
    """A response body that counts how often it is closed, by which thread."""

    def __init__(self, *chunks: Any, forever: bytes | None = None) -> None:
        self.given = 0
        self.closed_by: list[int] = []
        self.is_closed = threading.Event()
        self._chunks = chunks
        self._forever = forever

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            if callable(chunk):
                chunk()
            else:
                self.given += 1
                yield chunk
        while self._forever is not None:
            self.given += 1
            yield self._forever

    def close(self) -> None:
        self.closed_by.append(threading.get_ident())
        self.is_closed.set()


def returning(body: Any, status: str = "200 OK", headers: Any = ()) -> WSGIApplication:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        start_response(status, list(headers))
        return body

    return application


def reading(read: Callable[[Any], Any], seen: list[Any]) -> WSGIApplication:
    """An application that keeps what `read(wsgi.input)` returns or raises, and answers."""

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        try:
            seen.append(read(environ["wsgi.input"]))
        except BaseException as error:
            seen.append(error)
            raise
        return hello(environ, start_response)

    return application


def fail() -> None:
    raise LookupError("the application failed")


def patiently(event: threading.Event) -> Callable[[], None]:
    def wait() -> None:
        assert event.wait(PATIENCE)

    return wait


async def wait_set(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, PATIENCE)


async def wait_until(condition: Callable[[], bool]) -> None:
    """Let the event loop and other threads run until `condition()`; the test has a limit."""
    while not condition():
        await asyncio.sleep(0.001)


def part(body: bytes, *, more_body: bool = True) -> dict[str, Any]:
    """A part of a request body, as a server gives it."""
    return {"type": "http.request", "body": body, "more_body": more_body}


END_OF_BODY = part(b"", more_body=False)
DISCONNECT = {"type": "http.disconnect"}
