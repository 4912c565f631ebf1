"""Random scopes, messages and applications: never a hang, no error but those that are documented.

As many as the profile says; see tests/conftest.py.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from typing import Any

import pytest
from helpers.random_requests import (
    Application,
    applications,
    http_scopes,
    perform,
    request_messages,
)
from helpers.server_threads import PATIENCE
from hypothesis import given
from hypothesis import strategies as st

from asgi_wsgi import WsgiToAsgi

Message = dict[str, Any]


class SendFailedError(OSError):
    pass


class NoMessageLeftError(Exception):
    pass


class Exchange:
    """One scope: its messages, then a wait or an error; what is sent, which may fail."""

    def __init__(
        self, messages: list[Message], fails_after: int | None = None, *, is_finite: bool = False
    ) -> None:
        self.sent: list[Message] = []
        self._is_finite = is_finite
        self._messages = list(messages)
        self._fails_after = fails_after

    async def receive(self) -> Message:
        if self._messages and self._messages[0]["type"] == "http.disconnect":
            return self._messages[0]
        if self._messages:
            return self._messages.pop(0)
        if self._is_finite:
            raise NoMessageLeftError
        return await asyncio.get_running_loop().create_future()

    async def send(self, message: Message) -> None:
        if len(self.sent) == self._fails_after:
            raise SendFailedError
        self.sent.append(message)


async def call(adapter: Any, scope: Any, exchange: Exchange) -> Exception | None:
    """Serve a scope, and return what is raised."""
    try:
        async with asyncio.timeout(PATIENCE):
            await adapter(scope, exchange.receive, exchange.send)
    except TimeoutError:
        raise AssertionError("the adapter hangs") from None
    except Exception as error:
        return error
    return None


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


def by_scope(environ: Any, start_response: Any) -> Any:
    return environ["asgi.scope"]["application"](environ, start_response)


@pytest.fixture(scope="module")
def adapter() -> WsgiToAsgi:
    """One for all, so that none may leave it in a state that disturbs the next."""
    return WsgiToAsgi(by_scope)


def has_surrogates(value: object) -> bool:
    if isinstance(value, str):
        return any("\ud800" <= character <= "\udfff" for character in value)
    return isinstance(value, tuple) and any(has_surrogates(part) for part in value)


@given(
    scope=http_scopes,
    messages=request_messages(),
    application=applications,
    fails_after=st.one_of(st.none(), st.integers(0, 4)),
)
def test_any_request_ends_with_a_response_or_a_documented_error(
    runner: asyncio.Runner,
    adapter: WsgiToAsgi,
    scope: Any,
    messages: list[Message],
    application: Application,
    fails_after: int | None,
) -> None:
    scope = {**scope, "application": application, "results": []}
    exchange = Exchange(messages, fails_after)
    error = runner.run(call(adapter, scope, exchange))
    is_short = application.length is not None and (
        application.length != sum(map(len, application.chunks))
    )
    expected: list[type[Exception]] = []
    if fails_after is not None:
        expected.append(SendFailedError)
    if is_short:
        expected += [ValueError, RuntimeError]
    if any(has_surrogates(value) for value in scope.values()):
        expected.append(ValueError)
    assert error is None or isinstance(error, tuple(expected)), repr(error)
    check_sent(exchange.sent, scope, application)
    has_left = messages[-1]["type"] == "http.disconnect"
    if error is None and not has_left:
        assert not exchange.sent[-1].get("more_body")


def check_sent(sent: list[Message], scope: Any, application: Application) -> None:
    """Fail if a server could not make a response, or the start of one, of these messages."""
    assert [message["type"] for message in sent] == (
        ["http.response.start"][: len(sent)] + ["http.response.body"] * (len(sent) - 1)
    )
    assert all(message["more_body"] for message in sent[1:-1])
    body = b"".join(message.get("body", b"") for message in sent[1:])
    assert b"".join(application.chunks).startswith(body)
    if application.length is not None:
        assert len(body) <= application.length
    if scope["method"] == "HEAD" or application.status[:3] in ("204", "304"):
        assert body == b""


@given(
    chunks=st.lists(st.binary(max_size=30), max_size=5), application=applications, data=st.data()
)
def test_input_reads_like_a_file_of_the_body(
    runner: asyncio.Runner,
    adapter: WsgiToAsgi,
    chunks: list[bytes],
    application: Application,
    data: st.DataObject,
) -> None:
    body = b"".join(chunks)
    length = data.draw(st.one_of(st.none(), st.integers(0, len(body))), "Content-Length")
    headers = [] if length is None else [(b"content-length", str(length).encode())]
    scope = {
        "type": "http", "http_version": "1.1", "method": "POST", "path": "/", "query_string": b"",
        "headers": headers, "application": application, "results": [],
    }  # fmt: skip
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    runner.run(call(adapter, scope, Exchange([*messages, {"type": "http.request"}])))
    file = io.BytesIO(body[:length])
    assert scope["results"] == [perform(file, *read) for read in application.reads]


_kinds = st.one_of(st.sampled_from(["lifespan", "websocket"]), st.text(max_size=8))
_messages = st.sampled_from(
    [
        "lifespan.startup",
        "lifespan.shutdown",
        "websocket.connect",
        "websocket.receive",
        "websocket.disconnect",
        "http.request",
        "unknown",
    ]
)


@given(kind=_kinds.filter("http".__ne__), messages=st.lists(_messages, max_size=4))
def test_any_other_scope_is_acknowledged_or_refused(
    runner: asyncio.Runner, adapter: WsgiToAsgi, kind: str, messages: list[str]
) -> None:
    exchange = Exchange([{"type": message} for message in messages], is_finite=True)
    error = runner.run(call(adapter, {"type": kind}, exchange))
    answers = [message["type"] for message in exchange.sent]
    if kind == "lifespan":
        before_the_end = messages[: [*messages, "lifespan.shutdown"].index("lifespan.shutdown") + 1]
        known = [name for name in before_the_end if name.startswith("lifespan")]
        assert answers == [f"{name}.complete" for name in known]
        assert error is None or isinstance(error, NoMessageLeftError)
    elif kind == "websocket":
        assert answers in ([], ["websocket.close"])
        assert error is None or isinstance(error, NoMessageLeftError)
    else:
        assert answers == []
        assert isinstance(error, ValueError)
