"""Where an application is, for the message of a time-out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from types import FrameType
from typing import Any

__all__ = ["describe"]

# What waits on behalf of the application's own code.
_PLUMBING = ("asyncio", "asgi_server")


def describe(application: asyncio.Task[Any]) -> str:
    """Say in a few words what the application does: it has ended, or waits at a line of code."""
    if application.cancelled():
        return "it was cancelled"
    if application.done():
        return "it has ended"
    place = None
    for frame in _frames(application.get_coro()):
        module = frame.f_globals.get("__name__", "")
        if module.partition(".")[0] not in _PLUMBING:
            place = f"{frame.f_code.co_filename}:{frame.f_lineno}, in {frame.f_code.co_name}"
    return "it is running" if place is None else f"it waits at {place}"


def _frames(awaited: Any) -> Iterator[FrameType]:
    """The frames of a suspended coroutine and of all that it awaits, outermost first."""
    while awaited is not None:
        # Coroutines, generators and async generators name the same things differently.
        kind = next((k for k in ("cr", "gi", "ag") if hasattr(awaited, f"{k}_frame")), None)
        if kind is None:
            return
        frame = getattr(awaited, f"{kind}_frame")
        if frame is not None:
            yield frame
        awaited = getattr(awaited, "gi_yieldfrom" if kind == "gi" else f"{kind}_await")
