"""Rows of asgi-wsgi: WSGI applications as ASGI applications, in process, without a server."""

from __future__ import annotations

import asyncio
import contextlib
import tracemalloc
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from typing import Any, TypeAlias

import a2wsgi
import asgiref.wsgi

import asgi_wsgi
from tests.benchmarks.rows import MEBIBYTES, MILLISECONDS, OURS, Bar, Row, Sampler, Samplers, Sizes
from tests.benchmarks.timing import AsyncOperation, timed_async

GROUP = "wsgi"
ASGIREF = "asgiref"
A2WSGI = "a2wsgi"

AsgiApplication: TypeAlias = Callable[[Any, Any, Any], Awaitable[object]]

CHUNK = bytes(1024)
CHUNKS = 100
# One object for all chunks of an upload: the peak of memory is then what the adapter holds.
UPLOAD_CHUNK = bytes(64 * 1024)
BLOCK = 64 * 1024


def rows(sizes: Sizes) -> list[Row]:
    """All rows of this group."""
    hello = (Bar(ASGIREF, 0.25), Bar(A2WSGI, 0.35))
    at_once = sizes.requests_at_once
    mebibytes = sizes.upload_chunks * len(UPLOAD_CHUNK) // 2**20
    upload = f"WSGI upload of {mebibytes} MiB"
    return [
        Row("WSGI hello", GROUP, lambda: _timed(_hello, 1), hello),
        Row(
            f"WSGI hello, {at_once} at once",
            GROUP,
            lambda: _timed(_hello, at_once),
            hello,
            MILLISECONDS,
        ),
        Row(
            f"WSGI {CHUNKS} chunks of 1 KiB",
            GROUP,
            lambda: _timed(_chunks, 1),
            (Bar(ASGIREF, 0.20), Bar(A2WSGI, 0.20)),
            MILLISECONDS,
            share=0.5,
        ),
        Row(
            upload,
            GROUP,
            lambda: _timed_upload(sizes),
            (Bar(ASGIREF, 1.0), Bar(A2WSGI, 0.35)),
            MILLISECONDS,
            share=0.2,
            number=1,
        ),
        Row(
            f"{upload}, peak memory",
            GROUP,
            lambda: _peak_of_upload(sizes),
            (Bar(None, 1.0), Bar(ASGIREF), Bar(A2WSGI)),
            MEBIBYTES,
            share=0.05,
            number=1,
        ),
    ]


# The WSGI applications, and how many bytes each answers


def _hello(environ: Any, start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"Hello"]


def _chunks(environ: Any, start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return (CHUNK for _ in range(CHUNKS))


def _upload(environ: Any, start_response: Any) -> Iterable[bytes]:
    body = environ["wsgi.input"]
    received = 0
    while block := body.read(BLOCK):
        received += len(block)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(received).encode()]


ANSWER_LENGTHS = {_hello: 5, _chunks: CHUNKS * len(CHUNK)}


# One request


async def _request(application: AsgiApplication, body_chunks: int = 0) -> bytes:
    """Send a request, with a body of so many chunks, and return the body of the response."""
    left = body_chunks
    answer = []

    async def receive() -> Any:
        nonlocal left
        left -= 1
        if left > 0:
            return {"type": "http.request", "body": UPLOAD_CHUNK, "more_body": True}
        if left == 0:
            return {"type": "http.request", "body": UPLOAD_CHUNK, "more_body": False}
        if left == -1 and not body_chunks:
            return {"type": "http.request", "body": b"", "more_body": False}
        # The client stays: as with a server, nothing more comes.
        return await asyncio.get_running_loop().create_future()

    async def send(message: dict[str, Any]) -> None:
        answer.append(message.get("body", b""))

    await application(_scope("POST" if body_chunks else "GET"), receive, send)
    return b"".join(answer)


def _scope(method: str) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"example.org"), (b"accept", b"*/*"), (b"user-agent", b"bench")],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 80),
    }


def _adapters(application: Any) -> dict[str, Any]:
    return {
        OURS: asgi_wsgi.WsgiToAsgi(application),
        ASGIREF: asgiref.wsgi.WsgiToAsgi(application),
        A2WSGI: a2wsgi.WSGIMiddleware(application),
    }


# The variants of each row


@contextlib.contextmanager
def _timed(application: Any, at_once: int) -> Iterator[Samplers]:
    def operation(adapter: AsgiApplication) -> AsyncOperation:
        async def one() -> None:
            answer = await _request(adapter)
            if len(answer) != ANSWER_LENGTHS[application]:
                raise ValueError(f"the response has {len(answer)} bytes")

        async def many() -> None:
            await asyncio.gather(*[one() for _ in range(at_once)])

        return one if at_once == 1 else many

    with asyncio.Runner() as runner:
        adapters = _adapters(application)
        yield {name: timed_async(runner, operation(adapters[name])) for name in adapters}


def _upload_of(adapter: AsgiApplication, chunks: int) -> Callable[[], Coroutine[Any, Any, None]]:
    async def upload() -> None:
        answer = await _request(adapter, chunks)
        if int(answer) != chunks * len(UPLOAD_CHUNK):
            raise ValueError(f"the application has received {answer!r} bytes")

    return upload


@contextlib.contextmanager
def _timed_upload(sizes: Sizes) -> Iterator[Samplers]:
    with asyncio.Runner() as runner:
        adapters = _adapters(_upload)
        uploads = {name: _upload_of(adapters[name], sizes.upload_chunks) for name in adapters}
        yield {name: timed_async(runner, upload, warm_up=False) for name, upload in uploads.items()}


@contextlib.contextmanager
def _peak_of_upload(sizes: Sizes) -> Iterator[Samplers]:
    with asyncio.Runner() as runner:

        def peak(adapter: AsgiApplication) -> Sampler:
            def sample(number: int) -> float:
                runner.run(_upload_of(adapter, 1)())  # what is kept for all requests is no peak
                tracemalloc.start()
                try:
                    for _ in range(number):
                        runner.run(_upload_of(adapter, sizes.upload_chunks)())
                    return tracemalloc.get_traced_memory()[1] * number
                finally:
                    tracemalloc.stop()

            return sample

        yield {name: peak(adapter) for name, adapter in _adapters(_upload).items()}
