"""The ASGI application: middleware, routing, and what lives as long as the server does."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from asgi_meta import WsgiToAsgi
from asgi_meta.typing import (
    ASGI3Application,
    ASGIReceiveCallable,
    ASGISendCallable,
    ASGISendEvent,
    HTTPScope,
    LifespanScope,
    Scope,
)
from demo import trail, web
from demo.chat_server import ChatServer, running_chat
from demo.flask_site import make_site
from demo.notes import Notes

REQUEST_ID = b"x-request-id"


class RequestIds:
    """Middleware that gives each request an id: that of its header, or a new one."""

    def __init__(self, application: ASGI3Application) -> None:
        self._application = application

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        """Serve one scope by the application."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        trail.begin(web.header(scope, REQUEST_ID) or uuid.uuid4().hex)
        trail.mark("ASGI middleware")

        async def send_with_id(event: ASGISendEvent) -> None:
            if event["type"] == "http.response.start":
                # Read from the Local again: it must be what it was before the request went
                # through other threads.
                request_id = (REQUEST_ID, trail.request.id.encode("latin-1"))
                event["headers"] = [*event.get("headers", ()), request_id]
            await send(event)

        await self._application(scope, receive, send_with_id)


# So many views may run, and wait for each other, at a time.
SITE_THREADS = 40


class Application:
    """The parts, and which path leads to which."""

    def __init__(self, database: Path) -> None:
        self._notes = Notes(database, announce=self._announce)
        self._site = WsgiToAsgi(make_site(self._notes), max_workers=SITE_THREADS)
        self._chat: ChatServer

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        """Serve one scope."""
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        elif scope["type"] == "http":
            await self._route(scope, receive, send)
        else:
            raise ValueError(f"this application serves HTTP, not {scope['type']}")

    async def _route(
        self, scope: HTTPScope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        part = scope["path"].split("/")[1]
        if part == "site":
            # `root_path` says where the site is mounted; Flask sees paths below it.
            await self._site({**scope, "root_path": "/site"}, receive, send)
        elif part == "notes":
            await self._notes(scope, receive, send)
        elif part == "chat":
            host, port = self._chat.address
            await web.send_json(send, {"host": host, "port": port, "steps": trail.as_json()})
        else:
            await web.send_json(send, {"parts": ["/notes", "/site/overview", "/chat"]}, status=404)

    async def _live(
        self, _scope: LifespanScope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        await receive()  # lifespan.startup
        async with running_chat() as self._chat:
            await self._notes.prepare()
            await send({"type": "lifespan.startup.complete"})
            await receive()  # lifespan.shutdown
        await send({"type": "lifespan.shutdown.complete"})

    async def _announce(self, text: str) -> None:
        trail.mark("async announcement, called by it")
        await self._chat.announce(text)


def make_application(database: Path) -> Any:
    """Return the whole ASGI application; `database` is a file that does not exist yet."""
    return RequestIds(Application(database))
