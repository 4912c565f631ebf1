"""Lifespan: its messages, and their order, in which server and application take turns."""

from __future__ import annotations

from asgi_server._validation import sections
from asgi_server._validation.checks import TEXT
from asgi_server._validation.conversation import Protocol, State, Track, Unfinished
from asgi_server._validation.forms import Field, Form, by_name

__all__ = ["LIFESPAN"]

_RECEIVED = (
    Form("lifespan.startup", sections.STARTUP),
    Form("lifespan.shutdown", sections.SHUTDOWN),
)

_SENT = (
    Form("lifespan.startup.complete", sections.STARTUP_COMPLETE),
    Form("lifespan.startup.failed", sections.STARTUP_FAILED, (Field("message", TEXT),)),
    Form("lifespan.shutdown.complete", sections.SHUTDOWN_COMPLETE),
    Form("lifespan.shutdown.failed", sections.SHUTDOWN_FAILED, (Field("message", TEXT),)),
)


class Life(State):
    """How far the life of the application has come."""

    NEW = "nothing has been received"
    STARTING = "the application is starting up"
    RUNNING = "the application has started"
    STOPPING = "the application is shutting down"
    OVER = "the life of the application is over"


LIFE = Track(
    start=Life.NEW,
    table={
        Life.NEW: {"lifespan.startup": Life.STARTING},
        Life.STARTING: {
            "lifespan.startup.complete": Life.RUNNING,
            "lifespan.startup.failed": Life.OVER,
        },
        # A server accepts connections, which it must have stopped by then, only once started.
        Life.RUNNING: {"lifespan.shutdown": Life.STOPPING},
        Life.STOPPING: {
            "lifespan.shutdown.complete": Life.OVER,
            "lifespan.shutdown.failed": Life.OVER,
        },
        Life.OVER: {},
    },
    unfinished={
        Life.NEW: Unfinished(
            "ignored",
            sections.PROTOCOLS,
            "from a lifespan that it ignored: raise an exception where 'type' of the scope is"
            " 'lifespan', or the server takes it as understood",
        ),
        Life.STARTING: Unfinished(
            "startup", sections.STARTUP_COMPLETE, "without an answer to 'lifespan.startup'"
        ),
        Life.RUNNING: Unfinished(
            "running", sections.LIFESPAN_SCOPE, "without waiting for 'lifespan.shutdown'"
        ),
        Life.STOPPING: Unfinished(
            "shutdown", sections.SHUTDOWN_COMPLETE, "without an answer to 'lifespan.shutdown'"
        ),
    },
)

LIFESPAN = Protocol(
    name="lifespan",
    received=by_name(_RECEIVED),
    sent=by_name(_SENT),
    tracks=(LIFE,),
)
