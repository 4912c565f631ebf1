"""The ASGI servers that tests run applications under, and clients of them.

Each server runs in a thread of the test's own process, so that a test and its application can
share events. Its socket listens before its thread is started: a client can connect at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import httpx
import hypercorn.asyncio
import hypercorn.config
import uvicorn

from helpers.in_process import InProcessTransport
from helpers.server_threads import PATIENCE, event_loop_of, thread_of

Connect = Callable[[], httpx.Client]

# Never used: but a client without one reads all the certificates that there are, in 50 ms.
_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@dataclass(frozen=True)
class ServerKind:
    """A server, and how it is set up.

    Attributes:
        name: For the names of tests.
        start: Serves an ASGI application below a root path.
        is_http2: Whether it speaks HTTP/2, and its clients nothing else.
        ends_broken_responses: Whether its client is told at once that a response has failed
            after its start, not only when the connection ends.
    """

    name: str
    start: Callable[[Any, str], AbstractContextManager[Connect]]
    is_http2: bool = False
    ends_broken_responses: bool = True

    def __str__(self) -> str:
        return self.name


@contextlib.contextmanager
def _in_process(application: Any, root_path: str) -> Iterator[Connect]:
    with event_loop_of(asyncio.Event.wait) as loop:
        transport = InProcessTransport(application, loop, root_path)
        yield lambda: httpx.Client(transport=transport, base_url="http://127.0.0.1")


def _uvicorn(
    http: str, loop: str, ws: str = "auto"
) -> Callable[[Any, str], AbstractContextManager[Connect]]:
    @contextlib.contextmanager
    def start(application: Any, root_path: str) -> Iterator[Connect]:
        config = uvicorn.Config(
            application,
            http=http,
            loop=loop,
            ws=ws,
            lifespan="on",
            log_config=None,
            access_log=False,
            root_path=root_path,
            timeout_graceful_shutdown=PATIENCE // 2,
            # Or on a slow machine a client's connection is closed just as it is used again.
            timeout_keep_alive=PATIENCE,
        )
        server = uvicorn.Server(config)
        with _listening_socket() as listener:
            url = _url_of(listener)
            with thread_of(lambda: server.run(sockets=[listener])):
                try:
                    yield lambda: httpx.Client(base_url=url, timeout=PATIENCE, verify=_TLS)
                finally:
                    server.should_exit = True

    return start


def _hypercorn(
    http2: bool, holds_back: bool = True
) -> Callable[[Any, str], AbstractContextManager[Connect]]:
    @contextlib.contextmanager
    def start(application: Any, root_path: str) -> Iterator[Connect]:
        listener = _listening_socket()
        url = _url_of(listener)
        config = hypercorn.config.Config()
        config.bind = [f"fd://{listener.detach()}"]
        config.root_path = root_path
        config.errorlog = None
        config.graceful_timeout = PATIENCE / 2
        config.keep_alive_timeout = PATIENCE

        served = _ending_after_its_request(application) if holds_back else application

        async def serve(stopped: asyncio.Event) -> None:
            await hypercorn.asyncio.serve(
                served, config, shutdown_trigger=stopped.wait, mode="asgi"
            )

        with event_loop_of(serve):
            yield lambda: httpx.Client(
                base_url=url, timeout=PATIENCE, verify=_TLS, http1=not http2, http2=http2
            )

    return start


def _ending_after_its_request(application: Any) -> Any:
    """Hold back the end of each response until its request has ended.

    hypercorn (0.18) closes the connection of an HTTP/1.1 request that has not ended by then, which
    a client may be about to use again. It forgets such an HTTP/2 stream, and closes the whole
    connection when more of the request comes, be it but the empty frame that ends it.
    """

    async def held_back(scope: Any, receive: Any, send: Any) -> None:
        messages: asyncio.Queue[Any] = asyncio.Queue()
        has_ended = asyncio.Event()

        async def pass_on_messages() -> None:
            while True:
                message = await receive()
                if not message.get("more_body"):
                    has_ended.set()
                await messages.put(message)

        async def send_after_the_request(message: Any) -> None:
            if message["type"] == "http.response.body" and not message.get("more_body"):
                await has_ended.wait()
            await send(message)

        passing_on = asyncio.create_task(pass_on_messages())
        try:
            await application(scope, messages.get, send_after_the_request)
        finally:
            passing_on.cancel()

    return held_back


def _listening_socket() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def _url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()
    return f"http://{host}:{port}"


IN_PROCESS = ServerKind("in process", _in_process)
UVICORN_H11 = ServerKind("uvicorn h11", _uvicorn("h11", "asyncio"))
# And another event loop where there is one.
_LOOP = "asyncio" if sys.platform == "win32" else "uvloop"
UVICORN_HTTPTOOLS = ServerKind("uvicorn httptools", _uvicorn("httptools", _LOOP))
HYPERCORN = ServerKind("hypercorn HTTP/1.1", _hypercorn(http2=False))
HYPERCORN_HTTP2 = ServerKind(
    "hypercorn HTTP/2", _hypercorn(http2=True), is_http2=True, ends_broken_responses=False
)
SERVER_KINDS = (IN_PROCESS, UVICORN_H11, UVICORN_HTTPTOOLS, HYPERCORN, HYPERCORN_HTTP2)

# Nothing of ours between the application and the server, which has WebSockets but over HTTP/2.
BARE_SERVER_KINDS = (
    ServerKind("uvicorn h11, websockets", _uvicorn("h11", "asyncio", "websockets-sansio")),
    ServerKind("uvicorn httptools, wsproto", _uvicorn("httptools", _LOOP, "wsproto")),
    ServerKind("hypercorn bare HTTP/1.1", _hypercorn(http2=False, holds_back=False)),
    ServerKind("hypercorn bare HTTP/2", _hypercorn(http2=True, holds_back=False), is_http2=True),
)
