"""A sender of UDP datagrams that waits for what comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

# On loopback an answer takes less than a millisecond; without a limit, a lost one would hang.
PATIENCE_SECONDS = 10.0


class ChatClient(asyncio.DatagramProtocol):
    """One socket, and the texts that came to it."""

    def __init__(self) -> None:
        self._texts: asyncio.Queue[str] = asyncio.Queue()
        self._transport: asyncio.DatagramTransport
        self._closed = asyncio.Event()

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int] | Any) -> None:
        self._texts.put_nowait(data.decode())

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed.set()

    @property
    def address(self) -> str:
        """Where its datagrams come from."""
        host, port = self._transport.get_extra_info("sockname")
        return f"{host}:{port}"

    async def say(self, text: str) -> str:
        """Send a text and return the reply."""
        self._transport.sendto(text.encode())
        return await self.hear()

    async def hear(self) -> str:
        """Return the next text that comes."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self._texts.get()

    async def close(self) -> None:
        """Close the socket, and wait until it is."""
        self._transport.close()
        await self._closed.wait()


@asynccontextmanager
async def chatting(host: str, port: int) -> AsyncIterator[ChatClient]:
    """Open a socket whose datagrams go to `host` and `port`."""
    loop = asyncio.get_running_loop()
    _, client = await loop.create_datagram_endpoint(ChatClient, remote_addr=(host, port))
    try:
        yield client
    finally:
        await client.close()
