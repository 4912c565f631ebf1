"""Right ASGI scopes and messages, to be made wrong one at a time; and who plays both sides."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from asgi_server.validation import validator

Message = dict[str, Any]

EXTENSIONS = {
    "http.response.debug": {},
    "http.response.early_hint": {},
    "http.response.pathsend": {},
    "http.response.push": {},
    "http.response.trailers": {},
    "http.response.zerocopysend": {},
    "websocket.http.response": {},
}
TLS = {
    "server_cert": "-----BEGIN CERTIFICATE-----",
    "client_cert_chain": ["-----BEGIN CERTIFICATE-----"],
    "client_cert_name": "CN=client",
    "client_cert_error": None,
    "tls_version": 0x0304,
    "cipher_suite": 0x1301,
}
SCOPES: dict[str, Message] = {
    "http": {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "https",
        "path": "/a b",
        "raw_path": b"/a%20b",
        "query_string": b"x=1",
        "root_path": "",
        "headers": [(b"host", b"example.org"), [b"X-Mixed", b"case"]],
        "client": ["127.0.0.1", 50000],
        "server": ("127.0.0.1", 443),
        "state": {},
        "extensions": {**EXTENSIONS, "tls": TLS},
    },
    "websocket": {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "scheme": "wss",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"example.org")],
        "client": ["127.0.0.1", 50000],
        "server": ["/run/site.sock", None],
        "subprotocols": ["chat"],
        "state": {},
        "extensions": {**EXTENSIONS, "tls": TLS},
    },
    "lifespan": {
        "type": "lifespan",
        "asgi": {"version": "3.0", "spec_version": "2.0"},
        "state": {},
    },
}

REQUEST = {"type": "http.request"}
PART_OF_REQUEST = {"type": "http.request", "body": b"x", "more_body": True}
DISCONNECT = {"type": "http.disconnect"}
START = {"type": "http.response.start", "status": 200}
START_WITH_TRAILERS = {**START, "trailers": True}
PART = {"type": "http.response.body", "body": b"x", "more_body": True}
END = {"type": "http.response.body"}
TRAILERS = {"type": "http.response.trailers", "headers": []}
MORE_TRAILERS = {**TRAILERS, "more_trailers": True}
PUSH = {"type": "http.response.push", "path": "/style.css", "headers": []}
HINT = {"type": "http.response.early_hint", "links": [b"</style.css>; rel=preload"]}
DEBUG = {"type": "http.response.debug", "info": {}}
ZERO_COPY = {"type": "http.response.zerocopysend", "file": 0}
PART_BY_ZERO_COPY = {**ZERO_COPY, "more_body": True}
PATH_SEND = {"type": "http.response.pathsend", "path": "/dev/null"}

CONNECT = {"type": "websocket.connect"}
RECEIVED = {"type": "websocket.receive", "text": "hello"}
GONE = {"type": "websocket.disconnect", "code": 1001}
ACCEPT = {"type": "websocket.accept"}
SEND = {"type": "websocket.send", "bytes": b"hello"}
CLOSE = {"type": "websocket.close"}
DENIAL = {"type": "websocket.http.response.start", "status": 401}
PART_OF_DENIAL = {"type": "websocket.http.response.body", "more_body": True}
END_OF_DENIAL = {"type": "websocket.http.response.body"}

STARTUP = {"type": "lifespan.startup"}
STARTED = {"type": "lifespan.startup.complete"}
NOT_STARTED = {"type": "lifespan.startup.failed"}
SHUTDOWN = {"type": "lifespan.shutdown"}
STOPPED = {"type": "lifespan.shutdown.complete"}
NOT_STOPPED = {"type": "lifespan.shutdown.failed"}

# Those that the server sends; the others are the application's.
OF_SERVER = {
    message["type"] for message in (REQUEST, DISCONNECT, CONNECT, RECEIVED, GONE, STARTUP, SHUTDOWN)
}
# All of the above, in that order.
MESSAGES = [
    value
    for value in [*globals().values()]
    if type(value) is dict and "." in str(value.get("type"))
]


def scope(kind: str, *without: str, **changed: Any) -> Message:
    """A right scope but for what is changed; its containers are its own."""
    result = {key: value for key, value in SCOPES[kind].items() if key not in without}
    return {**result, "state": {}, **changed} if "state" in result else {**result, **changed}


def player(messages: Iterable[Any]) -> Callable[..., Any]:
    """An application that receives and sends in the order of `messages`, and returns."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            if isinstance(message, dict) and message.get("type") in OF_SERVER:
                await receive()
            else:
                await send(message)

    return application


def run_at_once(call: Coroutine[Any, Any, Any]) -> None:
    """Run what never waits; that takes no event loop."""
    try:
        call.send(None)
    except StopIteration:
        return
    raise AssertionError("it waits")


def play(
    scope: Any,
    messages: Iterable[Any],
    application: Callable[..., Any] | None = None,
    receive: Any = None,
    send: Any = None,
    ignore: Iterable[str] = (),
    run: Callable[[Coroutine[Any, Any, Any]], object] = asyncio.run,
) -> list[Any]:
    """Have the two sides say `messages`, whose types tell them apart; return what was sent on.

    The server's are handed out in their order, whatever the application does.
    """
    messages = list(messages)
    from_server = iter([m for m in messages if isinstance(m, dict) and m.get("type") in OF_SERVER])
    taken = []

    async def next_from_server() -> Any:
        return next(from_server)

    async def take(message: Any) -> None:
        taken.append(message)

    validated = validator(application or player(messages), ignore=ignore)
    run(validated(scope, receive or next_from_server, send or take))
    return taken
