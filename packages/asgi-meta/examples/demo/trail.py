"""What belongs to one request, wherever its code runs: its id, and its trail so far.

`request` is a `Local`: set once, by the middleware of the ASGI application, its attributes are
there in every function that the request leads to, in sync and async code, in whatever thread;
and two requests that run at the same time never see each other's.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import asdict, dataclass
from typing import Any

from asgi_meta import Local

request = Local()


@dataclass(frozen=True)
class Step:
    """One function that a request led to, as that function saw the world."""

    what: str
    kind: str
    thread_name: str
    thread_id: int
    request_id: str


def begin(request_id: str) -> None:
    """Start the trail of a request, in the task that serves it."""
    request.id = request_id
    request.steps = []


def mark(what: str) -> None:
    """Note that the caller runs, where, and which request it believes to serve."""
    thread = threading.current_thread()
    step = Step(what, _kind_of_code(), thread.name, threading.get_native_id(), request.id)
    # Crossings hand on the list itself, not a copy: one trail for the whole request.
    request.steps.append(step)


def as_json() -> list[dict[str, Any]]:
    """Return the steps so far, to be put into a response."""
    return [asdict(step) for step in request.steps]


def from_json(steps: list[dict[str, Any]]) -> list[Step]:
    """Return the steps that a response told of."""
    return [Step(**step) for step in steps]


def _kind_of_code() -> str:
    # Not what the caller claims: async code has a running event loop in its thread, sync code
    # that was called across the bridge never has.
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return "sync"
    return "async"
