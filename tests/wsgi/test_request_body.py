from __future__ import annotations

import asyncio
import tempfile
from typing import Any

import pytest

from asgi_wsgi import _request_body
from asgi_wsgi._request_body import ClientDisconnectedError, spool_request_body

pytestmark = pytest.mark.asyncio


def chunk(body: bytes, *, more_body: bool) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more_body}


@pytest.fixture
def spooled_files(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Collect the files that bodies are spooled to; they go to disk at four bytes."""
    files = []

    def make_file(max_size: int) -> Any:
        files.append(tempfile.SpooledTemporaryFile(max_size=4))  # noqa: SIM115
        return files[-1]

    monkeypatch.setattr(_request_body, "SpooledTemporaryFile", make_file)
    return files


async def test_body_is_the_chunks_in_order(server: Any) -> None:
    server.feed(
        chunk(b"a", more_body=True), chunk(b"", more_body=True), chunk(b"b", more_body=False)
    )
    with await spool_request_body(server.receive) as body:
        assert body.read() == b"ab"


async def test_body_and_more_body_are_optional(server: Any) -> None:
    server.feed({"type": "http.request"})
    with await spool_request_body(server.receive) as body:
        assert body.read() == b""


async def test_nothing_is_received_after_the_last_chunk(server: Any) -> None:
    server.feed(chunk(b"a", more_body=False), chunk(b"b", more_body=False))
    with await spool_request_body(server.receive):
        assert await server.receive() == chunk(b"b", more_body=False)


async def test_body_is_a_file_as_pep_3333_requires(server: Any) -> None:
    server.feed(chunk(b"one\ntwo\nthree\nfour\nfive", more_body=False))
    with await spool_request_body(server.receive) as body:
        assert body.readline() == b"one\n"
        assert body.readline(2) == b"tw"
        assert body.read(2) == b"o\n"
        assert body.readlines(1) == [b"three\n"]
        assert list(body) == [b"four\n", b"five"]
        assert body.read(1) == b""
        assert body.readline() == b""


async def test_large_body_is_complete(server: Any, spooled_files: list[Any]) -> None:
    server.feed(chunk(b"abc", more_body=True), chunk(b"def", more_body=False))
    with await spool_request_body(server.receive) as body:
        assert body is spooled_files[0]
        assert body.read() == b"abcdef"


async def test_disconnect_is_an_error_and_never_the_end(
    server: Any, spooled_files: list[Any]
) -> None:
    server.feed(chunk(b"abcdef", more_body=True), {"type": "http.disconnect"})
    with pytest.raises(ClientDisconnectedError):
        await spool_request_body(server.receive)
    assert spooled_files[0].closed


async def test_message_of_another_protocol_is_named(server: Any, spooled_files: list[Any]) -> None:
    server.feed({"type": "websocket.connect"})
    with pytest.raises(ValueError, match=r"non-HTTP-request message: 'websocket\.connect'"):
        await spool_request_body(server.receive)
    assert spooled_files[0].closed


async def test_cancellation_closes_the_file(server: Any, spooled_files: list[Any]) -> None:
    server.feed(chunk(b"abcdef", more_body=True))
    task = asyncio.create_task(spool_request_body(server.receive))
    await server.wait_awaited(2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert spooled_files[0].closed
