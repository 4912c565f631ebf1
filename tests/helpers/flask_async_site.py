"""A Flask application with async views, which uses what frameworks have of asgiref.

Prints what it finds as JSON. For a process of its own, in which asgiref is these packages.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import threading
from typing import Any

import flask
import httpx
from asgiref.sync import sync_to_async
from asgiref.wsgi import WsgiToAsgi

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
app = flask.Flask(__name__)


class NoSuchThingError(Exception):
    """Raised by an async view, and handled by an async handler."""


@app.before_request
async def before() -> None:
    await asyncio.sleep(0)
    variable.set("set before")
    flask.g.before = "before"


@app.after_request
async def after(response: flask.Response) -> flask.Response:
    await asyncio.sleep(0)
    response.headers["X-After"] = "after"
    return response


@app.errorhandler(NoSuchThingError)
async def handle(error: NoSuchThingError) -> tuple[str, int]:
    await asyncio.sleep(0)
    return f"handled {error}", 404


@app.get("/gather")
async def gather() -> dict[str, Any]:
    """Async code below the view, which is below sync code."""
    words = await asyncio.gather(*[asyncio.sleep(0.001, word) for word in ("one", "two")])
    return {"words": words, "before": flask.g.before, "variable": variable.get()}


@app.get("/threads")
async def threads() -> dict[str, Any]:
    """Sync code below the async view runs in the thread of the sync code above it."""

    def sync_code() -> tuple[int, str]:
        return threading.get_ident(), flask.request.path

    thread, path = await sync_to_async(sync_code)()
    return {"same": thread == flask.request.environ["thread"], "path": path}


@app.get("/breaks")
async def breaks() -> str:
    raise NoSuchThingError("it")


def noting_thread(environ: Any, start_response: Any) -> Any:
    environ["thread"] = threading.get_ident()
    return app(environ, start_response)


async def over_asgi() -> list[dict[str, Any]]:
    """The answers of the application behind the WSGI adapter, ten requests at once."""
    transport = httpx.ASGITransport(WsgiToAsgi(noting_thread))
    async with httpx.AsyncClient(transport=transport, base_url="http://example.org") as client:
        answers = await asyncio.gather(*[client.get("/threads") for _ in range(10)])
    return [answer.json() for answer in answers]


def main() -> None:
    client = app.test_client()
    broken = client.get("/breaks")
    found = {
        "bridge": type(app.async_to_sync(before)).__module__,
        "gather": client.get("/gather").json,
        "after": client.get("/gather").headers["X-After"],
        "breaks": [broken.status_code, broken.text],
        "threads": client.get("/threads", environ_base={"thread": threading.get_ident()}).json,
        "over_asgi": asyncio.run(over_asgi()),
    }
    print(json.dumps(found))
