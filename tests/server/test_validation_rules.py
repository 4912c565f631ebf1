"""Each rule of `asgi_server.validation` has a small application or server that breaks it.

First values, key by key; then the order of messages, the end of the application, and the rest.
The last test holds that no rule is left out.
"""

from __future__ import annotations

import functools
import io
from typing import Any

import pytest
from helpers import asgi_messages as asgi
from helpers.asgi_messages import player, run_at_once, scope

from asgi_server.validation import RULES, ProtocolViolationError

MISSING = object()
play = functools.partial(asgi.play, run=run_at_once)


# What is wrong with a key: its value, or that it is not there.
PSEUDO_HEADER = [(b":path", b"/")]
UPPER_CASE = [(b"X-Y", b"z")]
HEADERS = {"type": [(b"x-y", "z")], "lowercase": UPPER_CASE, "pseudo": PSEUDO_HEADER}
STATUS = {"missing": MISSING, "type": "200", "value": 20}
SCOPE = {
    "asgi": {
        "missing": MISSING,
        "type": "3.0",
        "version": {"version": 3.0},
        "spec_version": {"version": "3.0", "spec_version": "2"},
    },
    "path": {"missing": MISSING, "type": b"/"},
    "raw_path": {"type": "/", "query": b"/?x=1"},
    "root_path": {"type": None},
    "scheme": {"type": b"http", "empty": ""},
    "headers": {"missing": MISSING, "type": {b"x-y": b"z"}, "pseudo": PSEUDO_HEADER},
    "client": {"type": ("127.0.0.1", "80")},
    "server": {"type": "127.0.0.1:80"},
    "state": {"type": None},
    "extensions": {"type": [], "value": {"http.response.push": True}},
}
WRONG: dict[str, dict[str, dict[str, Any]]] = {
    "http.scope": {
        **SCOPE,
        "http_version": {"missing": MISSING, "type": 1.1, "value": "HTTP/1.1"},
        "method": {"missing": MISSING, "type": b"GET", "empty": "", "uppercase": "get"},
        "query_string": {"missing": MISSING, "type": "x=1"},
    },
    "websocket.scope": {
        **SCOPE,
        "http_version": {"type": 1.1, "value": "1.0"},
        "query_string": {"type": "x=1"},
        "subprotocols": {"type": "chat"},
    },
    "lifespan.scope": {
        "asgi": SCOPE["asgi"],
        "state": {"type": None, "empty": {"database": None}},
        "extensions": SCOPE["extensions"],
    },
    "tls": {
        "server_cert": {"missing": MISSING, "type": b"-----BEGIN CERTIFICATE-----"},
        "client_cert_chain": {"type": "-----BEGIN CERTIFICATE-----"},
        "client_cert_name": {"type": b"CN=client"},
        "client_cert_error": {"type": ValueError("expired"), "empty": ""},
        "tls_version": {"missing": MISSING, "type": "TLSv1.3", "value": -1},
        "cipher_suite": {"missing": MISSING, "type": "TLS_AES_128_GCM_SHA256", "value": 0x10000},
    },
    "http.request": {"body": {"type": bytearray(b"x")}, "more_body": {"type": 1}},
    "http.response.start": {
        "status": STATUS,
        "headers": HEADERS,
        "trailers": {"type": "yes"},
    },
    "http.response.body": {"body": {"type": "x"}, "more_body": {"type": None}},
    "http.response.zerocopysend": {
        "file": {"missing": MISSING, "type": io.BytesIO()},
        "offset": {"type": 1.0, "value": -1},
        "count": {"type": True, "value": -1},
        "more_body": {"type": 0},
    },
    "http.response.pathsend": {
        "path": {"missing": MISSING, "type": b"/dev/null", "absolute": "null"},
    },
    "http.response.trailers": {
        "headers": {**HEADERS, "missing": MISSING},
        "more_trailers": {"type": None},
    },
    "http.response.push": {
        "path": {"missing": MISSING, "type": b"/"},
        "headers": {**HEADERS, "missing": MISSING},
    },
    "http.response.early_hint": {"links": {"missing": MISSING, "type": ["</style.css>"]}},
    "http.response.debug": {"info": {"missing": MISSING, "type": {b"template": None}}},
    "websocket.receive": {"bytes": {"type": "hello"}, "text": {"type": b"hello"}},
    "websocket.disconnect": {
        "code": {"missing": MISSING, "type": None, "value": 0},
        "reason": {"type": b"bye"},
    },
    "websocket.accept": {
        "subprotocol": {"type": b"chat"},
        "headers": {**HEADERS, "subprotocol": [(b"sec-websocket-protocol", b"chat")]},
    },
    "websocket.send": {"bytes": {"type": "hello"}, "text": {"type": b"hello"}},
    "websocket.close": {
        "code": {"type": "1000", "value": 5000, "reserved": 1006},
        "reason": {"type": 1},
    },
    "websocket.http.response.start": {"status": STATUS, "headers": HEADERS},
    "websocket.http.response.body": {"body": {"type": "no"}, "more_body": {"type": 0}},
    "lifespan.startup.failed": {"message": {"type": None}},
    "lifespan.shutdown.failed": {"message": {"type": OSError("busy")}},
}
WRONG_VALUES = [
    pytest.param(form, key, value, id=f"{form}/{key}/{aspect}")
    for form, keys in WRONG.items()
    for key, aspects in keys.items()
    for aspect, value in aspects.items()
]
OF_SCOPES = {"http.scope", "websocket.scope", "lifespan.scope", "tls"}
RIGHT_MESSAGES = {
    message["type"]: message for message in asgi.MESSAGES if "more_body" not in message
}


def changed(content: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    rest = {name: other for name, other in content.items() if name != key}
    return rest if value is MISSING else {**rest, key: value}


def found(*arguments: Any, **keywords: Any) -> ProtocolViolationError:
    with pytest.raises(ProtocolViolationError) as caught:
        play(*arguments, **keywords)
    return caught.value


def broken(form: str, key: str, value: Any) -> tuple[Any, list[Any]]:
    """A scope and the messages, of which one has a key that is wrong."""
    if form == "tls":
        return scope("http", extensions={"tls": changed(asgi.TLS, key, value)}), []
    if form.endswith(".scope"):
        return changed(scope(form.removesuffix(".scope")), key, value), []
    return scope(form.partition(".")[0]), [changed(RIGHT_MESSAGES[form], key, value)]


@pytest.mark.parametrize(("form", "key", "value"), WRONG_VALUES)
def test_wrong_value_is_found(form: str, key: str, value: Any, request: Any) -> None:
    error = found(*broken(form, key, value))
    is_of_server = form in asgi.OF_SERVER or form in OF_SCOPES
    assert error.rule == request.node.callspec.id
    assert error.at_fault == ("server" if is_of_server else "application")


# Other values of which one is not enough

MORE_WRONG = [
    ("http.scope/client/type", ("127.0.0.1", 80, "x")),
    ("http.scope/client/type", "ab"),
    ("http.scope/server/type", 80),
    ("http.scope/server/type", ["127.0.0.1", True]),
    ("http.scope/headers/type", [(b"x-y", b"z", b"z")]),
    ("http.scope/headers/type", [b"xy"]),
    ("http.scope/asgi/spec_version", {"version": "3.0", "spec_version": "2.3x"}),
    ("http.scope/asgi/spec_version", {"version": "3.0", "spec_version": "new"}),
    ("http.scope/asgi/spec_version", {"version": "3.0", "spec_version": 2.3}),
    ("http.scope/asgi/type", {1: 2}),
    ("http.scope/path/type", None),
    ("websocket.scope/subprotocols/type", b"chat"),
    ("websocket.scope/server/type", [b"127.0.0.1", 80]),
    ("tls/tls_version/value", 0x10000),
    ("tls/cipher_suite/value", -1),
    ("http.response.start/status/value", 99),
    ("http.response.start/status/value", 1000),
    ("http.response.start/headers/type", [("x-y", b"z")]),
    ("http.response.start/headers/type", b"x-y: z"),
    ("http.response.zerocopysend/file/type", -1),
    ("http.response.zerocopysend/file/type", "file"),
    ("http.response.early_hint/links/type", b"</style.css>"),
    ("websocket.close/code/value", 999),
    ("websocket.close/code/reserved", 1005),
    ("websocket.close/code/reserved", 1015),
    ("websocket.disconnect/code/value", 5000),
]


@pytest.mark.parametrize(("rule", "value"), MORE_WRONG, ids=str)
def test_another_wrong_value_is_found(rule: str, value: Any) -> None:
    form, key, _ = rule.split("/")
    assert found(*broken(form, key, value)).rule == rule
    outcome(rule, *broken(form, key, value))


def test_header_for_the_subprotocol_is_found_in_any_case() -> None:
    accept = {**asgi.ACCEPT, "headers": [(b"Sec-WebSocket-Protocol", b"chat")]}
    error = found(scope("websocket"), [accept], ignore=["websocket.accept/headers/lowercase"])
    assert error.rule == "websocket.accept/headers/subprotocol"


# None, which a key that is left out often stands for, is not the same where it is there

MAY_BE_NONE = {
    "http.scope": "raw_path client server extensions",
    "websocket.scope": "raw_path query_string client server extensions",
    "lifespan.scope": "extensions",
    "tls": "server_cert client_cert_name client_cert_error tls_version cipher_suite",
    "websocket.accept": "subprotocol",
    "websocket.receive": "bytes text",
    "websocket.disconnect": "reason",
    "websocket.send": "bytes text",
    "websocket.close": "reason",
}


@pytest.mark.parametrize(("form", "key"), [(form, key) for form in WRONG for key in WRONG[form]])
def test_none_is_wrong_where_it_is_no_default(form: str, key: str) -> None:
    rules = set()
    try:
        play(*broken(form, key, None))
    except ProtocolViolationError as error:
        rules.add(error.rule)
    may_be_none = key in MAY_BE_NONE.get(form, "").split()
    assert (f"{form}/{key}/type" in rules) is not may_be_none


# What a key needs of others, of the server's version or of its extensions

OLD = {"version": "3.0", "spec_version": "2.0"}
HTTP, WEBSOCKET = scope("http"), scope("websocket")
BARE_HTTP, BARE_WEBSOCKET = scope("http", "extensions"), scope("websocket", "extensions")
CHAIN_WITHOUT_NAME = {**asgi.TLS, "client_cert_name": None}
RELATIONS = [
    ("tls/chain", "server", scope("http", extensions={"tls": CHAIN_WITHOUT_NAME}), []),
    ("http.scope/server/version", "server", scope("http", asgi=OLD, server=["/a", None]), []),
    ("websocket.scope/server/version", "server", scope("websocket", asgi={"version": "3.0"}), []),
    (
        "websocket.receive/content",
        "server",
        WEBSOCKET,
        [
            asgi.CONNECT,
            asgi.ACCEPT,
            {"type": "websocket.receive", "text": "x", "bytes": b"x"},
        ],
    ),
    (
        "websocket.send/content",
        "application",
        WEBSOCKET,
        [
            asgi.CONNECT,
            asgi.ACCEPT,
            {"type": "websocket.send", "text": None},
        ],
    ),
    (
        "websocket.accept/headers/version",
        "application",
        scope("websocket", asgi=OLD, server=None),
        [asgi.CONNECT, {"type": "websocket.accept", "headers": [(b"x-y", b"z")]}],
    ),
    (
        "websocket.close/reason/version",
        "application",
        scope("websocket", asgi={"version": "3.0", "spec_version": "2.2"}),
        [asgi.CONNECT, {"type": "websocket.close", "reason": "no"}],
    ),
    (
        "http.response.start/trailers/extension",
        "application",
        BARE_HTTP,
        [asgi.START_WITH_TRAILERS],
    ),
    *(
        (f"{message['type']}/extension", "application", BARE_HTTP, [asgi.START, message])
        for message in (
            asgi.ZERO_COPY,
            asgi.PATH_SEND,
            asgi.TRAILERS,
            asgi.PUSH,
            asgi.HINT,
            asgi.DEBUG,
        )
    ),
    *(
        (f"{message['type']}/extension", "application", BARE_WEBSOCKET, [asgi.CONNECT, message])
        for message in (asgi.DENIAL, asgi.END_OF_DENIAL)
    ),
]


@pytest.mark.parametrize(
    ("rule", "party", "scope", "messages"), [pytest.param(*case, id=case[0]) for case in RELATIONS]
)
def test_what_does_not_go_together_is_found(
    rule: str, party: str, scope: Any, messages: list[Any]
) -> None:
    error = found(scope, messages)
    assert (error.rule, error.at_fault) == (rule, party)


# Order: every state of a protocol, the messages that lead to it, and those that may follow

ALL = {
    kind: [message for message in asgi.MESSAGES if message["type"].startswith(f"{kind}.")]
    for kind in asgi.SCOPES
}
A = asgi
BODIES = [A.PART, A.END, A.PART_BY_ZERO_COPY, A.ZERO_COPY, A.PUSH, A.HINT]
REQUESTS = [A.REQUEST, A.PART_OF_REQUEST, A.DISCONNECT]
PARTS = [A.PART, A.PART_BY_ZERO_COPY]
WHOLE_BODIES = [
    [A.PATH_SEND],
    *([*before, end] for before in ([], [A.PUSH], [A.HINT]) for end in (A.END, A.ZERO_COPY)),
    *([part, end] for part in PARTS for end in (A.END, A.ZERO_COPY)),
    *([A.PART, again, A.END] for again in (*PARTS, A.PUSH, A.HINT)),
    *([A.PART_BY_ZERO_COPY, again, A.END] for again in (*PARTS, A.PUSH, A.HINT)),
]
DENIALS = [A.PART_OF_DENIAL, A.END_OF_DENIAL]
STARTS = [A.START, A.START_WITH_TRAILERS]
# Messages, and what may come after them, of either side.
MAY_FOLLOW: dict[str, list[tuple[list[Any], list[Any]]]] = {
    "http": [
        ([], [*REQUESTS, *STARTS, A.DEBUG]),
        ([A.DEBUG], [*REQUESTS, *STARTS]),
        ([A.PART_OF_REQUEST], [*REQUESTS, *STARTS, A.DEBUG]),
        ([A.REQUEST], [A.DISCONNECT, *STARTS, A.DEBUG]),
        ([A.PART_OF_REQUEST, A.REQUEST], [A.DISCONNECT, *STARTS, A.DEBUG]),
        ([A.DISCONNECT], [A.DISCONNECT, *STARTS, A.DEBUG]),
        ([A.DISCONNECT, A.DISCONNECT], [A.DISCONNECT, *STARTS, A.DEBUG]),
        ([A.REQUEST, A.DISCONNECT], [A.DISCONNECT, *STARTS, A.DEBUG]),
        *(
            ([*before, start, *between], [*REQUESTS, *BODIES, A.PATH_SEND])
            for before in ([], [A.DEBUG])
            for start in STARTS
            for between in ([], [A.PUSH], [A.HINT])
        ),
        *(
            ([start, *between, part, *more], [*REQUESTS, *BODIES])
            for start in STARTS
            for between in ([], [A.PUSH], [A.HINT])
            for part in PARTS
            for more in ([], [A.PUSH], [A.HINT], *([again] for again in PARTS))
        ),
        *(
            ([start, *body], [*REQUESTS, *trailers])
            for start, trailers in zip(STARTS, ([], [A.TRAILERS, A.MORE_TRAILERS]), strict=True)
            for body in WHOLE_BODIES
        ),
        ([A.DEBUG, A.START, A.END], REQUESTS),
        ([A.DEBUG, A.START_WITH_TRAILERS, A.END], [*REQUESTS, A.TRAILERS, A.MORE_TRAILERS]),
        ([A.START_WITH_TRAILERS, A.END, A.MORE_TRAILERS], [*REQUESTS, A.TRAILERS, A.MORE_TRAILERS]),
        ([A.START_WITH_TRAILERS, A.END, A.TRAILERS], REQUESTS),
        ([A.START_WITH_TRAILERS, A.END, A.MORE_TRAILERS, A.TRAILERS], REQUESTS),
    ],
    "websocket": [
        ([], [A.CONNECT, A.ACCEPT, A.CLOSE, A.DENIAL]),
        ([A.CONNECT], [A.GONE, A.ACCEPT, A.CLOSE, A.DENIAL]),
        ([A.CONNECT, A.GONE], [A.GONE, A.ACCEPT, A.CLOSE, A.DENIAL]),
        ([A.CONNECT, A.GONE, A.GONE], [A.GONE, A.ACCEPT, A.CLOSE, A.DENIAL]),
        ([A.CONNECT, A.GONE, A.ACCEPT], [A.GONE, A.SEND, A.CLOSE]),
        ([A.ACCEPT], [A.CONNECT, A.SEND, A.CLOSE]),
        ([A.ACCEPT, A.CONNECT], [A.RECEIVED, A.GONE, A.SEND, A.CLOSE]),
        ([A.CONNECT, A.ACCEPT], [A.RECEIVED, A.GONE, A.SEND, A.CLOSE]),
        ([A.CONNECT, A.ACCEPT, A.RECEIVED, A.SEND], [A.RECEIVED, A.GONE, A.SEND, A.CLOSE]),
        ([A.CONNECT, A.ACCEPT, A.GONE], [A.GONE, A.SEND, A.CLOSE]),
        ([A.CONNECT, A.ACCEPT, A.CLOSE], [A.RECEIVED, A.GONE]),
        ([A.CONNECT, A.CLOSE], [A.GONE]),
        ([A.CLOSE], [A.CONNECT]),
        ([A.CONNECT, A.DENIAL], [A.GONE, *DENIALS]),
        ([A.CONNECT, A.DENIAL, A.PART_OF_DENIAL], [A.GONE, *DENIALS]),
        ([A.CONNECT, A.DENIAL, *[A.PART_OF_DENIAL] * 2], [A.GONE, *DENIALS]),
        ([A.CONNECT, A.DENIAL, A.END_OF_DENIAL], [A.GONE]),
        ([A.CONNECT, A.DENIAL, A.PART_OF_DENIAL, A.END_OF_DENIAL], [A.GONE]),
    ],
    "lifespan": [
        ([], [A.STARTUP]),
        ([A.STARTUP], [A.STARTED, A.NOT_STARTED]),
        ([A.STARTUP, A.STARTED], [A.SHUTDOWN]),
        ([A.STARTUP, A.NOT_STARTED], []),
        ([A.STARTUP, A.STARTED, A.SHUTDOWN], [A.STOPPED, A.NOT_STOPPED]),
        ([A.STARTUP, A.STARTED, A.SHUTDOWN, A.STOPPED], []),
        ([A.STARTUP, A.STARTED, A.SHUTDOWN, A.NOT_STOPPED], []),
    ],
}
HISTORIES = [
    pytest.param(
        kind, history, allowed, id=" ".join([kind, *(step(message) for message in history)])
    )
    for step in [lambda message: message["type"].partition(".")[2] + "+" * (len(message) > 2)]
    for kind, histories in MAY_FOLLOW.items()
    for history, allowed in histories
]


def complaint_of(kind: str, messages: list[Any]) -> ProtocolViolationError | None:
    """What is found while they are said; the application then waits for ever, and is cancelled."""

    class NeverEnds(BaseException):
        pass

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await player(messages)(scope, receive, send)
        raise NeverEnds

    try:
        play(scope(kind), messages, application)
    except NeverEnds:
        return None
    except ProtocolViolationError as error:
        return error
    raise AssertionError("not reached")


@pytest.mark.parametrize(("kind", "history", "allowed"), HISTORIES)
def test_only_what_may_come_next_is_let_through(
    kind: str, history: list[Any], allowed: list[Any]
) -> None:
    for message in ALL[kind]:
        error = complaint_of(kind, [*history, message])
        if message in allowed:
            assert error is None, message
        else:
            party = "server" if message["type"] in asgi.OF_SERVER else "application"
            assert error is not None, message
            assert (error.rule, error.at_fault) == (f"{message['type']}/order", party)


# The end of the application

RETURNS = [
    ("http/return/no-response", "http", [A.REQUEST]),
    ("http/return/no-response", "http", [A.REQUEST, A.DEBUG]),
    ("http/return/no-body", "http", [A.REQUEST, A.START]),
    ("http/return/no-body", "http", [A.REQUEST, A.START_WITH_TRAILERS]),
    ("http/return/body", "http", [A.REQUEST, A.START, A.PART]),
    ("http/return/body", "http", [A.REQUEST, A.START_WITH_TRAILERS, A.PART]),
    ("http/return/trailers", "http", [A.REQUEST, A.START_WITH_TRAILERS, A.END]),
    ("websocket/return/unanswered", "websocket", [A.CONNECT]),
    ("websocket/return/unanswered", "websocket", []),
    ("websocket/return/denial", "websocket", [A.CONNECT, A.DENIAL]),
    ("websocket/return/denial", "websocket", [A.CONNECT, A.DENIAL, A.PART_OF_DENIAL]),
    ("lifespan/return/ignored", "lifespan", []),
    ("lifespan/return/startup", "lifespan", [A.STARTUP]),
    ("lifespan/return/running", "lifespan", [A.STARTUP, A.STARTED]),
    ("lifespan/return/shutdown", "lifespan", [A.STARTUP, A.STARTED, A.SHUTDOWN]),
]


@pytest.mark.parametrize(
    ("rule", "kind", "messages"),
    [pytest.param(*case, id=f"{case[0]} after {len(case[2])} {case[2][-1:]}") for case in RETURNS],
)
def test_return_before_the_end_is_found(rule: str, kind: str, messages: list[Any]) -> None:
    error = found(scope(kind), messages)
    assert (error.rule, error.at_fault) == (rule, "application")


# Every call and every message, whatever the protocol


async def return_at_once(scope: Any, receive: Any, send: Any) -> None:
    pass


def not_async(*arguments: Any) -> None:
    pass


def returns_nothing(scope: Any, receive: Any, send: Any) -> None:
    pass


async def receive_once(scope: Any, receive: Any, send: Any) -> None:
    await receive()


def receive_of(message: Any) -> Any:
    async def receive() -> Any:
        return message

    return receive


def from_server(message: Any, kind: str = "http") -> dict[str, Any]:
    return {
        "scope": scope(kind, "extensions"),
        "messages": [],
        "application": receive_once,
        "receive": receive_of(message),
    }


def from_application(*messages: Any, kind: str = "http") -> dict[str, Any]:
    return {"scope": scope(kind, "extensions"), "messages": messages}


GENERAL: list[tuple[str, str, dict[str, Any]]] = [
    ("scope/dict", "server", {"scope": [("type", "http")], "messages": []}),
    ("scope/keys", "server", {"scope": {**HTTP, 1: 2}, "messages": []}),
    ("scope/type", "server", {"scope": {"asgi": {"version": "3.0"}}, "messages": []}),
    ("scope/type", "server", {"scope": {"type": b"http"}, "messages": []}),
    ("receive/callable", "server", {"scope": HTTP, "messages": [], "receive": "receive"}),
    ("send/callable", "server", {"scope": HTTP, "messages": [], "send": "send"}),
    (
        "receive/awaitable",
        "server",
        {
            "scope": HTTP,
            "messages": [],
            "application": receive_once,
            "receive": not_async,
        },
    ),
    ("send/awaitable", "server", {"scope": HTTP, "messages": [A.START], "send": not_async}),
    (
        "application/awaitable",
        "application",
        {
            "scope": HTTP,
            "messages": [],
            "application": returns_nothing,
        },
    ),
    ("receive/dict", "server", from_server(None)),
    ("receive/keys", "server", from_server({"type": "http.request", b"body": b""})),
    ("receive/type", "server", from_server({"body": b""})),
    ("receive/type", "server", from_server({"type": b"http.request"})),
    ("receive/unknown", "server", from_server({"type": "http.chunk"})),
    ("receive/direction", "server", from_server(A.START)),
    ("send/dict", "application", from_application(["http.response.start", 200])),
    ("send/keys", "application", from_application({**A.START, 1: 2})),
    ("send/type", "application", from_application({"status": 200})),
    ("send/type", "application", from_application({"type": 200})),
    ("send/unknown", "application", from_application({"type": "http.response.end"})),
    ("send/unknown", "application", from_application({"type": "chat.message"})),
    ("send/unknown", "application", from_application(A.START, kind="websocket")),
    (
        "send/direction",
        "application",
        {
            "scope": HTTP,
            "messages": [],
            "application": lambda scope, receive, send: send(A.REQUEST),
        },
    ),
]


@pytest.mark.parametrize(
    ("rule", "party", "arguments"), [pytest.param(*case, id=case[0]) for case in GENERAL]
)
def test_what_no_protocol_allows_is_found(rule: str, party: str, arguments: dict[str, Any]) -> None:
    error = found(**arguments)
    assert (error.rule, error.at_fault) == (rule, party)


# Ignoring a rule, which must not upset the others


def outcome(rule: str, *arguments: Any, **keywords: Any) -> None:
    """Play with the rule ignored: another may be found, and nothing else may go wrong."""
    found = None
    try:
        play(*arguments, ignore=[rule], **keywords)
    except ProtocolViolationError as error:
        found = error.rule
    assert found != rule


@pytest.mark.parametrize(("form", "key", "value"), WRONG_VALUES)
def test_wrong_value_that_is_ignored_is_let_through(
    form: str, key: str, value: Any, request: Any
) -> None:
    scope_, messages = broken(form, key, value)
    outcome(request.node.callspec.id, scope_, messages)


@pytest.mark.parametrize(
    ("rule", "scope", "messages"),
    [pytest.param(case[0], *case[2:], id=case[0]) for case in RELATIONS]
    + [pytest.param(rule, scope(kind), m, id=rule) for rule, kind, m in RETURNS],
)
def test_other_rule_that_is_ignored_is_let_through(
    rule: str, scope: Any, messages: list[Any]
) -> None:
    outcome(rule, scope, messages)


@pytest.mark.parametrize(
    ("rule", "arguments"),
    [pytest.param(rule, case, id=rule) for rule, _, case in GENERAL if rule in RULES],
)
def test_rule_of_every_protocol_that_is_ignored_is_let_through(
    rule: str, arguments: dict[str, Any]
) -> None:
    outcome(rule, **arguments)


# In tests of their own, in test_validation.py
BASIC = {case[0] for case in GENERAL} - RULES
ELSEWHERE = {"http.scope/state/shared", "websocket.scope/state/shared", "send/ended"}


def test_every_rule_is_broken_by_a_test() -> None:
    of_order = {
        f"{message['type']}/order"
        for kind, histories in MAY_FOLLOW.items()
        for _, allowed in histories
        for message in ALL[kind]
        if message not in allowed
    }
    rules = (
        {case.id for case in WRONG_VALUES}
        | {case[0] for case in RELATIONS}
        | {case[0] for case in RETURNS}
        | of_order
    )
    assert rules | {case[0] for case in GENERAL} | ELSEWHERE == RULES | BASIC
