"""A tiny ASGI server, in process, and real ones: what the tests of the adapter have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from helpers.asgi_servers import SERVER_KINDS
from helpers.served import Served, serving

from asgi_wsgi import WsgiToAsgi

Message = dict[str, Any]
Scope = dict[str, Any]


class Server:
    """Serves one scope, records what the application sends and behaves as the test says."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.may_send = asyncio.Event()  # cleared: no message is taken
        self.may_send.set()
        self.refuse_after: int | None = None  # so many messages are taken, then send() fails
        self._incoming: asyncio.Queue[Message] = asyncio.Queue()
        self._changed = asyncio.Event()
        self.awaited = 0  # so many messages were asked for

    def feed(self, *messages: Message) -> None:
        for message in messages:
            self._incoming.put_nowait(message)

    async def receive(self) -> Message:
        self.awaited += 1
        self._changed.set()
        return await self._incoming.get()

    async def send(self, message: Message) -> None:
        if self.refuse_after is not None and len(self.sent) >= self.refuse_after:
            raise OSError("the connection is closed")
        self.sent.append(message)
        self._changed.set()
        await self.may_send.wait()

    async def serve(self, wsgi_application: Any, send: Any = None, **scope: Any) -> None:
        """Serve a request by a WSGI application, with the messages that are fed."""
        app = WsgiToAsgi(wsgi_application)
        await app(make_scope(**scope), self.receive, send or self.send)

    async def wait_taken(self) -> None:
        """Wait until the application has received all that was fed."""
        while not self._incoming.empty():
            await asyncio.sleep(0)
        await asyncio.sleep(0)  # and looked at it

    async def wait_sent(self, count: int) -> None:
        """Wait until the application has sent so many messages."""
        await self._wait(lambda: len(self.sent) >= count)

    async def wait_awaited(self, count: int) -> None:
        """Wait until the application has asked so many times for a message."""
        await self._wait(lambda: self.awaited >= count)

    async def _wait(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    async def call(
        self, wsgi_application: Any, chunks: Sequence[bytes] = (b"",), **scope: Any
    ) -> None:
        """Serve a request with a complete body by a WSGI application."""
        last = len(chunks) - 1
        for index, chunk in enumerate(chunks):
            more_body = index < last
            self.feed({"type": "http.request", "body": chunk, "more_body": more_body})
        await WsgiToAsgi(wsgi_application)(make_scope(**scope), self.receive, self.send)

    @property
    def status(self) -> int:
        status: int = self.sent[0]["status"]
        return status

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        headers: list[tuple[bytes, bytes]] = self.sent[0]["headers"]
        return headers

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent[1:])

    @property
    def is_complete(self) -> bool:
        return bool(self.sent) and not self.sent[-1].get("more_body", False)


def make_scope(**changes: Any) -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/",
        "raw_path": None,
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"example.org")],
        "client": ("192.0.2.1", 50000),
        "server": ("192.0.2.2", 8000),
        **changes,
    }


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture(scope="module", params=SERVER_KINDS, ids=str)
def running_server(request: pytest.FixtureRequest) -> Iterator[Served]:
    with serving(request.param) as served:
        yield served


@pytest.fixture
def served(running_server: Served) -> Iterator[Served]:
    """Serve WSGI applications under each server; no request is left running after a test."""
    yield running_server
    running_server.wait_idle()
    running_server.errors.clear()


@pytest.fixture
def http_scope() -> Callable[..., Scope]:
    """Make the scope of a GET request for `/`, with the given keys replaced."""
    return make_scope
