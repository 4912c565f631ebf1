"""The stateless server, from asgi-server."""

from asgi_server import StatelessServer

__all__ = ["StatelessServer"]
