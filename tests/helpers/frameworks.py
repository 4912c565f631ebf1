"""The same small site in each framework, as ASGI applications that know their first path segment.

The paths, below `/starlette` and so on: `plain`, `echo` (POST), `stream` (three parts), `forever`,
`broken` (raises), and where the framework has WebSockets `ws` (echo), `ws-close` (accepts and
closes) and `ws-refuse`. What is not there is the framework's own affair.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import django
import fastapi
import flask
import quart
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from asgi_wsgi import WsgiToAsgi

Application = Callable[..., Any]
PARTS = (b"one ", b"two ", b"three")


async def parts() -> AsyncIterator[bytes]:
    for part in PARTS:
        await asyncio.sleep(0)
        yield part


async def endless() -> AsyncIterator[bytes]:
    while True:
        await asyncio.sleep(0)
        yield bytes(1000)


# Starlette, with a lifespan whose state its requests read


@contextlib.asynccontextmanager
async def starlette_lifespan(app: Any) -> AsyncIterator[dict[str, Any]]:
    yield {"greeting": "hello"}


async def starlette_plain(request: Request) -> Response:
    return PlainTextResponse(request.state.greeting)


async def starlette_echo(request: Request) -> Response:
    return Response(await request.body())


async def starlette_stream(request: Request) -> Response:
    return StreamingResponse(parts())


async def starlette_forever(request: Request) -> Response:
    return StreamingResponse(endless())


async def starlette_broken(request: Request) -> Response:
    raise ValueError("broken")


async def starlette_ws(websocket: WebSocket) -> None:
    await websocket.accept(subprotocol=next(iter(websocket.scope["subprotocols"]), None))
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            await websocket.send_text(await websocket.receive_text())


async def starlette_ws_close(websocket: WebSocket) -> None:
    await websocket.accept(headers=[(b"x-y", b"z")])
    await websocket.send_bytes(b"bye")
    await websocket.close(4000, "that is all")


async def starlette_ws_refuse(websocket: WebSocket) -> None:
    await websocket.close()


def starlette_site() -> Application:
    views = {
        "plain": starlette_plain,
        "echo": starlette_echo,
        "stream": starlette_stream,
        "forever": starlette_forever,
        "broken": starlette_broken,
    }
    sockets = {
        "ws": starlette_ws,
        "ws-close": starlette_ws_close,
        "ws-refuse": starlette_ws_refuse,
    }
    return Starlette(
        lifespan=starlette_lifespan,
        routes=[
            *(Route(f"/starlette/{n}", view, methods=["GET", "POST"]) for n, view in views.items()),
            *(WebSocketRoute(f"/starlette/{n}", endpoint) for n, endpoint in sockets.items()),
        ],
    )


# FastAPI


def fastapi_site() -> Application:
    site = fastapi.FastAPI()

    @site.get("/fastapi/plain")
    def plain() -> Response:
        return PlainTextResponse("hello")

    @site.post("/fastapi/echo")
    async def echo(request: Request) -> Response:
        return Response(await request.body())

    @site.get("/fastapi/stream")
    def stream() -> Response:
        return StreamingResponse(iter(PARTS))

    @site.get("/fastapi/forever")
    async def forever() -> Response:
        return StreamingResponse(endless())

    @site.get("/fastapi/broken")
    async def broken() -> None:
        raise ValueError("broken")

    site.websocket("/fastapi/ws")(starlette_ws)
    site.websocket("/fastapi/ws-close")(starlette_ws_close)

    @site.websocket("/fastapi/ws-refuse")
    async def refuse(websocket: WebSocket) -> None:
        raise fastapi.WebSocketException(code=fastapi.status.WS_1008_POLICY_VIOLATION)

    return site


# Quart


def quart_site() -> Application:
    site = quart.Quart("quart_site")
    site.config["TESTING"] = False

    @site.get("/quart/plain")
    async def plain() -> str:
        return "hello"

    @site.post("/quart/echo")
    async def echo() -> bytes:
        return await quart.request.get_data()

    @site.get("/quart/stream")
    async def stream() -> Any:
        return parts()

    @site.get("/quart/forever")
    async def forever() -> Any:
        response = await quart.make_response(endless())
        response.timeout = None
        return response

    @site.get("/quart/broken")
    async def broken() -> str:
        raise ValueError("broken")

    @site.websocket("/quart/ws")
    async def ws() -> None:
        await quart.websocket.accept(
            subprotocol=next(iter(quart.websocket.requested_subprotocols), None)
        )
        while True:
            await quart.websocket.send(await quart.websocket.receive())

    @site.websocket("/quart/ws-close")
    async def ws_close() -> None:
        await quart.websocket.accept(headers={"x-y": "z"})
        await quart.websocket.send(b"bye")
        await quart.websocket.close(4000, "that is all")

    @site.websocket("/quart/ws-refuse")
    async def ws_refuse() -> Any:
        return "no", 403

    return site


# Flask, through the adapter


def flask_site() -> Application:
    site = flask.Flask("flask_site")

    @site.get("/flask/plain")
    def plain() -> str:
        return "hello"

    @site.post("/flask/echo")
    def echo() -> bytes:
        return flask.request.get_data()

    @site.get("/flask/stream")
    def stream() -> flask.Response:
        return flask.Response(iter(PARTS))

    @site.get("/flask/forever")
    def forever() -> flask.Response:
        return flask.Response(iter(lambda: bytes(1000), None))

    @site.get("/flask/broken")
    def broken() -> str:
        raise ValueError("broken")

    return WsgiToAsgi(site.wsgi_app)


# Django: its settings are those of the process, which has no other site


def django_plain(request: HttpRequest) -> HttpResponse:
    return HttpResponse("hello")


async def django_echo(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.body)


async def django_stream(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(parts())


async def django_forever(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(endless())


def django_broken(request: HttpRequest) -> HttpResponse:
    raise ValueError("broken")


urlpatterns = [
    path("django/plain", django_plain),
    path("django/echo", django_echo),
    path("django/stream", django_stream),
    path("django/forever", django_forever),
    path("django/broken", django_broken),
]


def django_site() -> Application:
    if not settings.configured:
        settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], LOGGING_CONFIG=None)
        django.setup()
    return get_asgi_application()


def sites() -> Iterator[tuple[str, Application]]:
    """Name and application of each."""
    yield "starlette", starlette_site()
    yield "fastapi", fastapi_site()
    yield "quart", quart_site()
    yield "flask", flask_site()
    yield "django", django_site()
