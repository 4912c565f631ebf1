"""The helpers of `asgi_server.testing` with applications of frameworks.

All messages of both sides are checked by the validator as well, where the framework passes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import flask
import pytest
from helpers.children import run_python
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from asgi_server.testing import (
    HTTPCommunicator,
    Lifespan,
    WebSocketCommunicator,
    WebSocketRefusedError,
)
from asgi_wsgi import WsgiToAsgi

pytestmark = pytest.mark.usefixtures("quiet_asyncio")

PATIENCE = 20  # seconds, of which an application needs none
NEWEST = {"asgi": {"version": "3.0", "spec_version": "2.5"}}


# A Starlette application


class Broadcast:
    """What is published goes to those who listen."""

    def __init__(self) -> None:
        self.listeners: list[asyncio.Queue[str]] = []

    async def listen(self) -> AsyncIterator[str]:
        queue: asyncio.Queue[str] = asyncio.Queue()
        self.listeners.append(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self.listeners.remove(queue)

    def publish(self, text: str) -> None:
        for queue in self.listeners:
            queue.put_nowait(text)


async def events(request: Request) -> Response:
    """Server-sent events, without end."""

    async def stream() -> AsyncIterator[str]:
        yield ": welcome\n\n"
        async with contextlib.aclosing(request.state.broadcast.listen()) as published:
            async for text in published:
                yield f"data: {text}\n\n"

    return StreamingResponse(stream(), media_type="text/event-stream")


async def upload(request: Request) -> Response:
    sizes = [len(chunk) async for chunk in request.stream() if chunk]
    later = BackgroundTask(request.state.broadcast.publish, "uploaded")
    return JSONResponse(sizes, background=later)


async def broken(request: Request) -> Response:
    raise LookupError("the endpoint failed")


async def chat(websocket: WebSocket) -> None:
    if "name" not in websocket.query_params:
        await websocket.send_denial_response(JSONResponse("who?", status_code=401))
        return
    await websocket.accept(subprotocol="v1")
    async for value in websocket.iter_json():
        await websocket.send_json({websocket.query_params["name"]: value})


@contextlib.asynccontextmanager
async def lifespan(application: Starlette) -> AsyncIterator[dict[str, Any]]:
    yield {"broadcast": Broadcast()}


starlette = Starlette(
    routes=[
        Route("/events", events),
        Route("/upload", upload, methods=["POST"]),
        Route("/broken", broken),
        WebSocketRoute("/chat", chat),
    ],
    lifespan=lifespan,
)


@pytest.mark.asyncio
async def test_server_sent_events_of_starlette_come_when_they_are_published() -> None:
    async with Lifespan(starlette, validate=True, timeout=PATIENCE) as running:
        broadcast = running.state["broadcast"]
        async with HTTPCommunicator(
            starlette, "GET", "/events", state=running.state, validate=True, timeout=PATIENCE
        ) as http:
            assert (await http.receive_start())["status"] == 200
            assert await http.read_until(b"\n\n") == b": welcome\n\n"
            while not broadcast.listeners:
                await asyncio.sleep(0)
            for text in ("one", "two"):
                broadcast.publish(text)
                assert await http.read_until(b"\n\n") == f"data: {text}\n\n".encode()
        # The stream has ended with its client.
        assert broadcast.listeners == []


@pytest.mark.asyncio
async def test_stream_of_starlette_that_does_not_hear_of_the_disconnect_is_found() -> None:
    """From 2.4 on Starlette relies on `send` to raise, and a stream that waits does not send."""
    async with Lifespan(starlette, validate=True, timeout=PATIENCE) as running:
        with pytest.raises(TimeoutError, match="in stream_response"):
            async with HTTPCommunicator(
                starlette, "GET", "/events", state=running.state, scope=NEWEST, timeout=PATIENCE
            ) as http:
                await http.read_until(b"\n\n")
                http.timeout = 0.01


@pytest.mark.asyncio
async def test_body_in_parts_and_background_task_of_starlette() -> None:
    async with (
        Lifespan(starlette, validate=True, timeout=PATIENCE) as running,
        HTTPCommunicator(
            starlette,
            "POST",
            "/upload",
            body=[b"ab", b"c"],
            state=running.state,
            validate=True,
            timeout=PATIENCE,
        ) as http,
        contextlib.aclosing(running.state["broadcast"].listen()) as published,
    ):
        hears = asyncio.create_task(anext(published))
        await asyncio.sleep(0)
        assert await http.read() == b"[2,1]"
        assert await hears == "uploaded"


@pytest.mark.asyncio
async def test_error_of_a_starlette_endpoint_comes_after_the_response_to_it() -> None:
    async with HTTPCommunicator(
        starlette, "GET", "/broken", validate=True, timeout=PATIENCE
    ) as http:
        assert (await http.receive_start())["status"] == 500
        assert await http.read() == b"Internal Server Error"
        with pytest.raises(LookupError, match="the endpoint failed"):
            await http.wait()


@pytest.mark.asyncio
async def test_websocket_of_starlette() -> None:
    async with WebSocketCommunicator(
        starlette, "/chat?name=Ada", subprotocols=["v1"], validate=True, timeout=PATIENCE
    ) as websocket:
        assert (await websocket.connect())["subprotocol"] == "v1"
        await websocket.send_json([1, 2])
        assert await websocket.receive_json() == {"Ada": [1, 2]}
    async with WebSocketCommunicator(
        starlette, "/chat", validate=True, timeout=PATIENCE
    ) as websocket:
        with pytest.raises(WebSocketRefusedError) as refused:
            await websocket.connect()
        assert (refused.value.status, refused.value.body) == (401, b'"who?"')


@pytest.mark.asyncio
async def test_exception_of_a_starlette_lifespan_is_raised_as_it_is() -> None:
    @contextlib.asynccontextmanager
    async def fails(application: Starlette) -> AsyncIterator[None]:
        async with asyncio.TaskGroup():
            if fails_at == "start":
                raise LookupError("at the start")
        yield
        raise LookupError("at the end")

    fails_at = "end"
    with pytest.raises(LookupError, match="at the end"):
        async with Lifespan(Starlette(lifespan=fails), validate=True, timeout=PATIENCE):
            pass
    fails_at = "start"
    with pytest.raises(ExceptionGroup) as caught:  # of Starlette's user, and no more than that
        async with Lifespan(Starlette(lifespan=fails), validate=True, timeout=PATIENCE):
            pass
    assert [str(error) for error in caught.value.exceptions] == ["at the start"]


# A Flask application


flask_application = flask.Flask(__name__)


@flask_application.route("/echo", methods=["POST"])
def echo() -> Any:
    def stream() -> Iterator[bytes]:
        for line in flask.request.stream:
            yield line.upper()

    return flask.Response(flask.stream_with_context(stream()))


@pytest.mark.asyncio
async def test_flask_answers_line_by_line() -> None:
    async with HTTPCommunicator(
        WsgiToAsgi(flask_application), "POST", "/echo", body=None, validate=True, timeout=PATIENCE
    ) as http:
        # A WSGI application starts its response with the first part of the body.
        for line in (b"one\n", b"two\n"):
            await http.send_body(line, more_body=True)
            assert await http.read_until(b"\n") == line.upper()
        await http.send_body(b"")
        assert await http.read() == b""


@pytest.mark.asyncio
async def test_adapter_of_flask_starts_and_shuts_down() -> None:
    async with Lifespan(WsgiToAsgi(flask_application), validate=True, timeout=PATIENCE) as running:
        assert running.is_supported


# A Django site, in a child: its settings are those of a process


DJANGO = """
import asyncio
from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["testserver"], LOGGING_CONFIG=None, MIDDLEWARE=[], ROOT_URLCONF=__name__,
    SECRET_KEY="for tests",
)

import django

django.setup()

from django.core.asgi import get_asgi_application
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path
from asgi_server.testing import HTTPCommunicator

closed = []


async def stream(request):
    async def numbers():
        try:
            yield "1\\n"
            yield "2\\n"
            await asyncio.get_running_loop().create_future()
        finally:
            closed.append(True)

    return StreamingHttpResponse(numbers())


def upload(request):
    return HttpResponse(request.read()[::-1])


urlpatterns = [path("stream", stream), path("upload", upload)]
application = get_asgi_application()


async def main():
    async with HTTPCommunicator(application, "GET", "/stream", timeout=20) as http:
        assert (await http.receive_start())["status"] == 200
        assert await http.read_until(b"\\n") == b"1\\n"
        assert await http.read_until(b"\\n") == b"2\\n"
        assert not closed
    assert closed
    async with HTTPCommunicator(
        application, "POST", "/upload", body=[b"ab", b"c"], timeout=20
    ) as http:
        assert await http.read() == b"cba"


asyncio.run(main())
print("tested")
"""


def test_stream_of_django_ends_with_its_client() -> None:
    child = run_python(DJANGO)
    assert (child.status, child.out, child.err) == (0, "tested\n", "")
