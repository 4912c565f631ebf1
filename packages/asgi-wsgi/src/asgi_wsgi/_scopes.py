"""The scopes that no WSGI application can serve: lifespan and websocket."""

from __future__ import annotations

from asgi_wsgi._request_body import Receive
from asgi_wsgi._send_queue import Send


async def acknowledge_lifespan(receive: Receive, send: Send) -> None:
    """Say that start and end went well: a WSGI application has no part in them."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await send({"type": "lifespan.shutdown.complete"})
            return


async def refuse_websocket(receive: Receive, send: Send) -> None:
    """Close it before it is accepted, which the client sees as status 403."""
    message = await receive()
    if message["type"] == "websocket.connect":
        await send({"type": "websocket.close"})
