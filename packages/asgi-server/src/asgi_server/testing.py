"""Run an ASGI application under test, and talk to it as a server would.

| class                    | is                                                                |
|--------------------------|-------------------------------------------------------------------|
| `ApplicationCommunicator`| messages as they are, for any protocol                            |
| `HTTPCommunicator`       | one request; the response as it is sent, chunk by chunk           |
| `WebSocketCommunicator`  | one WebSocket connection                                          |
| `Lifespan`               | the start and the shutdown of the application around its requests |

All run the application in a task of its own on the event loop of the test, and wait without
polling. asyncio only.
"""

from __future__ import annotations

from asgi_server._testing.communicator import ApplicationCommunicator
from asgi_server._testing.errors import (
    ApplicationCancelledError,
    ClientDisconnectedError,
    LifespanError,
    WebSocketClosedError,
    WebSocketRefusedError,
)
from asgi_server._testing.http import HTTPCommunicator
from asgi_server._testing.lifespan import Lifespan
from asgi_server._testing.received import ReceivedAccept, ReceivedStart
from asgi_server._testing.websocket import WebSocketCommunicator

__all__ = [
    "ApplicationCancelledError",
    "ApplicationCommunicator",
    "ClientDisconnectedError",
    "HTTPCommunicator",
    "Lifespan",
    "LifespanError",
    "ReceivedAccept",
    "ReceivedStart",
    "WebSocketClosedError",
    "WebSocketCommunicator",
    "WebSocketRefusedError",
]
