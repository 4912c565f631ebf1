"""What the server's part of a request and of a connection have in common."""

from __future__ import annotations

import abc
import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar

from asgi_server._testing.messages import Input, Output

__all__ = ["ServerSide", "not_expected", "not_offered", "type_of"]


class ServerSide(abc.ABC):
    """What the application talks to: a server's part, without the sockets.

    Args:
        max_unread: So many messages may be unread when `send` returns.

    Attributes:
        disconnect_type: The type of the message after which there is no other.
        input: The messages to the application.
        output: The messages of the application.
    """

    disconnect_type: ClassVar[str]

    def __init__(self, max_unread: int) -> None:
        self.input: Input = Input()
        self.output: Output = Output(max_unread)
        self._client_has_gone = False

    async def receive(self) -> Any:
        """Give the application its next message; the disconnect as often as it is asked for."""
        message = await self.input.receive()
        if message["type"] != self.disconnect_type:
            return message
        self.input.leave_only(message)
        # One that does not care must not keep the event loop from all else.
        await asyncio.sleep(0)
        return dict(message)

    @abc.abstractmethod
    async def send(self, message: Any) -> None:
        """Take a message of the application; wait while too many are unread.

        Raises:
            TypeError: It is no message.
            RuntimeError: It may not be sent, or not now.
            ClientDisconnectedError: The client has gone.
        """

    def _end_input(self, **details: Any) -> None:
        """Have the disconnect come behind what the application has not received yet."""
        self.input.queue.put_nowait({"type": self.disconnect_type, **details})


def type_of(message: Any) -> str:
    """Return the type of what the application sends.

    Raises:
        TypeError: It is no message.
    """
    kind = message.get("type") if isinstance(message, Mapping) else None
    if not isinstance(kind, str):
        raise TypeError(f"send() takes a dict with a 'type', and was given {message!r}")
    return kind


def not_expected(kind: str, allowed: tuple[str, ...]) -> RuntimeError:
    """Return the error for a message that may not be sent now; `allowed` are those that may."""
    expected = " or ".join(map(repr, allowed)) or "nothing more"
    return RuntimeError(f"the application sent {kind!r} where {expected} is expected")


def not_offered(kind: str, extension: str) -> RuntimeError:
    """Return the error for a message that needs an extension."""
    return RuntimeError(
        f"the application sent {kind!r}, and the scope does not offer the extension {extension!r}:"
        f" make the communicator with extensions=[{extension!r}] if it should"
    )
