"""An ASGI server without sockets, as a transport of httpx: what the application sends is what the
client sees, with nothing of a server's own in between that would mend it.
"""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import httpx

# So many messages wait for a client that does not read; then `send` does.
WINDOW = 8


class InProcessTransport(httpx.BaseTransport):
    """Calls an ASGI application on an event loop; for clients in other threads."""

    def __init__(self, application: Any, loop: asyncio.AbstractEventLoop, root_path: str) -> None:
        self._application = application
        self._loop = loop
        self._root_path = root_path

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        exchange = _Exchange(request, self._loop)
        scope = _scope(request, self._root_path)
        asyncio.run_coroutine_threadsafe(exchange.run(self._application, scope), self._loop)
        start = exchange.next_message()
        if exchange.client_error is not None:
            raise exchange.client_error
        if start is None:
            return httpx.Response(500)
        headers = start["headers"]
        return httpx.Response(start["status"], headers=headers, stream=_ResponseStream(exchange))


class _Exchange:
    """One request: the application on the event loop, the client in its thread."""

    def __init__(self, request: httpx.Request, loop: asyncio.AbstractEventLoop) -> None:
        self.client_error: Exception | None = None  # of the client's own chunks
        self._chunks = iter(request.stream)  # type: ignore[arg-type]
        self._loop = loop
        self._messages: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._room = asyncio.Semaphore(WINDOW)
        self._is_complete = False
        self._client_is_gone = asyncio.Event()

    async def run(self, application: Any, scope: dict[str, Any]) -> None:
        try:
            await application(scope, self._receive, self._send)
        except Exception:
            pass  # the client sees it as the end of the connection
        finally:
            self._messages.put(None)

    def next_message(self) -> dict[str, Any] | None:
        """Wait for a message; None where the application has ended before its response."""
        message = self._messages.get()
        self._loop.call_soon_threadsafe(self._room.release)
        return message

    def leave(self) -> None:
        self._loop.call_soon_threadsafe(self._client_is_gone.set)

    async def _receive(self) -> dict[str, Any]:
        if not self._is_complete and not self._client_is_gone.is_set():
            try:
                chunk = await asyncio.to_thread(next, self._chunks, None)
            except Exception as error:
                self.client_error = error
                self._client_is_gone.set()
            else:
                self._is_complete = chunk is None
                return {
                    "type": "http.request",
                    "body": chunk or b"",
                    "more_body": chunk is not None,
                }
        await self._client_is_gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        if self._client_is_gone.is_set():
            return
        await self._room.acquire()
        self._messages.put(message)


class _ResponseStream(httpx.SyncByteStream):
    def __init__(self, exchange: _Exchange) -> None:
        self._exchange = exchange

    def __iter__(self) -> Iterator[bytes]:
        more_body = True
        while more_body:
            message = self._exchange.next_message()
            if message is None:
                raise httpx.RemoteProtocolError("the application ended before its response")
            more_body = message.get("more_body", False)
            yield message.get("body", b"")

    def close(self) -> None:
        self._exchange.leave()


def _scope(request: httpx.Request, root_path: str) -> dict[str, Any]:
    raw_path, _, query = request.url.raw_path.partition(b"?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": root_path + unquote(raw_path.decode("ascii")),
        "raw_path": root_path.encode() + raw_path,
        "query_string": query,
        "root_path": root_path,
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 80),
    }
