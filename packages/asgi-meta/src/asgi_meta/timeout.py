"""The time-out context manager, from asgi-server."""

from asgi_server.timeout import timeout

__all__ = ["timeout"]
