"""A client of the chat: `python client.py NAME [PORT]`, then one line of text after the other.

It leaves at the end of its input, or when it hears goodbye.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from typing import Any

HOST = "127.0.0.1"
PORT = 9999


class Hearing(asyncio.DatagramProtocol):
    """Prints each line that comes, until goodbye."""

    def __init__(self) -> None:
        self.goodbye = asyncio.Event()

    def datagram_received(self, data: bytes, addr: tuple[str, int] | Any) -> None:
        text = data.decode(errors="replace")
        print(text, flush=True)
        if text.startswith("goodbye"):
            self.goodbye.set()

    def error_received(self, exc: Exception) -> None:
        # UDP tells only so much: nobody is there to take what was sent.
        print(f"no server: {exc}", file=sys.stderr, flush=True)
        self.goodbye.set()


async def converse(name: str, port: int) -> None:
    """Send what is typed, and print what is heard."""
    loop = asyncio.get_running_loop()
    transport, hearing = await loop.create_datagram_endpoint(Hearing, remote_addr=(HOST, port))
    lines: asyncio.Queue[str] = asyncio.Queue()
    # A daemon, since nothing can interrupt it when goodbye comes first.
    threading.Thread(target=read_lines, args=(loop, lines), daemon=True).start()
    transport.sendto(f"/join {name}".encode())
    typing = asyncio.create_task(send_lines(lines, transport))
    goodbye = asyncio.create_task(hearing.goodbye.wait())
    try:
        await asyncio.wait([typing, goodbye], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in [typing, goodbye]:
            task.cancel()
        transport.sendto(b"/leave")
        transport.close()


async def send_lines(lines: asyncio.Queue[str], transport: asyncio.DatagramTransport) -> None:
    """Send each line, until the empty one that ends the input."""
    while line := await lines.get():
        if line.strip():
            transport.sendto(line.strip().encode())


def read_lines(loop: asyncio.AbstractEventLoop, lines: asyncio.Queue[str]) -> None:
    """Read the standard input, in a thread of its own."""
    with contextlib.suppress(RuntimeError):  # the event loop was closed meanwhile
        while line := sys.stdin.readline():
            loop.call_soon_threadsafe(lines.put_nowait, line)
        loop.call_soon_threadsafe(lines.put_nowait, "")


if __name__ == "__main__":
    asyncio.run(converse(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else PORT))
