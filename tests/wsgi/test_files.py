"""`wsgi.file_wrapper`: which files the server sends itself, and how all others leave."""

from __future__ import annotations

import asyncio
import gzip
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from wsgiref.types import WSGIApplication

import pytest
from helpers.wsgi_applications import DISCONNECT, END_OF_BODY, PLAIN

from asgi_wsgi._files import FileWrapper, file_message

ZERO_COPY: dict[str, Any] = {"http.response.zerocopysend": {}}
PATH: dict[str, Any] = {"http.response.pathsend": {}}
CONTENT = b"0123456789"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    return path


def sending(
    open_file: Callable[[], Any], headers: Any = (), position: int = 0, *block_size: int
) -> WSGIApplication:
    def application(environ: Any, start_response: Any) -> Any:
        file = open_file()
        if position:
            file.seek(position)
        start_response("200 OK", [*PLAIN, *headers])
        return environ["wsgi.file_wrapper"](file, *block_size)

    return application


# The wrapper


def test_wrapper_gives_blocks_of_the_size_that_was_asked_for() -> None:
    assert list(FileWrapper(io.BytesIO(CONTENT), 4)) == [b"0123", b"4567", b"89"]


def test_wrapper_closes_its_file() -> None:
    file = io.BytesIO(CONTENT)
    FileWrapper(file).close()
    assert file.closed


def test_iterator_over_the_wrapper_closes_its_file() -> None:
    """Some have kept no more than that."""
    file = io.BytesIO(CONTENT)
    blocks: Any = iter(FileWrapper(file, 4))
    assert next(blocks) == b"0123"
    blocks.close()
    assert file.closed


def test_wrapper_is_sought_where_its_file_can_be() -> None:
    wrapper = FileWrapper(io.BytesIO(CONTENT), 4)
    assert wrapper.seekable()
    wrapper.seek(7)
    assert wrapper.tell() == 7
    assert list(wrapper) == [b"789"]


def test_wrapper_of_what_cannot_be_sought_says_so() -> None:
    class Readable:
        def read(self, size: int) -> bytes:
            return b""

    assert not FileWrapper(Readable()).seekable()


def test_wrapper_of_a_file_without_close_has_none_either() -> None:
    class Readable:
        def read(self, size: int) -> bytes:
            return b""

    assert not hasattr(FileWrapper(Readable()), "close")


# Which files the server can send


def test_zero_copy_sends_the_rest_of_the_file(path: Path) -> None:
    with path.open("rb") as file:
        file.read(3)
        assert file_message(file, ZERO_COPY, None) == (
            {"type": "http.response.zerocopysend", "file": file, "offset": 3, "count": 7},
            7,
        )


def test_zero_copy_sends_no_more_than_the_content_length(path: Path) -> None:
    with path.open("rb") as file:
        found = file_message(file, ZERO_COPY, 4)
    assert found is not None
    assert (found[0]["count"], found[1]) == (4, 4)


def test_path_is_absolute(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    with open(path.name, "rb") as file:
        found = file_message(file, PATH, None)
    assert found == ({"type": "http.response.pathsend", "path": str(path)}, 10)


def test_zero_copy_comes_before_path(path: Path) -> None:
    with path.open("rb") as file:
        found = file_message(file, {**PATH, **ZERO_COPY}, None)
    assert found is not None
    assert found[0]["type"] == "http.response.zerocopysend"


@pytest.mark.parametrize(("position", "length"), [(1, None), (0, 9)])
def test_part_of_a_file_is_not_sent_by_its_path(
    path: Path, position: int, length: int | None
) -> None:
    with path.open("rb") as file:
        file.seek(position)
        assert file_message(file, PATH, length) is None


@pytest.mark.parametrize("extensions", [ZERO_COPY, PATH])
def test_file_that_is_shorter_than_its_content_length_is_read(path: Path, extensions: Any) -> None:
    """Then the missing bytes are an error."""
    with path.open("rb") as file:
        assert file_message(file, extensions, 11) is None


@pytest.mark.parametrize("extensions", [None, {}, {"tls": {}}])
def test_file_is_read_where_the_server_cannot_send_it(path: Path, extensions: Any) -> None:
    with path.open("rb") as file:
        assert file_message(file, extensions, None) is None


@pytest.mark.parametrize("extensions", [ZERO_COPY, PATH])
def test_file_in_memory_is_read(extensions: Any) -> None:
    assert file_message(io.BytesIO(CONTENT), extensions, None) is None


@pytest.mark.parametrize("extensions", [ZERO_COPY, PATH])
def test_pipe_is_read(extensions: Any) -> None:
    read, write = os.pipe()
    with open(read, "rb") as file:
        os.close(write)
        assert file_message(file, extensions, None) is None


class Shouting(io.FileIO):
    def read(self, size: int | None = -1) -> bytes:
        return (super().read(size) or b"").upper()


@pytest.mark.parametrize("extensions", [ZERO_COPY, PATH])
@pytest.mark.parametrize(
    "open_file",
    [gzip.GzipFile, Shouting, lambda path: io.BufferedReader(gzip.GzipFile(path))],  # type: ignore[type-var]
)
def test_file_that_is_not_read_as_it_is_stored_is_read(
    path: Path, open_file: Callable[..., Any], extensions: Any
) -> None:
    """Its descriptor is that of the stored file."""
    with gzip.open(path, "wb") as packed:
        packed.write(CONTENT)
    with open_file(path) as file:
        assert file_message(file, extensions, None) is None


@pytest.mark.parametrize(
    "open_file", [lambda path: path.open("rb", 0), lambda path: path.open("r+b")]
)
def test_file_is_sent_however_it_was_opened(path: Path, open_file: Callable[[Path], Any]) -> None:
    with open_file(path) as file:
        assert file_message(file, ZERO_COPY, None) is not None


def test_path_of_another_file_by_now_is_not_sent(path: Path) -> None:
    with path.open("rb") as file:
        path.rename(path.with_name("moved"))
        assert file_message(file, PATH, None) is None
        path.write_bytes(CONTENT)
        assert file_message(file, PATH, None) is None


def test_file_that_was_opened_by_its_descriptor_has_no_path(path: Path) -> None:
    with open(os.open(path, os.O_RDONLY), "rb") as file:
        assert file_message(file, PATH, None) is None


# Through the adapter


@pytest.mark.asyncio
async def test_file_is_sent_block_by_block_without_an_extension(server: Any, path: Path) -> None:
    await server.call(sending(lambda: path.open("rb"), (), 0, 4))
    assert [message["body"] for message in server.sent[1:-1]] == [b"0123", b"4567", b"89"]


@pytest.mark.asyncio
async def test_file_that_the_server_sends_is_open_until_it_is_sent(server: Any, path: Path) -> None:
    files: list[Any] = []
    was_closed: list[bool] = []

    def open_file() -> Any:
        files.append(path.open("rb"))
        return files[0]

    async def send(message: Any) -> None:
        was_closed.append(files[0].closed)
        await server.send(message)

    server.feed({"type": "http.request"})
    await server.serve(sending(open_file), send=send, extensions=ZERO_COPY)
    start, message = server.sent
    assert start["type"] == "http.response.start"
    assert (message["file"], message["count"]) == (files[0], 10)
    assert was_closed == [False, False]
    assert files[0].closed


@pytest.mark.asyncio
async def test_file_sent_by_its_path_is_the_whole_body(server: Any, path: Path) -> None:
    headers = [("Content-Length", "10")]
    await server.call(sending(lambda: path.open("rb"), headers), extensions=PATH)
    assert server.sent[1:] == [{"type": "http.response.pathsend", "path": str(path)}]


@pytest.mark.asyncio
async def test_head_request_of_a_file_sends_none(server: Any, path: Path) -> None:
    application = sending(lambda: path.open("rb"))
    await server.call(application, method="HEAD", extensions=ZERO_COPY)
    assert server.sent[1:] == [{"type": "http.response.body"}]


@pytest.mark.asyncio
async def test_file_after_a_write_is_sent_block_by_block(server: Any, path: Path) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", PLAIN)(b"a")
        return environ["wsgi.file_wrapper"](path.open("rb"))

    await server.call(application, extensions=PATH)
    assert server.body == b"a" + CONTENT


@pytest.mark.asyncio
async def test_file_is_closed_when_the_client_goes_away(server: Any, path: Path) -> None:
    files: list[Any] = []

    def open_file() -> Any:
        files.append(path.open("rb"))
        return files[0]

    server.may_send.clear()
    server.feed({"type": "http.request"}, DISCONNECT)
    await server.serve(sending(open_file), extensions=ZERO_COPY)
    assert files[0].closed


@pytest.mark.parametrize("extensions", [ZERO_COPY, PATH], ids=["zero copy", "path"])
@pytest.mark.asyncio
async def test_middleware_may_go_on_after_a_file(
    server: Any, path: Path, extensions: dict[str, Any]
) -> None:
    """The server says that the client has disconnected as soon as it has the last message."""
    done: list[str] = []

    async def send(message: Any) -> None:
        if message["type"] in extensions:
            server.feed(END_OF_BODY, DISCONNECT)
            await server.wait_taken()
            # Turns of the loop in which it would be cancelled.
            for _ in range(5):
                await asyncio.sleep(0)
            done.append("what the middleware does then")

    await server.serve(sending(lambda: path.open("rb")), send=send, extensions=extensions)
    assert len(done) == 1
