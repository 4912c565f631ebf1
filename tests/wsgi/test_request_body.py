"""`wsgi.input`: what it reads, how much is held, and when the server is asked for more."""

from __future__ import annotations

import asyncio
import threading
from array import array
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BufferedReader, BytesIO
from typing import IO, Any

import pytest
from helpers.wsgi_applications import (
    DISCONNECT,
    END_OF_BODY,
    PATIENCE,
    Body,
    hello,
    part,
    patiently,
    reading,
    returning,
    wait_until,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asgi_wsgi import WsgiToAsgi
from asgi_wsgi._link import Link

MakeScope = Callable[..., Any]
Read = Callable[[IO[bytes]], Any]

LINES = b"one\ntwo\n\nthree without an end"


async def read_by(server: Any, read: Read, *messages: Any, **scope: Any) -> Any:
    """What `read(wsgi.input)` returns or raises, of a body that arrives in these messages."""
    seen: list[Any] = []
    server.feed(*messages)
    await server.serve(reading(read, seen), **scope)
    return seen[0]


# The file


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "read",
    [
        lambda body: [body.read()],
        lambda body: [body.read(-1)],
        lambda body: [body.read(None)],
        lambda body: [body.read(5), body.read(0), body.read(100), body.read(1)],
        lambda body: [body.readline(), body.readline(2), body.readline(2), body.readline(-1)],
        lambda body: [body.readline(0), body.readline(None), body.read()],
        lambda body: body.readlines(),
        lambda body: body.readlines(5),
        lambda body: list(body),
        lambda body: [next(body), body.read(3), body.readline()],
        lambda body: [body.readinto(target := bytearray(7)), bytes(target), body.read()],
        lambda body: [
            body.readinto(target := bytearray(99)),
            bytes(target),
            body.readinto(bytearray()),
        ],
        lambda body: [body.readinto(target := array("H", [0] * 5)), target, body.readline()],
    ],
)
@pytest.mark.parametrize("sizes", [[100], [4, 1, 1, 100], [1] * 40])
async def test_body_reads_like_any_binary_file(server: Any, read: Read, sizes: list[int]) -> None:
    source = BytesIO(LINES)
    parts = [part(source.read(size)) for size in sizes]
    assert await read_by(server, read, *parts, END_OF_BODY) == read(BytesIO(LINES))


@pytest.mark.asyncio
async def test_read1_returns_what_has_arrived(server: Any) -> None:
    async def feed_the_rest() -> None:
        await server.wait_awaited(2)
        server.feed(END_OF_BODY)

    feeding = asyncio.create_task(feed_the_rest())
    read = lambda body: [body.read1(2), body.read1(), body.read1(0), body.read1(9)]  # noqa: E731
    assert await read_by(server, read, part(b"abc")) == [b"ab", b"c", b"", b""]
    await feeding


@pytest.mark.parametrize("thread_sensitive", [False, True])
@pytest.mark.parametrize(
    ("read", "result"),
    [
        (lambda body: body.readline(), b"one\n"),
        (lambda body: next(body), b"one\n"),
        (lambda body: body.read1(), b"one\ntw"),
        (lambda body: body.read(5), b"one\nt"),
        (lambda body: body.readinto(bytearray(6)), 6),
    ],
)
@pytest.mark.asyncio
async def test_read_that_has_what_it_wants_returns_before_the_body_has_ended(
    server: Any, http_scope: MakeScope, read: Read, result: Any, thread_sensitive: bool
) -> None:
    seen: list[Any] = []
    server.feed(part(b"one\ntw"))
    app = WsgiToAsgi(reading(read, seen), thread_sensitive=thread_sensitive)
    await app(http_scope(), server.receive, server.send)
    assert seen == [result]


@pytest.mark.asyncio
async def test_readinto_of_what_cannot_be_written_takes_nothing(server: Any) -> None:
    def read(body: Any) -> bytes:
        with pytest.raises(TypeError, match="writable"):
            body.readinto(b"abc")
        return body.read()  # type: ignore[no-any-return]

    assert await read_by(server, read, part(b"abc"), END_OF_BODY) == b"abc"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("name", "can"), [("readable", True), ("seekable", False), ("writable", False)]
)
async def test_body_says_what_it_can_do(server: Any, name: str, can: bool) -> None:
    assert await read_by(server, lambda body: getattr(body, name)(), END_OF_BODY) is can


@pytest.mark.asyncio
async def test_body_is_closed_with_its_request(server: Any) -> None:
    bodies: list[IO[bytes]] = []
    await read_by(server, bodies.append, END_OF_BODY)
    for read in (bodies[0].read, bodies[0].readline):
        with pytest.raises(ValueError, match="read after the end of its request"):
            read()


@pytest.mark.asyncio
async def test_body_and_more_body_are_optional(server: Any) -> None:
    assert await read_by(server, lambda body: body.read(), {"type": "http.request"}) == b""


@pytest.mark.asyncio
@pytest.mark.parametrize("read", [lambda body: body.read(), lambda body: b"".join(body)])
async def test_body_ends_at_its_content_length(server: Any, read: Read) -> None:
    """A server that gives more, or does not say that it is the end, is not asked again."""
    headers = [(b"content-length", b"5")]
    assert await read_by(server, read, part(b"abc"), part(b"defg"), headers=headers) == b"abcde"
    assert server.awaited == 2


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "headers",
    [
        [(b"content-length", b"x")],
        [(b"content-length", b"2"), (b"content-length", b"2")],
        [(b"content-length", b"9" * 5000)],
        [(b"content-length", b"2"), (b"transfer-encoding", b"chunked")],
        [(b"transfer-encoding", b"chunked"), (b"content-length", b"2")],
    ],
)
async def test_body_without_one_clear_length_ends_where_the_stream_does(
    server: Any, headers: Any
) -> None:
    read = lambda body: body.read()  # noqa: E731
    assert await read_by(server, read, part(b"abc"), END_OF_BODY, headers=headers) == b"abc"


@pytest.mark.asyncio
async def test_error_of_receive_is_that_of_the_read(server: Any, http_scope: MakeScope) -> None:
    async def receive() -> Any:
        raise LookupError("the middleware failed")

    app = WsgiToAsgi(reading(lambda body: body.read(), []))
    with pytest.raises(LookupError, match="the middleware failed"):
        await app(http_scope(), receive, server.send)


@pytest.mark.asyncio
async def test_message_of_another_protocol_is_named(server: Any) -> None:
    with pytest.raises(ValueError, match=r"non-HTTP-request message: 'websocket\.connect'"):
        await read_by(server, lambda body: body.read(), {"type": "websocket.connect"})


# When the server is asked


@pytest.mark.asyncio
async def test_nothing_is_received_for_an_application_that_does_not_read(server: Any) -> None:
    await server.serve(hello, method="POST", headers=[(b"transfer-encoding", b"chunked")])
    assert server.is_complete
    assert server.awaited == 0


@pytest.mark.asyncio
async def test_client_that_waits_for_a_word_gets_none_before_the_first_read(server: Any) -> None:
    headers = [(b"content-length", b"3"), (b"expect", b"100-continue")]
    await server.serve(hello, method="POST", headers=headers)
    assert server.is_complete
    assert server.awaited == 0


@pytest.mark.parametrize("body", [[b"a"], Body(b"a", b"b")], ids=["complete", "streamed"])
@pytest.mark.asyncio
async def test_client_that_waits_for_a_word_gets_none_while_middleware_takes_its_time(
    server: Any, body: Any
) -> None:
    """As `BaseHTTPMiddleware` does: its `send` hands the message to another task."""

    async def send(message: Any) -> None:
        for _ in range(5):
            await asyncio.sleep(0)
        await server.send(message)

    headers = [(b"content-length", b"3"), (b"expect", b"100-continue")]
    await server.serve(returning(body), send=send, method="POST", headers=headers)
    assert server.is_complete
    assert server.awaited == 0


@pytest.mark.asyncio
async def test_body_that_never_comes_does_not_hold_up_an_application_that_does_not_read(
    server: Any,
) -> None:
    await server.serve(hello, method="POST", headers=[(b"content-length", b"3")])
    assert server.is_complete


@pytest.mark.asyncio
async def test_small_body_arrives_before_the_first_read(server: Any) -> None:
    has_arrived = threading.Event()

    def read(body: IO[bytes]) -> bytes:
        patiently(has_arrived)()
        return body.read()

    headers = [(b"content-length", b"3")]
    request = asyncio.create_task(read_by(server, read, headers=headers))
    await server.wait_awaited(1)
    server.feed(part(b"abc"))
    await server.wait_taken()
    has_arrived.set()
    assert await request == b"abc"


@pytest.mark.asyncio
async def test_body_that_has_arrived_is_read_without_waking_the_loop(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    wake_ups: list[Any] = []

    def read(body: IO[bytes]) -> list[bytes]:
        first = body.read(1)
        wake = loop.call_soon_threadsafe
        monkeypatch.setattr(
            loop, "call_soon_threadsafe", lambda *a, **k: (wake_ups.append(a), wake(*a, **k))[1]
        )
        lines = [first, *body]
        monkeypatch.undo()
        return lines

    parts = [part(b"a\n"), part(b"b\n"), END_OF_BODY]
    assert await read_by(server, read, *parts) == [b"a", b"\n", b"b\n"]
    assert wake_ups == []


# How often one side wakes the other


class Crossings:
    """How often the worker thread had the loop wake up, and how often it waited to be woken."""

    def __init__(self) -> None:
        self.to_loop = 0
        self.to_thread = 0


@pytest.fixture
def crossings(monkeypatch: pytest.MonkeyPatch) -> Crossings:
    counted = Crossings()
    call_soon, wait_for, call = Link.call_soon, Link.wait_for, Link.call

    def counted_call_soon(link: Link, *arguments: Any) -> None:
        counted.to_loop += 1
        call_soon(link, *arguments)

    def counted_wait_for(link: Link, is_over: Callable[[], bool]) -> None:
        def looked() -> bool:
            counted.to_thread += 1
            return is_over()

        counted.to_thread -= 1  # it looks once before it waits
        wait_for(link, looked)

    def counted_call(link: Link, work: Any) -> None:
        counted.to_loop += 1
        counted.to_thread += 1
        call(link, work)

    monkeypatch.setattr(Link, "call_soon", counted_call_soon)
    monkeypatch.setattr(Link, "wait_for", counted_wait_for)
    monkeypatch.setattr(Link, "call", counted_call)
    return counted


@pytest.mark.parametrize("thread_sensitive", [False, True])
@pytest.mark.parametrize(
    "read",
    [
        lambda body: len(body.read(5000)),
        lambda body: len(body.read()),
        lambda body: body.readinto(bytearray(5000)),
    ],
)
@pytest.mark.asyncio
async def test_many_messages_for_one_read_cross_once(
    http_scope: MakeScope, server: Any, crossings: Crossings, read: Read, thread_sensitive: bool
) -> None:
    seen: list[Any] = []
    server.feed(*[part(bytes(100))] * 50, END_OF_BODY)
    app = WsgiToAsgi(reading(read, seen), request_window=1000, thread_sensitive=thread_sensitive)
    await app(http_scope(), server.receive, server.send)
    assert seen == [5000]
    assert crossings.to_loop == 1
    assert crossings.to_thread <= 1  # or it was all there before the thread came to wait


@pytest.mark.parametrize(
    "read",
    [
        lambda body: len(body.readline()),
        lambda body: len(body.read1()),
        lambda body: len(body.read(100)),
    ],
)
@pytest.mark.asyncio
async def test_window_that_fills_at_once_crosses_once(
    http_scope: MakeScope, server: Any, crossings: Crossings, read: Read
) -> None:
    """However short the messages and the reads in it are; it is asked ahead for one more."""
    seen: list[Any] = []
    server.feed(*[part(bytes(99) + b"\n")] * 10, END_OF_BODY)
    app = WsgiToAsgi(
        reading(lambda body: [read(body) for _ in range(10)], seen), request_window=1000
    )
    await app(http_scope(), server.receive, server.send)
    assert seen == [[100] * 10]
    assert crossings.to_loop <= 2
    assert crossings.to_thread <= 1


@pytest.mark.asyncio
async def test_read_beyond_the_window_gets_messages_of_any_sizes(
    http_scope: MakeScope, server: Any
) -> None:
    """Also where the largest of them would not fit in once more."""
    seen: list[Any] = []
    server.feed(*(part(bytes(size)) for size in (50, 30, 1, 1, 18)))
    app = WsgiToAsgi(reading(lambda body: len(body.read(100)), seen), request_window=10)
    await app(http_scope(), server.receive, server.send)
    assert seen == [100]


# How much is held


@pytest.mark.asyncio
async def test_no_more_than_the_window_is_held(server: Any, http_scope: MakeScope) -> None:
    goes_on = threading.Event()
    seen: list[Any] = []

    def read(body: IO[bytes]) -> int:
        first = body.read(1)
        patiently(goes_on)()
        return len(first + body.read())

    server.feed(*[part(bytes(100))] * 50, END_OF_BODY)
    app = WsgiToAsgi(reading(read, seen), request_window=1000)
    request = asyncio.create_task(app(http_scope(), server.receive, server.send))
    await server.wait_awaited(10)
    # A turn of the loop for each message that it would still ask for.
    for _ in range(50):
        await asyncio.sleep(0)
    assert server.awaited <= 11
    goes_on.set()
    await request
    assert seen == [5000]


@pytest.mark.asyncio
async def test_server_is_asked_for_one_large_message_at_a_time(
    server: Any, http_scope: MakeScope
) -> None:
    goes_on = threading.Event()

    def read(body: IO[bytes]) -> bytes:
        line = body.readline()
        patiently(goes_on)()
        return line

    server.feed(*[part(b"a\n" + bytes(1000))] * 5)
    app = WsgiToAsgi(reading(read, []), request_window=100)
    request = asyncio.create_task(app(http_scope(), server.receive, server.send))
    await server.wait_awaited(1)
    for _ in range(50):
        await asyncio.sleep(0)
    assert server.awaited == 1
    goes_on.set()
    await request


@pytest.mark.asyncio
async def test_application_may_answer_while_it_reads(server: Any) -> None:
    class Echo:
        def __init__(self, environ: Any, start_response: Any) -> None:
            self.body = environ["wsgi.input"]
            start_response("200 OK", [])

        def __iter__(self) -> Any:
            return iter(self.body.readline, b"")

    request = asyncio.create_task(server.serve(Echo))
    for number, line in enumerate([b"one\n", b"two\n"]):
        server.feed(part(line))
        await server.wait_sent(2 + number)
        assert server.sent[-1]["body"] == line
    server.feed(END_OF_BODY)
    await request


@pytest.mark.asyncio
async def test_body_that_is_not_read_whole_does_not_keep_the_response_from_its_end(
    server: Any,
) -> None:
    server.feed(*[part(bytes(64 * 1024))] * 4)
    await server.serve(returning(Body(b"a", b"b")))
    assert server.is_complete


@pytest.mark.parametrize("thread_sensitive", [False, True])
@pytest.mark.asyncio
async def test_body_may_be_read_in_a_thread_of_the_application(
    server: Any, http_scope: Callable[..., Any], thread_sensitive: bool
) -> None:
    """As libraries that send it on do."""

    def read(body: IO[bytes]) -> list[bytes]:
        with ThreadPoolExecutor(1) as executor:
            return [executor.submit(body.read, 3).result(PATIENCE), body.read(1), body.read()]

    seen: list[Any] = []
    app = WsgiToAsgi(reading(read, seen), thread_sensitive=thread_sensitive)
    server.feed(part(b"ab"), part(b"cd"), part(b"ef", more_body=False))
    await app(http_scope(method="POST"), server.receive, server.send)
    assert seen == [[b"abc", b"d", b"ef"]]
    assert server.is_complete


@pytest.mark.parametrize("thread_sensitive", [False, True])
@pytest.mark.asyncio
async def test_disconnect_fails_the_read_in_a_thread_of_the_application(
    server: Any, http_scope: Callable[..., Any], thread_sensitive: bool
) -> None:
    def read(body: IO[bytes]) -> bytes:
        with ThreadPoolExecutor(1) as executor:
            return executor.submit(body.read).result(PATIENCE)

    seen: list[Any] = []
    app = WsgiToAsgi(reading(read, seen), thread_sensitive=thread_sensitive)
    server.feed(part(b"ab"), DISCONNECT)
    await app(http_scope(method="POST"), server.receive, server.send)
    assert isinstance(seen[0], ConnectionError)


@pytest.mark.asyncio
async def test_reading_on_after_an_error_that_was_caught_raises_it_again(
    server: Any, http_scope: MakeScope
) -> None:
    async def receive() -> Any:
        raise LookupError("the middleware failed")

    def read(body: IO[bytes]) -> None:
        for _ in range(2):
            with pytest.raises(LookupError):
                body.read(1)

    seen: list[Any] = []
    await WsgiToAsgi(reading(read, seen))(http_scope(), receive, server.send)
    assert seen == [None]
    await wait_until(lambda: server.is_complete)


# Any body, in any parts, read in any way

reads = st.one_of(
    st.tuples(st.sampled_from(["read", "readline"]), st.integers(0, 12)),
    st.tuples(st.just("readlines"), st.integers(0, 12)),
)


@example([b"\n", b"\n"], [("readlines", 1)])
@given(st.lists(st.binary(max_size=9) | st.just(b"\n"), max_size=8), st.lists(reads, max_size=8))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_any_body_reads_like_a_file(parts: list[bytes], calls: list[tuple[str, int]]) -> None:
    def read(body: IO[bytes]) -> list[Any]:
        return [*(getattr(body, name)(size) for name, size in calls), body.read()]

    messages = [part(chunk) for chunk in parts] + [END_OF_BODY]
    seen: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        pass

    app = WsgiToAsgi(reading(read, seen), request_window=4)
    scope = {"type": "http", "method": "POST", "path": "/"}
    asyncio.run(app(scope, receive, send))
    # In the same buffer as other files: those in memory count lines for `readlines` differently.
    assert seen == [read(BufferedReader(BytesIO(b"".join(parts))))]
