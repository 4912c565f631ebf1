"""The server of the chat: `python server.py [PORT]`, and Ctrl-C or SIGTERM to stop it.

Each datagram is one line of text, in UTF-8. Each address that sends one has an application
instance of its own, which is all that is known of a conversation: there are no connections.

| a client sends  | what happens                                                |
|-----------------|-------------------------------------------------------------|
| `/join NAME`    | it is in the chat, under this name                          |
| any other text  | everybody in the chat hears it                              |
| `/leave`        | it is no longer in the chat                                 |

What it shows of `StatelessServer`:

- the chat itself is in the state of the lifespan, which every instance shares;
- a client that sends faster than it is served loses its oldest lines, and no memory is filled;
- when there are too many clients, the one that was silent longest hears that it has to leave;
- when the server stops, every line that has come is still heard by everybody, then each client is
  told, and the counters are printed.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from asgi_server import ApplicationDetails, EndCause, StatelessServer

Address: TypeAlias = tuple[str, int]
Message: TypeAlias = dict[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

HOST = "127.0.0.1"
PORT = 9999
MAX_DATAGRAM = 65536
MAX_CLIENTS = 1000  # a guess
MAX_LINES_WAITING = 100  # of one client; a guess


# The application


async def chat(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Serve one client, or the lifespan of all."""
    if scope["type"] == "lifespan":
        await live(scope, receive, send)
    elif scope["type"] == "chat":
        await converse(scope, receive, send)
    else:
        raise ValueError(f"a chat cannot serve the scope type {scope['type']!r}")


async def live(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Open the chat before the first client, and close it after the last."""
    await receive()
    names: dict[Address, str] = {}
    scope["state"]["names"] = names
    await send({"type": "lifespan.startup.complete"})
    await receive()
    if names:
        raise RuntimeError(f"still in the chat: {names}")
    await send({"type": "lifespan.shutdown.complete"})


async def converse(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Take the lines of one client until it leaves, is silent for too long, or the end."""
    client, names = scope["client"], scope["state"]["names"]

    async def tell_all(text: str) -> None:
        await send({"type": "chat.send", "text": text, "to": list(names)})

    try:
        while (message := await receive())["type"] == "chat.receive":
            match message["text"].split(maxsplit=1):
                case ["/join", name]:
                    names[client] = name
                    await tell_all(f"{name} has joined")
                case ["/leave"] if client in names:
                    await tell_all(f"{names[client]} has left")
                    return
                case [*_] if client in names:
                    await tell_all(f"{names[client]}: {message['text']}")
                case _:
                    await send({"type": "chat.send", "text": "first /join NAME", "to": [client]})
        await send({"type": "chat.send", "text": f"goodbye: {message['reason']}", "to": [client]})
    finally:
        names.pop(client, None)


# The server


class ChatServer(StatelessServer):
    """Brings datagrams to the instances of their senders, and lines to clients."""

    def __init__(self, datagrams: socket.socket) -> None:
        super().__init__(
            chat,
            MAX_CLIENTS,
            queue_limit=MAX_LINES_WAITING,
            queue_policy="drop_oldest",
            lifespan="on",
        )
        self._socket = datagrams

    async def handle(self) -> None:
        """Give each datagram to the instance of its sender.

        When the server stops, this is cancelled, and no more is read. The socket stays open: the
        instances have lines to send.
        """
        loop = asyncio.get_running_loop()
        while True:
            try:
                data, client = await loop.sock_recvfrom(self._socket, MAX_DATAGRAM)
            except ConnectionResetError:
                continue  # Windows: a client that something was sent to has gone
            text = data.decode(errors="replace").strip()
            queue = self.get_or_create_application_instance(
                client, {"type": "chat", "client": client}
            )
            queue.put_nowait({"type": "chat.receive", "text": text})

    async def application_send(self, scope: Any, message: Any) -> None:
        """Send a line to each client that is to hear it."""
        loop = asyncio.get_running_loop()
        for client in message["to"]:
            await loop.sock_sendto(self._socket, message["text"].encode(), client)

    def application_disconnect(
        self, application_details: ApplicationDetails, cause: EndCause
    ) -> Message:
        """Return what a client hears at the end, by way of its instance."""
        reason = "the server stops" if cause is EndCause.STOPPED else "you were silent for too long"
        return {"type": "chat.disconnect", "reason": reason}


def main() -> None:
    port = int(sys.argv[1]) if len(sys.argv) > 1 else PORT
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.setblocking(False)
        datagrams.bind((HOST, port))
        host, port = datagrams.getsockname()
        print(f"The chat is at {host}:{port}", flush=True)
        server = ChatServer(datagrams)
        server.run()
    counters = server.counters()
    print(
        f"{counters.created} clients, {counters.messages_in} lines,"
        f" {counters.messages_dropped} of them dropped",
        flush=True,
    )


if __name__ == "__main__":
    main()
