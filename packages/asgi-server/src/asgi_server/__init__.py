"""Stateless ASGI servers, ASGI types, and helpers to test ASGI applications.

The public submodules are `compatibility`, `testing`, `timeout` and `typing`.
"""

from .__about__ import __version__
from ._stateless import StatelessServer

__all__ = ["StatelessServer", "__version__"]
