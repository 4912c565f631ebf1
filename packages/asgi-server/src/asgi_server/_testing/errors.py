"""What the helpers raise, to the test or to the application under test."""

from __future__ import annotations

__all__ = [
    "ApplicationCancelledError",
    "ClientDisconnectedError",
    "LifespanError",
    "WebSocketClosedError",
    "WebSocketRefusedError",
]


class ApplicationCancelledError(RuntimeError):
    """The application under test was cancelled, and not by its communicator.

    Not an `asyncio.CancelledError`: that would tell the test's own task that it was cancelled.
    """


class ClientDisconnectedError(ConnectionError):
    """Raised by `send` in the application: the client, which is the test, has gone.

    An application may let it through, as it may under a server: to the test it is no failure.

    Source: https://asgi.readthedocs.io/en/latest/specs/www.html ("Disconnected Client").
    """


class WebSocketRefusedError(ConnectionRefusedError):
    """The application has refused the connection.

    Attributes:
        status: Of the HTTP response that the client gets; 403 if the application sent
            `websocket.close`.
        headers: Of that response, as the application sent them.
        body: Of that response.
        code: Of a `websocket.close`, which no client gets to see; None for a response.
        reason: Likewise.

    Source: https://asgi.readthedocs.io/en/latest/specs/www.html ("Close"), and
    https://asgi.readthedocs.io/en/latest/extensions.html ("Websocket Denial Response").
    """

    def __init__(
        self,
        status: int,
        headers: list[tuple[bytes, bytes]],
        body: bytes,
        *,
        code: int | None = None,
        reason: str | None = None,
    ) -> None:
        how = "a response" if code is None else f"websocket.close, code {code}"
        super().__init__(f"the application refused the connection: status {status}, by {how}")
        self.status = status
        self.headers = headers
        self.body = body
        self.code = code
        self.reason = reason


class WebSocketClosedError(ConnectionError):
    """The application has closed the connection.

    Attributes:
        code: The close code.
        reason: The reason given, or an empty string.

    Source: https://asgi.readthedocs.io/en/latest/specs/www.html ("Close").
    """

    def __init__(self, code: int, reason: str) -> None:
        because = f": {reason}" if reason else ""
        super().__init__(f"the application closed the connection with code {code}{because}")
        self.code = code
        self.reason = reason


class LifespanError(RuntimeError):
    """The application could not start or shut down, and raised no exception that says why.

    Source: https://asgi.readthedocs.io/en/latest/specs/lifespan.html
    """
