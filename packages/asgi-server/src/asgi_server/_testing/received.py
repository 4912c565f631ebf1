"""Messages of the application as the helpers return them: with every key, and lists for lists.

Not those of `asgi_server.typing`, where a key that has a default may be missing, so that each use
of it would have to ask.
"""

from __future__ import annotations

from typing import Literal, TypedDict

__all__ = ["ReceivedAccept", "ReceivedStart"]


class ReceivedStart(TypedDict):
    """The start of a response, as `HTTPCommunicator.receive_start` returns it.

    Source: https://asgi.readthedocs.io/en/latest/specs/www.html ("Response Start").
    """

    type: Literal["http.response.start"]
    status: int
    headers: list[tuple[bytes, bytes]]
    trailers: bool


class ReceivedAccept(TypedDict):
    """The acceptance of a connection, as `WebSocketCommunicator.connect` returns it.

    Source: https://asgi.readthedocs.io/en/latest/specs/www.html ("Accept").
    """

    type: Literal["websocket.accept"]
    subprotocol: str | None
    headers: list[tuple[bytes, bytes]]
