"""A chat over UDP: one running application for each sender of datagrams.

Datagrams have no connections, so nothing says when a conversation begins or is over. That is
what `StatelessServer` is for: the first datagram of a sender starts an application, whose local
variables are the state of the conversation; those that follow are given to the same one; and
when there are too many, the one that was silent for the longest time is cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from asgi_meta import StatelessServer

Address: TypeAlias = tuple[str, int]

MAX_CONVERSATIONS = 100  # a guess


async def converse(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """Talk with one sender, and remember what was said."""
    said: list[str] = []
    while True:
        message = await receive()
        said.append(message["text"])
        reply = f"{len(said)}: {said[-1]} (you began with: {said[0]})"
        await send({"type": "chat.reply", "text": reply})


class ChatServer(StatelessServer):
    """Takes datagrams out of an inbox, gives them to conversations, and sends the replies."""

    def __init__(self, inbox: Inbox) -> None:
        super().__init__(converse, max_applications=MAX_CONVERSATIONS)
        self._inbox = inbox

    @property
    def address(self) -> Address:
        """The host and port to send datagrams to."""
        host, port = self._inbox.transport.get_extra_info("sockname")
        return host, port

    async def handle(self) -> None:
        """Give each datagram to the conversation with its sender."""
        while True:
            text, sender = await self._inbox.datagrams.get()
            conversation = self.get_or_create_application_instance(
                sender, {"type": "chat", "sender": sender}
            )
            conversation.put_nowait({"type": "chat.message", "text": text})

    async def application_send(self, scope: Any, message: Any) -> None:
        """Send the reply of a conversation to its sender."""
        self._inbox.transport.sendto(message["text"].encode(), scope["sender"])

    async def announce(self, text: str) -> None:
        """Tell everybody; on the event loop, as all that uses a transport."""
        for conversation in self.application_instances.values():
            self._inbox.transport.sendto(text.encode(), conversation["scope"]["sender"])


class Inbox(asyncio.DatagramProtocol):
    """The datagrams that have come, with their senders."""

    def __init__(self) -> None:
        self.datagrams: asyncio.Queue[tuple[str, Address]] = asyncio.Queue()
        self.transport: asyncio.DatagramTransport
        self._closed = asyncio.Event()

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Address | Any) -> None:
        self.datagrams.put_nowait((data.decode(errors="replace").strip(), addr))

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed.set()

    async def close(self) -> None:
        """Close the socket, and wait until it is."""
        self.transport.close()
        await self._closed.wait()


@asynccontextmanager
async def running_chat() -> AsyncIterator[ChatServer]:
    """Run a chat server on a loopback port that is free, beside the code inside."""
    loop = asyncio.get_running_loop()
    _, inbox = await loop.create_datagram_endpoint(Inbox, local_addr=("127.0.0.1", 0))
    server = ChatServer(inbox)
    serving = asyncio.create_task(server.arun())
    try:
        yield server
    finally:
        serving.cancel()
        # Until its conversations have ended, too. wait() does not raise what they raise.
        await asyncio.wait([serving])
        await inbox.close()
