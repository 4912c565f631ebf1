"""Run an ASGI application under test, and talk to it as a server would."""

from __future__ import annotations

from asgi_server._testing.communicator import ApplicationCommunicator
from asgi_server._testing.errors import ApplicationCancelledError

__all__ = ["ApplicationCancelledError", "ApplicationCommunicator"]
