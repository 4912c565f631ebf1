"""Helpers to test ASGI applications, from asgi-server."""

from asgi_server.testing import ApplicationCancelledError, ApplicationCommunicator

__all__ = ["ApplicationCancelledError", "ApplicationCommunicator"]
