"""The little of HTTP over ASGI that the demo needs, and a framework would bring."""

from __future__ import annotations

import json
from typing import Any

from asgi_meta.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope


def header(scope: HTTPScope, name: bytes) -> str | None:
    """Return the value of a request header, or None; `name` in lower case."""
    for key, value in scope["headers"]:
        if key == name:
            return value.decode("latin-1")
    return None


async def read_json(receive: ASGIReceiveCallable) -> Any:
    """Read the whole request body."""
    body = b""
    more = True
    while more:
        event = await receive()
        if event["type"] != "http.request":
            raise ConnectionError("the client has gone before its request was complete")
        body += event.get("body", b"")
        more = event.get("more_body", False)
    return json.loads(body)


async def send_json(send: ASGISendCallable, content: Any, status: int = 200) -> None:
    """Send a whole response."""
    body = json.dumps(content, indent=2).encode() + b"\n"
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
