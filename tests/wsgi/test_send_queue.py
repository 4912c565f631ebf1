"""How a response leaves: promptly, in order, in few wake-ups, and no faster than its client."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from helpers.wsgi_applications import (
    END_OF_BODY,
    PATIENCE,
    Body,
    hello,
    patiently,
    returning,
    wait_set,
    wait_until,
)

from asgi_wsgi import WsgiToAsgi
from asgi_wsgi._link import Link

pytestmark = pytest.mark.asyncio

MakeScope = Callable[..., Any]


@pytest.fixture
def wake_ups(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """The calls by which other threads wake the event loop."""
    calls: list[Any] = []
    wake = asyncio.BaseEventLoop.call_soon_threadsafe

    def noting(loop: Any, callback: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(callback)
        return wake(loop, callback, *args, **kwargs)

    monkeypatch.setattr(asyncio.BaseEventLoop, "call_soon_threadsafe", noting)
    return calls  # type: ignore[return-value]


async def test_complete_body_is_one_crossing(server: Any, wake_ups: list[Any]) -> None:
    """The end of the call of the application: nothing before it."""
    await server.call(hello)
    assert len(wake_ups) == 1


async def test_complete_body_needs_no_other_task(server: Any) -> None:
    tasks: list[Any] = []
    loop = asyncio.get_running_loop()
    loop.set_task_factory(
        lambda loop, coroutine, **kwargs: (
            tasks.append(coroutine),
            asyncio.Task(coroutine, loop=loop, **kwargs),
        )[1]
    )
    await server.call(hello)
    loop.set_task_factory(None)
    assert tasks == []


async def test_chunks_that_come_while_the_loop_is_busy_share_a_wake_up(
    server: Any, wake_ups: list[Any]
) -> None:
    all_are_given = threading.Event()
    body = Body(*[b"a"] * 50, all_are_given.set)

    async def request() -> None:
        await server.call(returning(body))

    task = asyncio.create_task(request())
    await asyncio.sleep(0)
    patiently(all_are_given)()  # the loop stands still meanwhile
    await task
    # One for the chunks, one for the end of the call.
    assert len(wake_ups) == 2
    assert server.body == b"a" * 50


async def test_chunk_leaves_before_the_next_one_is_made(server: Any) -> None:
    chunk_arrived = threading.Event()
    body = Body(b"a", patiently(chunk_arrived), b"b")
    request = asyncio.create_task(server.call(returning(body)))
    await server.wait_sent(2)
    chunk_arrived.set()
    await request
    assert server.body == b"ab"


async def test_chunks_leave_in_order(server: Any) -> None:
    chunks = [str(number).encode() for number in range(1000)]
    await server.call(returning(Body(*chunks)))
    assert [message["body"] for message in server.sent[1:-1]] == chunks


@pytest.mark.parametrize(("size", "given"), [(1, 4), (100, 3), (1000, 2), (5000, 2)])
async def test_application_waits_when_the_window_is_on_its_way(
    server: Any,
    http_scope: MakeScope,
    monkeypatch: pytest.MonkeyPatch,
    size: int,
    given: int,
) -> None:
    """Each message counts for 512 bytes more than it has; a chunk may exceed the window."""
    waits = threading.Event()
    wait_for = Link.wait_for

    def wait_and_tell(link: Link, is_over: Callable[[], bool]) -> None:
        if not is_over():
            waits.set()
        wait_for(link, is_over)

    monkeypatch.setattr(Link, "wait_for", wait_and_tell)
    body = Body(forever=bytes(size))
    server.may_send.clear()
    app = WsgiToAsgi(returning(body), response_window=1600)
    request = asyncio.create_task(app(http_scope(), server.receive, server.send))
    await server.wait_sent(1)
    await wait_set(waits)
    # What is on its way, and the chunk that there was no room for.
    assert body.given == given
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request


async def test_application_goes_on_when_the_client_does(server: Any, http_scope: MakeScope) -> None:
    body = Body(*[bytes(1000)] * 20)
    server.may_send.clear()
    app = WsgiToAsgi(returning(body), response_window=1600)
    request = asyncio.create_task(app(http_scope(), server.receive, server.send))
    await wait_until(lambda: body.given == 2)
    server.may_send.set()
    await request
    assert len(server.body) == 20_000


async def test_complete_body_frees_the_thread_before_a_slow_client_has_it(
    server: Any, http_scope: MakeScope
) -> None:
    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        pass

    server.may_send.clear()
    app = WsgiToAsgi(hello, max_workers=1)
    slow = asyncio.create_task(app(http_scope(), receive, server.send))
    await server.wait_sent(1)
    await app(http_scope(), receive, send)
    server.may_send.set()
    await slow
    assert server.is_complete


async def test_what_came_before_an_error_leaves(server: Any) -> None:
    def fail() -> None:
        raise LookupError("the application failed")

    with pytest.raises(LookupError):
        await server.call(returning(Body(*[b"a"] * 20, fail)))
    assert server.body == b"a" * 20
    assert not server.is_complete


async def _turns_while_sending(server: Any, scope: Any, body: Any, wait_next: Any) -> int:
    """How often the loop had a turn while a body left to a server that takes all at once."""
    turns = 0
    seen: set[int] = set()

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def send(message: Any) -> None:
        if message.get("body"):
            wait_next()
            seen.add(turns)

    server.feed(END_OF_BODY)
    counting = asyncio.create_task(count())
    await WsgiToAsgi(returning(body))(scope, server.receive, send)
    counting.cancel()
    return len(seen)


async def test_list_of_many_chunks_leaves_turns_to_other_requests(
    server: Any, http_scope: MakeScope
) -> None:
    chunks = [b"a"] * 100
    assert await _turns_while_sending(server, http_scope(), chunks, lambda: None) > 5


async def test_application_that_is_faster_than_send_leaves_turns_to_other_requests(
    server: Any, http_scope: MakeScope
) -> None:
    put = threading.Semaphore(0)
    chunks = Body(*(step for _ in range(100) for step in (b"a", put.release)), put.release)
    put_before_first_is_taken = iter([True])

    def wait_next() -> None:
        """Keep the loop until there is a chunk more to send."""
        for _ in range(1 + next(put_before_first_is_taken, False)):
            assert put.acquire(timeout=PATIENCE)

    assert await _turns_while_sending(server, http_scope(), chunks, wait_next) > 5
