"""A client of one WebSocket connection."""

from __future__ import annotations

import contextvars
import json
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Literal, cast

from asgi_server._testing.conversation import Conversation
from asgi_server._testing.errors import WebSocketClosedError, WebSocketRefusedError
from asgi_server._testing.received import ReceivedAccept
from asgi_server._testing.scopes import Headers, encode_headers, websocket_scope
from asgi_server._testing.websocket_server import ABNORMAL, DENIAL_EXTENSION, WebSocketServerSide
from asgi_server.typing import WebSocketScope

__all__ = ["WebSocketCommunicator"]


class WebSocketCommunicator(Conversation):
    """One WebSocket connection to an application.

    An `async with` block. The application starts with the block, on its event loop, and with
    `connect()` the connection is open. ::

        async with WebSocketCommunicator(application, "/chat", subprotocols=["v1"]) as websocket:
            accepted = await websocket.connect()
            assert accepted["subprotocol"] == "v1"
            await websocket.send_text("hello")
            assert await websocket.receive_text() == "hello"

    At the end of the block the client closes what is open: the application receives
    `websocket.disconnect`, and has `timeout` seconds to end. One that goes on is cancelled, and
    TimeoutError raised. What it raised is raised as well, unless the test has seen it before.
    If the block itself raises, the application is cancelled at once; the block's error is kept,
    and has the application's as a note. In any case it has ended when the block has.

    What the application raises is raised by the methods that wait for it, once all that it sent
    before was received. As with a server, `send()` waits while many messages are unread, raises
    RuntimeError for what may not be sent, and an OSError (`ClientDisconnectedError`) once the
    client has gone.

    Args:
        application: An ASGI application, single- or double-callable.
        target: Path and query. What is not quoted is quoted.
        headers: As a mapping or as pairs, str or bytes. `host` is added where it is missing.
        subprotocols: Those that the client offers, in its order of preference.
        state: Of the lifespan (`Lifespan.state`); the scope has a copy.
        extensions: The names of those that the scope offers; by default the one that lets the
            application refuse with a response of its own.
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

    Raises:
        TypeError: `application` is not an ASGI application.
        ValueError: `target` does not start with a slash.

    It can be made anywhere, without an event loop, and is used for one block.

    Source: https://asgi.readthedocs.io/en/latest/specs/www.html ("WebSocket").
    """

    def __init__(
        self,
        application: Callable[..., Any],
        target: str = "/",
        *,
        headers: Headers = (),
        subprotocols: Iterable[str] = (),
        state: Mapping[str, Any] | None = None,
        extensions: Iterable[str] = (DENIAL_EXTENSION,),
        scope: Mapping[str, Any] | None = None,
        context: contextvars.Context | None = None,
        validate: bool = False,
        timeout: float | None = 1,
        max_unread: int = 16,
    ) -> None:
        full_scope = websocket_scope(
            target,
            encode_headers(headers),
            subprotocols=subprotocols,
            extensions=extensions,
            state=state,
            overrides=scope,
        )
        self.scope: WebSocketScope = cast(WebSocketScope, full_scope)
        self._server = WebSocketServerSide(full_scope, max_unread)
        super().__init__(
            application,
            full_scope,
            self._server,
            context=context,
            validate=validate,
            timeout=timeout,
        )
        self._accepted: ReceivedAccept | None = None
        self._denial: dict[str, Any] = {}
        self._denial_body = b""
        # How the application has ended the connection, once the test has received that. Not the
        # error itself, which would refer to this by way of the frames that it was raised in.
        self._refusal: Callable[[], WebSocketRefusedError] | None = None
        self._end: Callable[[], WebSocketClosedError] | None = None
        self._input.queue.put_nowait({"type": "websocket.connect"})

    async def connect(self) -> ReceivedAccept:
        """Wait until the application accepts; return its message, with all keys.

        Can be called at any time, and then returns or raises the same again.

        Raises:
            WebSocketRefusedError: It refuses; the error says how.
            TimeoutError: It does neither in time; the error says where it is. Nothing else has
                changed, and it can be waited for again.
            Exception: What the application raised, once all that it sent was received.
            ApplicationCancelledError: It was cancelled, and not by the test.
            AssertionError: It has returned and done neither.
        """
        while self._accepted is None:
            if self._refusal is not None:
                raise self._refusal()
            self._take_answer(await self._next_message("websocket.accept"))
        return self._accepted

    async def send_text(self, text: str) -> None:
        """Send a text message. Never waits.

        Args:
            text: The whole message.

        Raises:
            TypeError: `text` is not a str.
            RuntimeError: The connection is not open: `connect()` has not returned, or the test
                has closed it.
            WebSocketClosedError: The application has closed it, and the test has received that.
        """
        if not isinstance(text, str):
            raise TypeError(f"a text message is a str, not {text!r}")
        self._put({"type": "websocket.receive", "text": text})

    async def send_bytes(self, data: bytes) -> None:
        """Send a binary message. Otherwise as `send_text`.

        Args:
            data: The whole message.

        Raises:
            TypeError: `data` is not bytes.
        """
        if not isinstance(data, bytes):
            raise TypeError(f"a binary message is bytes, not {data!r}")
        self._put({"type": "websocket.receive", "bytes": data})

    async def send_json(self, value: object, mode: Literal["text", "bytes"] = "text") -> None:
        """Send a value as JSON. Otherwise as `send_text`.

        Args:
            value: What `json.dumps` takes; what that raises is raised here.
            mode: Whether it goes in a text or in a binary message.
        """
        encoded = json.dumps(value)
        if mode == "text":
            await self.send_text(encoded)
        else:
            await self.send_bytes(encoded.encode())

    async def receive(self) -> str | bytes:
        """Wait for the next message of the application.

        Raises:
            WebSocketClosedError: The application has closed the connection.
            RuntimeError: `connect()` has not returned, or the test has closed the connection
                and all that was sent before was received.
            TimeoutError: Nothing was sent in time; the error says where the application is.
                Nothing else has changed, and it can be waited for again.
            Exception: What the application raised, once all that it sent was received.
            ApplicationCancelledError: It was cancelled, and not by the test.
            AssertionError: It has returned and not closed the connection.
        """
        self._require_accepted()
        message = await self._next_message("websocket.send")
        if message["type"] == "websocket.close":
            self._end = partial(WebSocketClosedError, message["code"], message["reason"])
            raise self._end()
        result: str | bytes = message["bytes"] if message["text"] is None else message["text"]
        return result

    async def receive_text(self) -> str:
        """Wait for a text message. Otherwise as `receive`.

        Raises:
            AssertionError: A binary one comes.
        """
        message = await self.receive()
        if not isinstance(message, str):
            raise _unexpected("a text message", message)
        return message

    async def receive_bytes(self) -> bytes:
        """Wait for a binary message. Otherwise as `receive`.

        Raises:
            AssertionError: A text message comes.
        """
        message = await self.receive()
        if not isinstance(message, bytes):
            raise _unexpected("a binary message", message)
        return message

    async def receive_json(self, mode: Literal["text", "bytes"] = "text") -> Any:
        """Wait for a message of that kind, and return the value that it is as JSON.

        Otherwise as `receive`.

        Args:
            mode: Whether a text or a binary message is to come.

        Raises:
            AssertionError: A message of the other kind comes.
            json.JSONDecodeError: It is no JSON.
        """
        return json.loads(await (self.receive_text() if mode == "text" else self.receive_bytes()))

    async def receive_close(self) -> WebSocketClosedError:
        """Wait until the application closes the connection; return the code and the reason.

        Raises:
            AssertionError: It sends data instead, or returns without closing.
            TimeoutError, Exception: As for `receive`.
        """
        try:
            message = await self.receive()
        except WebSocketClosedError as closed:
            return closed
        raise _unexpected("a close", message)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection: the application receives `websocket.disconnect`.

        What was sent before can still be received. Before `connect()` has returned, this breaks
        the connection off, and the code is 1006. Wait for the application with `wait()`, or
        leave the block.

        Args:
            code: The status code of the close, as in RFC 6455, section 7.4.
            reason: In words.
        """
        self._require_entered()
        if self._has_left:
            return
        self._has_left = True
        if self._accepted is None:
            code, reason = ABNORMAL, ""
        self._server.disconnect(code, reason)

    # Within

    def _take_answer(self, message: dict[str, Any]) -> None:
        """Take in a message that accepts or refuses the connection, or a part of a refusal."""
        kind = message["type"]
        if kind == "websocket.accept":
            self._accepted = cast(ReceivedAccept, message)
        elif kind == "websocket.close":
            # What a client gets to see is prescribed.
            self._refusal = partial(
                WebSocketRefusedError,
                403,
                [],
                b"",
                code=message["code"],
                reason=message["reason"],
            )
        elif kind == "websocket.http.response.start":
            self._denial = message
        else:
            self._denial_body += message["body"]
            if not message["more_body"]:
                status, headers = self._denial["status"], self._denial["headers"]
                self._refusal = partial(WebSocketRefusedError, status, headers, self._denial_body)

    def _put(self, message: dict[str, str | bytes]) -> None:
        self._require_accepted()
        if self._has_left:
            raise RuntimeError("the test has closed the connection, and can send no more")
        self._input.queue.put_nowait(message)

    def _require_accepted(self) -> None:
        self._require_entered()
        if self._refusal is not None:
            raise self._refusal()
        if self._end is not None:
            raise self._end()
        if self._accepted is None:
            raise RuntimeError("the connection is not open: call connect() first")

    @property
    def _advice_on_end(self) -> str:
        return (
            "It should end when it receives websocket.disconnect, or when send() raises; or the"
            " test can `await cancel()` it."
        )

    def _leave(self) -> None:
        self.close()


def _unexpected(expected: str, message: str | bytes) -> AssertionError:
    return AssertionError(f"expected {expected}, and the application sent {message!r}")
