"""Stateless ASGI servers, ASGI types, and helpers to test ASGI applications.

The public submodules are `compatibility`, `testing`, `timeout` and `typing`.
"""

from asgi_server.__about__ import __version__
from asgi_server._stateless import StatelessServer

__all__ = ["StatelessServer", "__version__"]
