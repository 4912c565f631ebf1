"""The server's part of one HTTP request: what the application's `receive` and `send` do.

| state    | what the application may send next                         |
|----------|------------------------------------------------------------|
| START    | the start                                                  |
| BODY     | a part of the body, in any of its forms                    |
| TRAILERS | a part of the trailers, if the start has announced them    |
| COMPLETE | nothing                                                    |

and, until it is complete, early hints, pushes and debug information. What does not belong there
is refused where it is sent, as servers do: the error shows the line of the application.

Source: https://asgi.readthedocs.io/en/latest/specs/www.html ("HTTP"), and
https://asgi.readthedocs.io/en/latest/extensions.html.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Mapping
from typing import Any

from asgi_server._testing.errors import ClientDisconnectedError
from asgi_server._testing.http_messages import as_client_sees
from asgi_server._testing.server_side import ServerSide, not_expected, not_offered, type_of

__all__ = ["HTTPServerSide"]

# The name of every other message is also that of the extension that allows it.
_WITHOUT_EXTENSION = ("http.response.start", "http.response.body")
# The specification has early hints between the start and the end of the body; HTTP, and servers
# such as hypercorn, have them before the start.
_ANY_TIME = ("http.response.push", "http.response.debug", "http.response.early_hint")


class _State(enum.Enum):
    START = ("http.response.start",)
    BODY = ("http.response.body", "http.response.pathsend", "http.response.zerocopysend")
    TRAILERS = ("http.response.trailers",)
    COMPLETE = ()


class HTTPServerSide(ServerSide):
    """Gives the request to the application and takes its response.

    Args:
        scope: Of the request: its extensions, and the version of the specification, matter.
        max_unread: So many messages may be unread when `send` returns.
    """

    disconnect_type = "http.disconnect"

    def __init__(self, scope: Mapping[str, Any], max_unread: int) -> None:
        super().__init__(max_unread)
        self._extensions = scope.get("extensions") or {}
        version: str = scope["asgi"].get("spec_version", "2.0")
        self._raises_when_gone = [int(number) for number in version.split(".")] >= [2, 4]
        self._state = _State.START
        self._has_trailers = False

    async def send(self, message: Any) -> None:
        """As in `ServerSide`. Before version 2.4, a client that has gone is no error."""
        if self._client_has_gone:
            if self._raises_when_gone:
                raise ClientDisconnectedError("the client has disconnected")
            await asyncio.sleep(0)  # as in `receive()`
            return
        self._check(message)
        message = as_client_sees(message)
        self._advance(message)
        await self.output.send(message)

    def disconnect(self) -> None:
        """The client goes. What was sent before can still be read."""
        self._client_has_gone = True
        if self._state is not _State.COMPLETE:
            self._end_input()
        self.output.lift_limit()

    def _check(self, message: Any) -> None:
        kind = type_of(message)
        now = self._state.value
        if kind not in now and (kind not in _ANY_TIME or not now):
            # Of the body, the first form alone: the others need an extension.
            raise not_expected(kind, now[:1])
        if kind not in _WITHOUT_EXTENSION and kind not in self._extensions:
            raise not_offered(kind, kind)

    def _advance(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            self._has_trailers = message["trailers"]
            self._state = _State.BODY
        elif kind == "http.response.body" and not message["more_body"]:
            self._state = _State.TRAILERS if self._has_trailers else _State.COMPLETE
        elif kind == "http.response.trailers" and not message["more_trailers"]:
            self._state = _State.COMPLETE
        if self._state is _State.COMPLETE:
            self._end_input()
