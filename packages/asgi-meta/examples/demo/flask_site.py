"""A Flask site whose views call async code, and whose responses stream.

Nothing here is special to the bridge but `async_to_sync`: a view that calls it waits, in its
worker thread, for a coroutine on the server's own event loop.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from typing import Any

from flask import Flask, Response
from flask import request as flask_request

from asgi_meta import async_to_sync
from demo import trail
from demo.notes import Notes

PIECE = 64 * 1024  # what one read() of an upload asks for; a guess


class Countdowns:
    """Responses that stream: each waits, after every line, until its reader has got it."""

    def __init__(self) -> None:
        self._got: dict[str, asyncio.Queue[None]] = {}

    def lines(self, name: str) -> Iterator[str]:
        """Yield the lines of one response, from the thread that sends them."""
        got = self._got.setdefault(name, asyncio.Queue())
        try:
            for number in (3, 2, 1):
                yield f"{number}\n"
                # The line has left when the generator goes on. Wait for the reader, though:
                # this ends only if nobody on the way keeps lines back.
                async_to_sync(got.get)()
            yield "lift-off\n"
        finally:
            del self._got[name]

    async def acknowledge(self, name: str) -> bool:
        """Let the response called `name` go on to its next line; false if there is none."""
        if name not in self._got:
            return False
        self._got[name].put_nowait(None)
        return True


class MeetingPoint:
    """Where coroutines wait until so many have come."""

    def __init__(self) -> None:
        self._barriers: dict[int, asyncio.Barrier] = {}

    async def meet(self, size: int) -> None:
        """Wait until `size` coroutines are waiting here."""
        barrier = self._barriers.setdefault(size, asyncio.Barrier(size))
        await barrier.wait()


def make_site(notes: Notes) -> Flask:
    """Return the site: a WSGI application like any other.

    Long, since its views are functions in here: they share the parts that are made first.
    """
    site = Flask("demo.flask_site")
    countdowns = Countdowns()
    meeting_point = MeetingPoint()

    @site.get("/overview")
    def overview() -> dict[str, Any]:
        trail.mark("Flask view")
        numbers = async_to_sync(collect)(notes)
        trail.mark("Flask view, afterwards")
        return {**numbers, "steps": trail.as_json()}

    @site.post("/upload")
    def upload() -> dict[str, Any]:
        trail.mark("Flask view")
        digest = hashlib.sha256()
        size = 0
        while piece := flask_request.stream.read(PIECE):
            digest.update(piece)
            size += len(piece)
        return {"bytes": size, "sha256": digest.hexdigest(), "steps": trail.as_json()}

    @site.get("/countdown/<name>")
    def countdown(name: str) -> Response:
        return Response(countdowns.lines(name), mimetype="text/plain")

    @site.post("/countdown/<name>/acknowledge")
    def acknowledge(name: str) -> tuple[str, int]:
        return "", 204 if async_to_sync(countdowns.acknowledge)(name) else 404

    @site.get("/meeting/<int:size>")
    def meeting(size: int) -> dict[str, Any]:
        trail.mark("Flask view")
        async_to_sync(meeting_point.meet)(size)
        trail.mark("Flask view, afterwards")
        return {"steps": trail.as_json()}

    @site.get("/broken")
    def broken() -> dict[str, Any]:
        async_to_sync(ask_broken_service)()
        return {}

    return site


async def collect(notes: Notes) -> dict[str, int]:
    """Collect the numbers of the overview, on the event loop."""
    trail.mark("async code, called by the view")
    return await notes.overview()


async def ask_broken_service() -> None:
    """Fail, as services do."""
    raise ConnectionError("the service is not there")
