"""What `validator` does around its rules: what passes, who gets an error, and when.

First what is right; then the errors; then what the specification leaves open; then calls that
overlap; then the arguments. The rules themselves are in test_validation_rules.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import gc
import logging
import pickle
import weakref
from typing import Any

import pytest
from helpers import asgi_messages as asgi
from helpers.asgi_messages import play, player, scope

from asgi_server.validation import RULES, ProtocolViolationError, validator

WRONG_START = {"type": "http.response.start", "status": "200"}
RULE = "http.response.start/status/type"
# What no rule says anything of; its name in those of tests is the same in every process.
ANYTHING = Ellipsis


async def forbidden(*arguments: Any) -> Any:
    raise AssertionError("the application must not be called")


# What is right passes as it is


@pytest.mark.parametrize("kind", asgi.SCOPES)
def test_scope_is_passed_on_as_it_is(kind: str) -> None:
    given, passed = scope(kind), []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        passed.append(scope)
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        play(given, [], application)
    assert passed[0] is given


def test_messages_are_passed_on_as_they_are() -> None:
    request = {"type": "http.request", "body": b"x", "x-own": 1}
    received = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        received.append(await receive())
        await player([asgi.START, asgi.END])(scope, receive, send)

    sent = play(scope("http"), [request], application)
    assert received[0] is request
    assert sent[0] is asgi.START
    assert sent[1] is asgi.END


SHORTEST = [
    ("http", {"http_version", "method", "path", "query_string", "headers"}),
    ("websocket", {"path", "headers"}),
    ("lifespan", set()),
]


@pytest.mark.parametrize(("kind", "keys"), SHORTEST)
def test_scope_without_optional_keys_is_right(kind: str, keys: set[str]) -> None:
    optional = scope(kind).keys() - keys - {"type", "asgi"}
    with pytest.raises(ConnectionError):
        play(scope(kind, *optional, asgi={"version": "3.0"}), [], failing(ConnectionError()))


def test_tls_extension_without_optional_keys_is_right() -> None:
    required = ("server_cert", "tls_version", "cipher_suite")
    tls = {key: asgi.TLS[key] for key in required}
    play(scope("http", extensions={"tls": tls}), [asgi.START, asgi.END])


def failing(error: Exception) -> Any:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        raise error

    return application


@pytest.mark.parametrize(
    "changed",
    [
        {"client": None, "server": None, "extensions": None},
        {"raw_path": None},
        {"root_path": "/site", "path": "/other"},
        {"path": "*", "method": "OPTIONS"},
        {"http_version": "1.0"},
        {"http_version": "2", "scheme": "HTTPS"},
        {"http_version": "3"},
        {"server": ["/run/site.sock", None]},
        {"query_string": b"?x=%2F"},
        {"headers": ((b"Host", b"example.org"), (b"cookie", b"a"), (b"cookie", b"b"))},
        {"asgi": {"spec_version": "2.5"}},
        {"asgi": {"version": "3.0", "spec_version": "2.10", "x": 1}},
        {"state": {"database": ANYTHING}},
        {"extensions": {"x.own": {b"any": "thing"}}},
        {"x.own": ANYTHING},
    ],
    ids=str,
)
def test_http_scope_is_right(changed: dict[str, Any]) -> None:
    play(scope("http", **changed), [asgi.REQUEST, asgi.START, asgi.END])


@pytest.mark.parametrize(
    "changed",
    [
        {"http_version": "2"},
        {"query_string": None},
        {"subprotocols": ()},
        {"subprotocols": ("a", "b"), "raw_path": None, "client": None},
    ],
    ids=str,
)
def test_websocket_scope_is_right(changed: dict[str, Any]) -> None:
    play(scope("websocket", **changed), [asgi.CONNECT, asgi.CLOSE])


@pytest.mark.parametrize(
    "certificates",
    [
        {"server_cert": None, "tls_version": None, "cipher_suite": None},
        {"client_cert_chain": [], "client_cert_name": None},
        {"client_cert_chain": ()},
        {"client_cert_error": "expired"},
        {"tls_version": 0, "cipher_suite": 0xFFFF},
    ],
    ids=str,
)
def test_tls_extension_is_right(certificates: dict[str, Any]) -> None:
    extensions = {"tls": {**asgi.TLS, **certificates}}
    play(scope("http", extensions=extensions), [asgi.REQUEST, asgi.START, asgi.END])


def answered(*messages: Any) -> list[Any]:
    return [asgi.CONNECT, asgi.ACCEPT, *messages]


@pytest.mark.parametrize(
    ("kind", "messages"),
    [
        ("http", [{"type": "http.request", "body": b""}, asgi.START, asgi.END]),
        ("http", [{**asgi.START, "headers": ((b"a", b"B"), [b"a", b"C"])}, asgi.END]),
        ("http", [{**asgi.START, "status": 100, "trailers": False}, asgi.END]),
        ("http", [{**asgi.START, "status": 999}, {**asgi.END, "more_body": False, "body": b""}]),
        ("http", [asgi.START, {**asgi.ZERO_COPY, "file": 1, "offset": 0, "count": 0}]),
        ("http", [asgi.START, {**asgi.HINT, "links": ()}, asgi.END]),
        ("http", [{**asgi.DEBUG, "info": {"template": ANYTHING}}, asgi.START, asgi.END]),
        ("websocket", answered({"type": "websocket.receive", "bytes": b"", "text": None})),
        ("websocket", answered({"type": "websocket.receive", "bytes": None, "text": ""})),
        ("websocket", answered({"type": "websocket.receive", "bytes": b"x"})),
        ("websocket", answered({"type": "websocket.send", "text": "", "bytes": None})),
        ("websocket", answered({"type": "websocket.disconnect", "code": 1006, "reason": None})),
        ("websocket", answered({"type": "websocket.disconnect", "code": 4999, "reason": "x"})),
        ("websocket", answered({"type": "websocket.close", "code": 1000, "reason": None})),
        ("websocket", answered({"type": "websocket.close", "code": 4999, "reason": "x"})),
        ("websocket", [asgi.CONNECT, {**asgi.ACCEPT, "subprotocol": None, "headers": []}]),
        ("websocket", [asgi.CONNECT, {**asgi.ACCEPT, "subprotocol": "other"}]),
        ("lifespan", [asgi.STARTUP, {**asgi.NOT_STARTED, "message": ""}]),
    ],
    ids=str,
)
def test_message_is_right(kind: str, messages: list[Any]) -> None:
    play(scope(kind), messages)


def test_old_server_may_be_sent_the_empty_values_of_newer_keys() -> None:
    accept = {**asgi.ACCEPT, "headers": []}
    close = {**asgi.CLOSE, "reason": ""}
    play(scope("websocket", asgi={}, server=None), [asgi.CONNECT, accept, close])


def test_server_may_be_sent_the_keys_of_its_version() -> None:
    for version, accept, close in [
        ("2.1", {**asgi.ACCEPT, "headers": [(b"x-y", b"z")]}, asgi.CLOSE),
        ("2.3", asgi.ACCEPT, {**asgi.CLOSE, "reason": "bye"}),
    ]:
        versions = {"version": "3.0", "spec_version": version}
        play(scope("websocket", asgi=versions, server=None), [asgi.CONNECT, accept, close])


def test_server_of_version_2_2_may_have_a_socket_without_a_port() -> None:
    versions = {"version": "3.0", "spec_version": "2.2"}
    play(scope("websocket", asgi=versions), [asgi.CONNECT, asgi.CLOSE])


def test_file_is_one_with_a_descriptor(tmp_path: Any) -> None:
    with (tmp_path / "file").open("w+b") as file:
        play(scope("http"), [asgi.START, {**asgi.ZERO_COPY, "file": file}])


PAIRS = [[b"x-y", b"1"], [b"x-z", b"2"]]


@pytest.mark.parametrize(
    ("messages", "key", "items"),
    [
        ([asgi.START], "headers", PAIRS),
        ([asgi.START, asgi.PUSH], "headers", PAIRS),
        ([asgi.START, asgi.HINT], "links", [b"</a>", b"</b>"]),
        ([asgi.START_WITH_TRAILERS, asgi.END, asgi.TRAILERS], "headers", PAIRS),
        ([asgi.ACCEPT], "headers", PAIRS),
        ([asgi.DENIAL], "headers", PAIRS),
    ],
)
def test_iterator_is_passed_on_as_a_list(messages: list[Any], key: str, items: Any) -> None:
    kind = messages[0]["type"].partition(".")[0]
    with_iterator = [*messages[:-1], {**messages[-1], key: iter(items)}]
    sent = play(scope(kind), with_iterator, ignore=RETURNS)
    assert sent == [*messages[:-1], {**messages[-1], key: items}]


RETURNS = [rule for rule in RULES if "/return/" in rule]


def test_pairs_that_are_iterators_are_passed_on_as_lists() -> None:
    start = {**asgi.START, "headers": [iter(pair) for pair in PAIRS]}
    assert play(scope("http"), [start, asgi.END])[0] == {**asgi.START, "headers": PAIRS}


@pytest.mark.parametrize(
    ("kind", "key", "items"),
    [
        ("http", "headers", PAIRS),
        ("http", "client", ["127.0.0.1", 50000]),
        ("http", "server", ["127.0.0.1", 443]),
        ("websocket", "headers", PAIRS),
        ("websocket", "client", ["127.0.0.1", 50000]),
        ("websocket", "server", ["/run/site.sock", None]),
        ("websocket", "subprotocols", ["chat", "video"]),
        ("tls", "client_cert_chain", ["a", "b"]),
    ],
)
def test_iterator_of_a_scope_is_passed_on_as_a_list(kind: str, key: str, items: Any) -> None:
    passed: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        passed.append(scope if kind != "tls" else scope["extensions"]["tls"])
        raise ConnectionError

    if kind == "tls":
        given = scope("http", extensions={"tls": {**asgi.TLS, key: iter(items)}})
    else:
        given = scope(kind, **{key: iter(items)})
    with pytest.raises(ConnectionError):
        play(given, [], application)
    assert passed[0][key] == items


@pytest.mark.parametrize("is_async", [True, False])
def test_application_whose_connection_is_lost_need_not_answer(is_async: bool) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        with contextlib.suppress(ConnectionError):
            await send(asgi.START)

    async def receive() -> Any:
        return asgi.REQUEST

    def raise_at_once(message: Any) -> Any:
        raise ConnectionError

    async def raise_later(message: Any) -> Any:
        raise ConnectionError

    send = raise_later if is_async else raise_at_once
    asyncio.run(validator(application)(scope("http"), receive, send))


def test_double_callable_is_called() -> None:
    class Double:
        def __init__(self, scope: Any) -> None:
            self.scope = scope

        async def __call__(self, receive: Any, send: Any) -> None:
            await player([asgi.REQUEST, asgi.START, asgi.END])(self.scope, receive, send)

    assert play(scope("http"), [asgi.REQUEST], Double) == [asgi.START, asgi.END]


# Errors


def test_error_names_rule_party_and_section() -> None:
    with pytest.raises(ProtocolViolationError) as caught:
        play(scope("http"), [WRONG_START])
    error = caught.value
    url = "https://asgi.readthedocs.io/en/latest/specs/www.html#response-start-send-event"
    assert error.rule == RULE
    assert error.at_fault == "application"
    assert (error.section, error.url) == ("Response Start - send event", url)
    assert str(error) == (
        "the application sent {'status': '200', 'type': 'http.response.start'} (dict), in which"
        " 'status' must be an int, not '200' (str) [http.response.start/status/type; see"
        f' "Response Start - send event", {url}]'
    )


def test_error_of_order_says_what_may_come() -> None:
    with pytest.raises(ProtocolViolationError) as caught:
        play(scope("http"), [asgi.END])
    assert caught.value.finding == (
        "sent 'http.response.body' when no response has been started: what may come then is"
        " 'http.response.debug', 'http.response.start', 'http.response.start+trailers'"
    )


def test_error_can_be_pickled_and_copied() -> None:
    error = ProtocolViolationError("rule", "server", "Section", "https://example.org/", "did it")
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert vars(again) == vars(error)
        assert str(again) == str(error)


def test_error_shows_little_of_a_large_message() -> None:
    with pytest.raises(ProtocolViolationError) as caught:
        play(scope("http"), [{**WRONG_START, "body": bytes(10_000_000)}])
    assert len(str(caught.value)) < 500


def test_wrong_scope_is_raised_before_the_application_is_called() -> None:
    with pytest.raises(ProtocolViolationError) as caught:
        play(scope("http", "method"), [], forbidden)
    assert caught.value.rule == "http.scope/method/missing"


def test_wrong_message_of_the_server_is_raised_in_the_application() -> None:
    raised = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        try:
            await receive()
        except ProtocolViolationError as error:
            raised.append(error.rule)
            raise

    with pytest.raises(ProtocolViolationError):
        play(scope("http"), [{"type": "http.request", "body": "x"}], application)
    assert raised == ["http.request/body/type"]


def test_wrong_message_is_not_sent_and_a_right_one_still_can_be() -> None:
    sent = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        with pytest.raises(ProtocolViolationError):
            await send(WRONG_START)
        await send(asgi.START)
        await send(asgi.END)

    async def send(message: Any) -> None:
        sent.append(message)

    with pytest.raises(ProtocolViolationError, match=RULE):
        play(scope("http"), [], application, send=send)
    assert sent == [asgi.START, asgi.END]


def test_error_that_the_application_catches_is_raised_when_it_returns() -> None:
    caught = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        for status in ("1", "2"):
            try:
                await send({**asgi.START, "status": status})
            except ProtocolViolationError as error:
                caught.append(error)

    with pytest.raises(ProtocolViolationError) as raised:
        play(scope("http"), [], application)
    assert raised.value.args == caught[0].args
    assert raised.value.__cause__ is caught[0]


def test_error_comes_in_place_of_what_the_application_makes_of_it() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(send(WRONG_START))

    with pytest.raises(ProtocolViolationError, match=RULE) as raised:
        play(scope("http"), [], application)
    assert isinstance(raised.value.__cause__, ExceptionGroup)


def test_error_that_goes_through_the_application_is_the_one_that_is_raised() -> None:
    caught = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        try:
            await send(WRONG_START)
        except ProtocolViolationError as error:
            caught.append(error)
            raise

    with pytest.raises(ProtocolViolationError) as raised:
        play(scope("http"), [], application)
    assert raised.value is caught[0]


def test_cancellation_is_not_replaced() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        try:
            await send(WRONG_START)
        except ProtocolViolationError:
            raise asyncio.CancelledError from None

    with pytest.raises(asyncio.CancelledError):
        play(scope("http"), [], application)


def test_failure_of_the_application_is_its_own() -> None:
    error = ValueError("broken")
    for kind in asgi.SCOPES:
        with pytest.raises(ValueError, match="broken") as raised:
            play(scope(kind), [], failing(error))
        assert raised.value is error


def test_every_error_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        for message in (WRONG_START, asgi.END):
            with pytest.raises(ProtocolViolationError):
                await send(message)

    with pytest.raises(ProtocolViolationError):
        play(scope("http"), [], application)
    found = [record for record in caplog.records if record.name == "asgi_server.validation"]
    assert [record.levelno for record in found] == [logging.ERROR] * 2
    assert RULE in found[0].getMessage()
    assert "http.response.body/order" in found[1].getMessage()


def test_error_of_a_scope_and_of_a_return_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    for given in (scope("http", "method"), scope("http")):
        with pytest.raises(ProtocolViolationError):
            play(given, [])
    assert "http.scope/method/missing" in caplog.messages[0]
    assert "http/return/no-response" in caplog.messages[1]


async def swallowing(scope: Any, receive: Any, send: Any) -> None:
    try:
        await send(WRONG_START)
    except ProtocolViolationError:
        pass


async def passing_on(scope: Any, receive: Any, send: Any) -> None:
    await send(WRONG_START)


async def replacing(scope: Any, receive: Any, send: Any) -> None:
    try:
        await send(WRONG_START)
    except ProtocolViolationError:
        raise ValueError from None


async def returning(scope: Any, receive: Any, send: Any) -> None:
    pass


@pytest.mark.parametrize("application", [swallowing, passing_on, replacing, returning])
def test_error_leaves_no_reference_cycle(application: Any) -> None:
    class Scope(dict[str, Any]):
        """A dict that can be referred to weakly."""

    async def send(message: Any) -> None:
        pass

    async def call(validated: Any) -> weakref.ref[Any]:
        given = Scope(scope("http"))
        try:
            await validated(given, send, send)
        except ProtocolViolationError:
            pass
        return weakref.ref(given)

    gc.disable()
    try:
        assert asyncio.run(call(validator(application)))() is None
    finally:
        gc.enable()


# The end of a connection


def test_application_may_return_when_the_client_is_gone() -> None:
    play(scope("http"), [asgi.REQUEST, asgi.START, asgi.PART, asgi.DISCONNECT])
    play(scope("websocket"), [asgi.CONNECT, asgi.GONE])


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_application_may_return_when_send_has_failed(kind: str) -> None:
    async def send(message: Any) -> None:
        raise ConnectionResetError

    async def application(scope: Any, receive: Any, send: Any) -> None:
        with pytest.raises(ConnectionResetError):
            await send(asgi.START if kind == "http" else asgi.DENIAL)

    play(scope(kind), [], application, send=send)


def test_application_may_return_when_receive_has_failed() -> None:
    async def receive() -> Any:
        raise ConnectionResetError

    async def application(scope: Any, receive: Any, send: Any) -> None:
        with pytest.raises(ConnectionResetError):
            await receive()

    play(scope("http"), [], application, receive=receive)


def test_application_may_return_from_an_open_websocket() -> None:
    play(scope("websocket"), answered())


def test_server_that_answers_with_another_request_is_found() -> None:
    """After the end of the body, `receive()` has to wait for the client to leave."""
    messages = [asgi.REQUEST, asgi.REQUEST, asgi.START, asgi.END]
    with pytest.raises(ProtocolViolationError) as raised:
        play(scope("http"), messages)
    assert raised.value.rule == "http.request/order"
    assert raised.value.at_fault == "server"


def test_send_after_the_application_has_ended_is_found(caplog: pytest.LogCaptureFixture) -> None:
    senders: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        senders.append(send)
        await send(asgi.ACCEPT)

    play(scope("websocket"), [], application)
    with pytest.raises(ProtocolViolationError) as raised:
        asyncio.run(senders[0](asgi.SEND))
    assert raised.value.rule == "send/ended"
    assert raised.value.at_fault == "application"
    assert "send/ended" in caplog.text


# What the specification leaves open


def test_scope_of_unknown_type_and_its_messages_pass() -> None:
    class Own(dict[str, Any]):
        pass

    messages = [{"type": "udp.send"}, {"type": "http.response.body", "body": None}, Own(type="x")]
    assert play({"type": "udp", "state": 1}, messages) == messages


def test_events_of_others_pass() -> None:
    """A chat message, say, from another part of the application (main, "Events")."""

    async def receive() -> Any:
        return {"type": "chat.message", "text": None}

    async def application(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "chat.message"
        await player([asgi.START, asgi.END])(scope, receive, send)

    play(scope("http"), [], application, receive=receive)


@pytest.mark.parametrize("extensions", [{"fullflush": {}}, {"fullflush": {}, "tls": asgi.TLS}])
def test_messages_of_an_extension_that_is_not_published_pass(extensions: Any) -> None:
    messages = [asgi.START, {"type": "http.fullflush"}, asgi.END]
    assert play(scope("http", extensions=extensions), messages) == messages


def test_request_may_go_on_after_the_response() -> None:
    play(scope("http"), [asgi.START, asgi.END, asgi.PART_OF_REQUEST, asgi.REQUEST])


# Calls that overlap


def test_answer_may_come_while_send_still_waits() -> None:
    """A server may deliver data as soon as it has the acceptance, before `send()` returns."""
    has_received = asyncio.Event()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        accepting = asyncio.create_task(send(asgi.ACCEPT))
        await asyncio.sleep(0)
        assert not accepting.done()
        assert await receive() == asgi.RECEIVED
        has_received.set()
        await accepting

    async def send(message: Any) -> None:
        await has_received.wait()

    play(scope("websocket"), [asgi.CONNECT, asgi.RECEIVED], application, send=send)


def test_receive_and_send_may_wait_at_once_in_several_tasks() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(asgi.START)
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(receive())
            for _ in range(10):
                group.create_task(send(asgi.PART))
        assert watching.result() == asgi.DISCONNECT

    sent = play(scope("http"), [asgi.REQUEST, asgi.DISCONNECT], application)
    assert len(sent) == 11


def test_receive_that_is_cancelled_loses_nothing() -> None:
    queue: asyncio.Queue[Any] = asyncio.Queue()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await receive()
        queue.put_nowait(asgi.REQUEST)
        assert await receive() is asgi.REQUEST
        await player([asgi.START, asgi.END])(scope, receive, send)

    play(scope("http"), [], application, receive=queue.get)


def test_calls_of_one_application_have_nothing_to_do_with_each_other() -> None:
    validated = validator(player([asgi.REQUEST, asgi.START, asgi.END]))

    async def receive() -> Any:
        return asgi.REQUEST

    async def send(message: Any) -> None:
        await asyncio.sleep(0)

    async def main() -> None:
        calls = [validated(scope("http"), receive, send) for _ in range(10)]
        await asyncio.gather(*calls)

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_request_with_the_state_of_the_lifespan_itself_is_found(kind: str) -> None:
    state: dict[str, Any] = {}
    raised: list[Any] = []

    async def application(scope_: Any, receive: Any, send: Any) -> None:
        if scope_["type"] != "lifespan":
            raise ConnectionError
        for given in (state, state.copy()):
            try:
                await validated(scope(kind, state=given), receive, send)
            except (ProtocolViolationError, ConnectionError) as error:
                raised.append(error)
        raise ConnectionError

    validated = validator(application)
    for _ in range(2):
        with pytest.raises(ConnectionError):
            asyncio.run(validated(scope("lifespan", state=state), forbidden, forbidden))
    # Once the lifespan is over, its state is like any other.
    with pytest.raises(ConnectionError):
        asyncio.run(validated(scope(kind, state=state), forbidden, forbidden))
    assert [error.rule for error in raised[::2]] == [f"{kind}.scope/state/shared"] * 2
    assert [error.at_fault for error in raised[::2]] == ["server"] * 2
    assert [type(error) for error in raised[1::2]] == [ConnectionError] * 2


def test_state_of_one_lifespan_is_known_when_another_has_ended() -> None:
    states: list[dict[str, Any]] = [{}, {}]

    async def application(scope_: Any, receive: Any, send: Any) -> None:
        if scope_["state"] is states[0]:
            other = scope("lifespan", state=states[1])
            with pytest.raises(ConnectionError):
                await validated(other, forbidden, forbidden)
            await validated(scope("http", state=states[0]), forbidden, forbidden)
        raise ConnectionError

    validated = validator(application)
    with pytest.raises(ProtocolViolationError) as raised:
        asyncio.run(validated(scope("lifespan", state=states[0]), forbidden, forbidden))
    assert raised.value.rule == "http.scope/state/shared"


# Arguments


@pytest.mark.parametrize("application", [None, "application", lambda: None])
def test_what_is_no_application_is_refused(application: Any) -> None:
    with pytest.raises(TypeError, match="is not an ASGI application"):
        validator(application)


def test_rule_that_is_ignored_may_be_broken_and_no_other() -> None:
    ignore = ["http.response.start/headers/lowercase"]
    start = {**asgi.START, "headers": [(b"X-Y", b"z")]}
    pseudo = {**asgi.START, "headers": [(b"X-Y", b"z"), (b":path", b"/")]}

    assert play(scope("http"), [start, asgi.END], ignore=ignore) == [start, asgi.END]
    with pytest.raises(ProtocolViolationError, match="start/headers/pseudo"):
        play(scope("http"), [pseudo, asgi.END], ignore=ignore)


def test_message_that_is_ignored_for_its_order_changes_nothing() -> None:
    messages = [asgi.START, asgi.START, asgi.PART, asgi.END, asgi.END]
    ignore = ["http.response.start/order", "http.response.body/order"]
    assert play(scope("http"), messages, ignore=ignore) == messages


def test_one_rule_may_be_given_as_it_is() -> None:
    play(scope("http"), [], ignore="http/return/no-response")


def test_what_is_no_rule_cannot_be_ignored() -> None:
    with pytest.raises(ValueError, match="no rules that can be ignored: 'scope/dict', 'x'; RULES"):
        validator(forbidden, ignore=["scope/dict", "x", "http/return/body"])
