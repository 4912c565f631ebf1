"""HTTP/1.1 clients for rows over real sockets: many connections at once, or one large transfer.

One thread, a selector, and the parser of httptools: a request costs so little here that what is
measured is the server. Each connection sends its next request when it has the answer to the last.
"""

from __future__ import annotations

import selectors
import socket
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import httptools

TIMEOUT = 60
BLOCK = 256 * 1024


@dataclass(frozen=True)
class Load:
    """What a server took.

    Attributes:
        seconds: For all requests together.
        latencies: For each, from its first byte to the last of its answer.
    """

    seconds: float
    latencies: list[float]

    def percentile_99(self) -> float:
        """Return the time that all but 1 % of the requests did not take."""
        return sorted(self.latencies)[int(0.99 * len(self.latencies))]


def drive(port: int, connections: int, requests: int, answer: bytes, target: str = "/") -> Load:
    """Send so many requests for `target`, over so many connections that are kept alive."""
    load = _Driver(port, connections, requests, answer, target)
    try:
        return load.run()
    finally:
        load.close()


def upload(port: int, chunk: bytes, chunks: int) -> bytes:
    """Send a body of known length, and return the body of the answer."""
    answer: list[bytes] = []
    with _connected(port) as connection:
        length = len(chunk) * chunks
        connection.sendall(_request("POST", "/upload", f"Content-Length: {length}\r\n"))
        for _ in range(chunks):
            connection.sendall(chunk)
        _read_answer(connection, answer.append)
    return b"".join(answer)


def download(port: int, chunks: int) -> int:
    """Ask for so many chunks, and return how many bytes have come."""
    received = 0

    def count(data: bytes) -> None:
        nonlocal received
        received += len(data)

    with _connected(port) as connection:
        connection.sendall(_request("GET", f"/download?{chunks}"))
        _read_answer(connection, count)
    return received


class _Driver:
    def __init__(
        self, port: int, connections: int, requests: int, answer: bytes, target: str
    ) -> None:
        self._selector = selectors.DefaultSelector()
        self._to_send = self._to_receive = requests
        self._latencies: list[float] = []
        self._connections = [
            _Connection(port, answer, target, self._latencies)
            for _ in range(min(connections, requests))
        ]
        for connection in self._connections:
            self._selector.register(connection.socket, selectors.EVENT_READ, connection)

    def run(self) -> Load:
        start = perf_counter()
        for connection in self._connections:
            self._send(connection)
        while len(self._latencies) < self._to_receive:
            ready = self._selector.select(TIMEOUT)
            if not ready:
                raise TimeoutError("the server does not answer")
            for key, _ in ready:
                if key.data.receive() and self._to_send:
                    self._send(key.data)
        return Load(perf_counter() - start, self._latencies)

    def close(self) -> None:
        self._selector.close()
        for connection in self._connections:
            connection.socket.close()

    def _send(self, connection: _Connection) -> None:
        self._to_send -= 1
        connection.send()


class _Connection:
    def __init__(self, port: int, answer: bytes, target: str, latencies: list[float]) -> None:
        self.socket = _connected(port)
        self._answer = answer
        self._latencies = latencies
        self._parser = httptools.HttpResponseParser(self)
        self._request = _request("GET", target)
        self._body = b""
        self._is_complete = False
        self._sent = 0.0

    def send(self) -> None:
        self._is_complete = False
        self._body = b""
        self._sent = perf_counter()
        self.socket.send(self._request)

    def receive(self) -> bool:
        """Read what there is, and return whether the answer is complete."""
        data = self.socket.recv(BLOCK)
        if not data:
            raise ConnectionError("the server has closed a connection that was to be kept alive")
        self._parser.feed_data(data)
        return self._is_complete

    # For the parser

    def on_body(self, data: bytes) -> None:
        self._body += data

    def on_message_complete(self) -> None:
        self._latencies.append(perf_counter() - self._sent)
        if self._parser.get_status_code() != 200 or self._body != self._answer:
            raise ValueError(f"the server has answered {self._body!r}")
        self._is_complete = True


class _Answer:
    """One response, for the parser; its body goes to a function, piece by piece."""

    def __init__(self, on_body: Callable[[bytes], object]) -> None:
        self.on_body = on_body
        self.is_complete = False

    def on_message_complete(self) -> None:
        self.is_complete = True


def _read_answer(connection: socket.socket, on_body: Callable[[bytes], object]) -> None:
    answer = _Answer(on_body)
    parser = httptools.HttpResponseParser(answer)
    while not answer.is_complete:
        data = connection.recv(BLOCK)
        if not data:
            raise ConnectionError("the response is not complete")
        parser.feed_data(data)


def _connected(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), TIMEOUT)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _request(method: str, target: str, headers: str = "") -> bytes:
    return f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}\r\n".encode()
