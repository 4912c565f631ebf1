"""Stateless ASGI servers, ASGI types, and helpers to test ASGI applications.

The public submodules are `compatibility`, `extensions`, `testing`, `timeout`, `typing` and
`validation`.
"""

from asgi_server.__about__ import __version__
from asgi_server._counters import ServerCounters
from asgi_server._endings import ApplicationEnd, EndCause
from asgi_server._input_queue import InputQueue
from asgi_server._instances import ApplicationDetails
from asgi_server._lifespan import LifespanError
from asgi_server._stateless import StatelessServer

__all__ = [
    "ApplicationDetails",
    "ApplicationEnd",
    "EndCause",
    "InputQueue",
    "LifespanError",
    "ServerCounters",
    "StatelessServer",
    "__version__",
]
