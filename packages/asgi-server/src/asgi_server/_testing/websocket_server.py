"""The server's part of one WebSocket connection: the application's `receive` and `send`.

| state      | what the application may send next                               |
|------------|------------------------------------------------------------------|
| CONNECTING | the acceptance; a refusal: a close, or the start of a response   |
| DENYING    | a part of that response's body                                   |
| OPEN       | data, a close                                                    |
| CLOSED     | nothing                                                          |

What does not belong there is refused where it is sent, as servers do: the error shows the line
of the application.

Source: https://asgi.readthedocs.io/en/latest/specs/www.html ("WebSocket"), and
https://asgi.readthedocs.io/en/latest/extensions.html ("Websocket Denial Response").
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

from asgi_server._testing.errors import ClientDisconnectedError
from asgi_server._testing.server_side import ServerSide, not_expected, not_offered, type_of

__all__ = ["ABNORMAL", "DENIAL_EXTENSION", "WebSocketServerSide"]

# The code of a connection that ended without a close frame (RFC 6455, 7.1.5), and of one that
# never was.
ABNORMAL = 1006

DENIAL_EXTENSION = "websocket.http.response"


class _State(enum.Enum):
    CONNECTING = ("websocket.accept", "websocket.close", "websocket.http.response.start")
    DENYING = ("websocket.http.response.body",)
    OPEN = ("websocket.send", "websocket.close")
    CLOSED = ()


class WebSocketServerSide(ServerSide):
    """Gives the client's messages to the application and takes its own.

    Args:
        scope: Of the connection: its extensions matter.
        max_unread: So many messages may be unread when `send` returns.
    """

    disconnect_type = "websocket.disconnect"

    def __init__(self, scope: Mapping[str, Any], max_unread: int) -> None:
        super().__init__(max_unread)
        self._offers_denial = DENIAL_EXTENSION in (scope.get("extensions") or {})
        self._state = _State.CONNECTING

    async def send(self, message: Any) -> None:
        """As in `ServerSide`."""
        if self._client_has_gone:
            raise ClientDisconnectedError("the client has closed the connection")
        self._check(message)
        message = _as_client_sees(message)
        self._advance(message)
        await self.output.send(message)

    def disconnect(self, code: int, reason: str) -> None:
        """The client goes. What was sent before can still be read."""
        self._client_has_gone = True
        if self._state is not _State.CLOSED:
            self._end_input(code=code, reason=reason)
        self.output.lift_limit()

    def _check(self, message: Any) -> None:
        kind = type_of(message)
        if kind not in self._state.value:
            raise not_expected(kind, self._state.value)
        if kind == "websocket.http.response.start" and not self._offers_denial:
            raise not_offered(kind, DENIAL_EXTENSION)

    def _advance(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "websocket.accept":
            self._state = _State.OPEN
        elif kind == "websocket.http.response.start":
            self._state = _State.DENYING
        elif kind == "websocket.close":
            was_open = self._state is _State.OPEN
            self._close(message["code"] if was_open else ABNORMAL, message["reason"])
        elif kind == "websocket.http.response.body" and not message["more_body"]:
            self._close(ABNORMAL, "")

    def _close(self, code: int, reason: str) -> None:
        self._state = _State.CLOSED
        self._end_input(code=code, reason=reason)


def _as_client_sees(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy with all keys that it may have, which stays as it is.

    Raises:
        TypeError: It has neither text nor bytes, or both.
    """
    kind: str = message["type"]
    result = {**_DEFAULTS[kind], **message}
    if "headers" in result:
        result["headers"] = [(name, value) for name, value in result["headers"]]
    if kind == "websocket.close":
        result["reason"] = result["reason"] or ""
    if kind == "websocket.send":
        text, data = result["text"], result["bytes"]
        if (text is None) == (data is None):
            raise TypeError(f"websocket.send has either text or bytes, unlike {message!r}")
        if not (isinstance(text, str) or isinstance(data, bytes)):
            raise TypeError(
                f"in websocket.send, text is str, and bytes is bytes, unlike {message!r}"
            )
    return result


_DEFAULTS: dict[str, dict[str, Any]] = {
    "websocket.accept": {"subprotocol": None, "headers": ()},
    "websocket.send": {"text": None, "bytes": None},
    "websocket.close": {"code": 1000, "reason": ""},
    "websocket.http.response.start": {"headers": ()},
    "websocket.http.response.body": {"body": b"", "more_body": False},
}
