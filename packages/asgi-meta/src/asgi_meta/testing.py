"""Helpers to test ASGI applications, from asgi-server."""

from asgi_server.testing import ApplicationCommunicator

__all__ = ["ApplicationCommunicator"]
