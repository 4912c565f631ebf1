"""A client of one HTTP request, which sees the response as it is sent."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from asgi_server._testing.conversation import Conversation
from asgi_server._testing.http_server import HTTPServerSide
from asgi_server._testing.received import ReceivedStart
from asgi_server._testing.scopes import Headers, encode_headers, http_scope
from asgi_server.typing import HTTPScope, HTTPServerPushEvent

__all__ = ["HTTPCommunicator"]


class HTTPCommunicator(Conversation):
    """One HTTP request to an application, and its response, part by part as it is sent.

    An `async with` block. The application starts with the block, on its event loop; what it
    sends is received in the block when it is sent, so that a response that never ends can be
    tested as well. ::

        async with HTTPCommunicator(application, "GET", "/events") as http:
            start = await http.receive_start()
            assert start["status"] == 200
            assert await http.read_until(b"\\n\\n") == b"data: 1\\n\\n"

    At the end of the block the client goes: the application receives `http.disconnect`, and has
    `timeout` seconds to end. One that goes on is cancelled, and TimeoutError raised. What it
    raised is raised as well, unless the test has seen it before. If the block itself raises, the
    application is cancelled at once; the block's error is kept, and has the application's as a
    note. In any case it has ended when the block has.

    What the application raises is raised by the methods that wait for it, once all that it sent
    before was received. As with a server, `send()` waits while many messages are unread, raises
    RuntimeError for what may not be sent, and, once the client has gone, does nothing; or raises
    an OSError (`ClientDisconnectedError`), if `spec_version` in the scope is at least 2.4.

    Args:
        application: An ASGI application, single- or double-callable.
        method: Of the request.
        target: Path and query. What is not quoted is quoted.
        headers: As a mapping or as pairs, str or bytes. `host` and, with a body,
            `content-length` or `transfer-encoding` are added where they are missing.
        body: The whole, or its parts, each of which is one message; None if the test sends it
            with `send_body`.
        state: Of the lifespan (`Lifespan.state`); the scope has a copy.
        extensions: The names of those that the scope offers, such as "http.response.trailers".
        scope: Keys that the scope has besides, or instead: `root_path`, `client`, `asgi` ...
        context: The context that the application runs in; by default an empty one, since a
            server sets nothing. With `contextvars.copy_context()` it sees what the test has set.
        validate: Check the messages of both sides with `asgi_server.validation`.
        timeout: Seconds that each wait may take; None for ever.
        max_unread: So many messages may be unread when the application's `send` returns.

    Attributes:
        application: As a single-callable.
        scope: What it is called with.
        timeout: As given; it can be changed at any time.
        early_hints: The links of each early hint received so far.
        pushes: The pushes received so far.
        debug: The information of `http.response.debug` received so far.

    Raises:
        TypeError: `application` is not an ASGI application; `body` is no bytes.
        ValueError: `target` does not start with a slash.

    It can be made anywhere, without an event loop, and is used for one block.

    Source: https://asgi.readthedocs.io/en/latest/specs/www.html ("HTTP").
    """

    def __init__(
        self,
        application: Callable[..., Any],
        method: str = "GET",
        target: str = "/",
        *,
        headers: Headers = (),
        body: bytes | Iterable[bytes] | None = b"",
        state: Mapping[str, Any] | None = None,
        extensions: Iterable[str] = (),
        scope: Mapping[str, Any] | None = None,
        context: contextvars.Context | None = None,
        validate: bool = False,
        timeout: float | None = 1,
        max_unread: int = 16,
    ) -> None:
        parts = _parts(body)
        full_scope = http_scope(
            method,
            target,
            _framed(encode_headers(headers), body, (scope or {}).get("http_version", "1.1")),
            extensions=extensions,
            state=state,
            overrides=scope,
        )
        self.scope: HTTPScope = cast(HTTPScope, full_scope)
        self._server = HTTPServerSide(full_scope, max_unread)
        super().__init__(
            application,
            full_scope,
            self._server,
            context=context,
            validate=validate,
            timeout=timeout,
        )
        self.early_hints: list[list[bytes]] = []
        self.pushes: list[HTTPServerPushEvent] = []
        self.debug: dict[str, object] = {}
        self._request_is_complete = False
        self._start: ReceivedStart | None = None
        self._has_trailers = False
        self._unread = bytearray()
        self._body_is_complete = False
        self._trailers: list[tuple[bytes, bytes]] = []
        self._response_is_complete = False
        if parts is not None:
            for part, more_body in parts:
                self._put_body(part, more_body)

    # The request

    async def send_body(self, body: bytes, more_body: bool = False) -> None:
        """Send a part of the request's body, the last one unless `more_body`. Never waits.

        Args:
            body: The part; it may be empty.
            more_body: Whether another one follows.

        Raises:
            TypeError: `body` is not bytes.
            RuntimeError: The whole body was sent before, or the client has disconnected.
        """
        self._require_entered()
        if self._has_left:
            raise RuntimeError("the client has disconnected, and can send no more")
        if self._request_is_complete:
            raise RuntimeError(
                "the body was sent before: make the communicator with body=None to send it in parts"
            )
        self._put_body(_require_bytes(body), more_body)

    def disconnect(self) -> None:
        """Close the connection: the application receives `http.disconnect`.

        What was sent before can still be received. Wait for the application with `wait()`, or
        leave the block.
        """
        self._require_entered()
        if not self._has_left:
            self._has_left = True
            self._server.disconnect()

    # The response

    async def receive_early_hint(self) -> list[bytes]:
        """Wait for the next early hint, and return its links, the values of `link` headers.

        It may come before the start of the response, as in HTTP, or after it, as the
        specification has it.

        Raises:
            AssertionError: A part of the body comes first, or the application returns.
            TimeoutError, Exception: As for `receive_start`.
        """
        kind = "http.response.body" if self._unread or self._body_is_complete else None
        while kind != "http.response.early_hint":
            if kind == "http.response.body":
                raise AssertionError("the application sent no more early hints before the body")
            kind = await self._receive("an early hint")
        return self.early_hints[-1]

    async def receive_start(self) -> ReceivedStart:
        """Wait for the start of the response, and return it; `headers` are a list.

        Can be called at any time, and then returns it again.

        Raises:
            TimeoutError: It was not sent in time; the error says where the application is.
                Nothing else has changed, and it can be waited for again.
            Exception: What the application raised, once all that it sent was received.
            ApplicationCancelledError: It was cancelled, and not by the test.
            AssertionError: It has returned without sending it.
        """
        while self._start is None:
            await self._receive("http.response.start")
        return self._start

    async def receive_chunk(self) -> bytes:
        """Wait for the next part of the body; return b"" when the body is complete.

        Empty parts are skipped, as no client sees them.

        Raises:
            TimeoutError, Exception, AssertionError: As for `receive_start`.
        """
        while not self._unread and not self._body_is_complete:
            await self._receive("http.response.body")
        return self._take(len(self._unread))

    def __aiter__(self) -> HTTPCommunicator:
        """Iterate over the parts of the body that were not received yet."""
        return self

    async def __anext__(self) -> bytes:
        chunk = await self.receive_chunk()
        if not chunk:
            raise StopAsyncIteration
        return chunk

    async def read(self) -> bytes:
        """Wait for the rest of the body, and return it.

        Raises:
            TimeoutError, Exception, AssertionError: As for `receive_start`; parts that had come
                by then are kept, and received again.
        """
        while not self._body_is_complete:
            await self._receive("http.response.body")
        return await self.receive_chunk()

    async def read_until(self, separator: bytes) -> bytes:
        """Wait for the body up to a separator, and return it with the separator.

        For what comes in records: b"\\\\n\\\\n" ends a server-sent event, b"\\\\n" a line of JSON.
        Several may come in one part, and one may come in several.

        Args:
            separator: At least one byte.

        Raises:
            asyncio.IncompleteReadError: The body is complete without it; `partial` is its rest,
                which counts as received.
            ValueError: `separator` is empty.
            TimeoutError, Exception, AssertionError: As for `read`.
        """
        if not separator:
            raise ValueError("the separator is empty: use receive_chunk() for what comes next")
        searched = 0
        while (found := self._unread.find(separator, searched)) < 0:
            if self._body_is_complete:
                raise asyncio.IncompleteReadError(self._take(len(self._unread)), None)
            # The separator may begin in what is there and end in what comes.
            searched = max(0, len(self._unread) - len(separator) + 1)
            await self._receive("http.response.body")
        return self._take(found + len(separator))

    async def receive_trailers(self) -> list[tuple[bytes, bytes]]:
        """Wait for the trailers, and return them all; none if the start announces none.

        What was not received of the body is dropped. Can be called again.

        Raises:
            TimeoutError, Exception, AssertionError: As for `receive_start`.
        """
        while not self._body_is_complete:
            await self._receive("http.response.body")
        self._unread.clear()
        while not self._response_is_complete:
            await self._receive("http.response.trailers")
        return self._trailers

    # Within

    async def _receive(self, expected: str) -> str:
        """Wait for one message of the application, and take it in; return its type."""
        message = await self._next_message(expected)
        kind: str = message["type"]
        if kind == "http.response.early_hint":
            self.early_hints.append(message["links"])
        elif kind == "http.response.push":
            self.pushes.append(message)
        elif kind == "http.response.debug":
            self.debug.update(message["info"])
        elif kind == "http.response.start":
            self._start = message
            self._has_trailers = message["trailers"]
        elif kind == "http.response.body":
            self._unread += message["body"]
            self._body_is_complete = not message["more_body"]
            self._response_is_complete = self._body_is_complete and not self._has_trailers
        else:
            self._trailers += message["headers"]
            self._response_is_complete = not message["more_trailers"]
        return kind

    def _take(self, count: int) -> bytes:
        taken = bytes(self._unread[:count])
        del self._unread[:count]
        return taken

    def _put_body(self, body: bytes, more_body: bool) -> None:
        self._request_is_complete = not more_body
        message = {"type": "http.request", "body": body, "more_body": more_body}
        self._input.queue.put_nowait(message)

    @property
    def _advice_on_end(self) -> str:
        return (
            "It should end when it receives http.disconnect. If it does not receive: under"
            " spec_version 2.4 or newer in the scope's 'asgi', send() raises for it; or the test"
            " can `await cancel()` it."
        )

    def _leave(self) -> None:
        self.disconnect()


def _parts(body: bytes | Iterable[bytes] | None) -> list[tuple[bytes, bool]] | None:
    """The body as messages: content, and whether there is more. None if the test sends it."""
    if body is None:
        return None
    if isinstance(body, bytes):
        return [(body, False)]
    if isinstance(body, str):
        raise TypeError(f"body is bytes or parts that are bytes: encode {body!r}")
    # As with chunked transfer encoding, the end is known only when it comes.
    return [*((_require_bytes(part), True) for part in body), (b"", False)]


def _require_bytes(part: bytes) -> bytes:
    if not isinstance(part, bytes):
        raise TypeError(f"a part of the body is bytes, not {part!r}")
    return part


def _framed(
    headers: list[tuple[bytes, bytes]], body: bytes | Iterable[bytes] | None, version: str
) -> list[tuple[bytes, bytes]]:
    """Add what a client has to say about the length of its body."""
    if any(name in (b"content-length", b"transfer-encoding") for name, _ in headers):
        return headers
    if not isinstance(body, bytes):
        # HTTP/2 has frames for that.
        return headers if version >= "2" else [*headers, (b"transfer-encoding", b"chunked")]
    if body:
        return [*headers, (b"content-length", str(len(body)).encode())]
    return headers
