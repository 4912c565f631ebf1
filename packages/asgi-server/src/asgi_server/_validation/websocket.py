"""WebSocket: its messages, and the order of the handshake, the data and the end.

Left open, since the specification does not settle it: whether the application takes
"websocket.connect" before it answers it (frameworks refuse unknown paths without), whether data
that arrived before the application closed can still be received, and whether the subprotocol that
is accepted is one that the client offered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from asgi_server._validation import sections
from asgi_server._validation.checks import (
    BOOLEAN,
    BYTE_STRING,
    INTEGER,
    TEXT,
    nullable,
    outside,
    refined,
)
from asgi_server._validation.conversation import Protocol, State, Track, Unfinished
from asgi_server._validation.forms import Field, Form, by_name
from asgi_server._validation.http import RESPONSE_HEADERS, STATUS

__all__ = ["WEBSOCKET"]

# RFC 6455, 7.4.1: these say why there was no close frame, and so are never in one.
_NEVER_SENT = (1005, 1006, 1015)


def _subprotocol_header(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    if any(name.lower() == b"sec-websocket-protocol" for name, _ in headers):
        return "must not have 'sec-websocket-protocol': use the key 'subprotocol'"
    return None


def _never_sent(code: int) -> str | None:
    return f"must be a code for a close frame, not {code}" if code in _NEVER_SENT else None


def _not_one_content(message: Mapping[str, Any]) -> str | None:
    contents = [key for key in ("bytes", "text") if message.get(key) is not None]
    if len(contents) == 1:
        return None
    return f"exactly one of 'bytes' and 'text' must not be None, not {len(contents)} of them"


_ACCEPT_HEADERS = refined(RESPONSE_HEADERS, subprotocol=_subprotocol_header)
_CLOSE_CODE = refined(INTEGER, value=outside(1000, 4999, "a WebSocket close code"))
_SENT_CLOSE_CODE = refined(_CLOSE_CODE, reserved=_never_sent)
_CONTENTS = (Field("bytes", nullable(BYTE_STRING)), Field("text", nullable(TEXT)))
_ONE_CONTENT = {"content": _not_one_content}

_RECEIVED = (
    Form("websocket.connect", sections.WEBSOCKET_CONNECT),
    Form("websocket.receive", sections.WEBSOCKET_RECEIVE, _CONTENTS, _ONE_CONTENT),
    Form(
        "websocket.disconnect",
        sections.WEBSOCKET_DISCONNECT,
        (Field("code", _CLOSE_CODE, is_required=True), Field("reason", nullable(TEXT))),
    ),
)

_SENT = (
    Form(
        "websocket.accept",
        sections.WEBSOCKET_ACCEPT,
        (
            Field("subprotocol", nullable(TEXT)),
            Field("headers", _ACCEPT_HEADERS, since=(2, 1)),
        ),
    ),
    Form("websocket.send", sections.WEBSOCKET_SEND, _CONTENTS, _ONE_CONTENT),
    Form(
        "websocket.close",
        sections.WEBSOCKET_CLOSE,
        (Field("code", _SENT_CLOSE_CODE), Field("reason", nullable(TEXT), since=(2, 3))),
    ),
    Form(
        "websocket.http.response.start",
        sections.DENIAL,
        (Field("status", STATUS, is_required=True), Field("headers", RESPONSE_HEADERS)),
        extension="websocket.http.response",
    ),
    Form(
        "websocket.http.response.body",
        sections.DENIAL,
        (Field("body", BYTE_STRING), Field("more_body", BOOLEAN)),
        extension="websocket.http.response",
        flag="more_body",
    ),
)


class Delivery(State):
    """What the server may deliver; the application's answer to the handshake counts."""

    NEW = "nothing has been received"
    ACCEPTED_UNASKED = "the connection is accepted and 'websocket.connect' still to come"
    CONNECTED = "the connection is not accepted"
    OPEN = "the connection is open"
    GONE = "the client has disconnected"


DELIVERY = Track(
    start=Delivery.NEW,
    table={
        Delivery.NEW: {
            "websocket.connect": Delivery.CONNECTED,
            "websocket.accept": Delivery.ACCEPTED_UNASKED,
        },
        Delivery.ACCEPTED_UNASKED: {"websocket.connect": Delivery.OPEN},
        Delivery.CONNECTED: {
            "websocket.accept": Delivery.OPEN,
            "websocket.disconnect": Delivery.GONE,
        },
        Delivery.OPEN: {
            "websocket.receive": Delivery.OPEN,
            "websocket.disconnect": Delivery.GONE,
        },
        Delivery.GONE: {
            "websocket.accept": Delivery.GONE,
            "websocket.disconnect": Delivery.GONE,
        },
    },
)


class Answer(State):
    """What the application has answered to the handshake, and whether it has closed."""

    NONE = "the handshake has not been answered"
    ACCEPTED = "the connection is accepted"
    DENYING = "a denial response has been started"
    DENYING_BODY = "part of the body of a denial response has been sent"
    CLOSED = "the application has closed or refused the connection"


ANSWER = Track(
    start=Answer.NONE,
    table={
        Answer.NONE: {
            "websocket.accept": Answer.ACCEPTED,
            "websocket.close": Answer.CLOSED,
            "websocket.http.response.start": Answer.DENYING,
        },
        Answer.ACCEPTED: {
            "websocket.send": Answer.ACCEPTED,
            "websocket.close": Answer.CLOSED,
        },
        Answer.DENYING: {
            "websocket.http.response.body+more_body": Answer.DENYING_BODY,
            "websocket.http.response.body": Answer.CLOSED,
        },
        Answer.DENYING_BODY: {
            "websocket.http.response.body+more_body": Answer.DENYING_BODY,
            "websocket.http.response.body": Answer.CLOSED,
        },
        Answer.CLOSED: {},
    },
    # When it returns from an accepted connection, the server closes that.
    unfinished={
        Answer.NONE: Unfinished(
            "unanswered", sections.WEBSOCKET_CONNECT, "without an answer to the handshake"
        ),
        Answer.DENYING: Unfinished(
            "denial", sections.DENIAL, "after the start of a denial response, without a body"
        ),
        Answer.DENYING_BODY: Unfinished(
            "denial", sections.DENIAL, "without the rest of the body of a denial response"
        ),
    },
)

WEBSOCKET = Protocol(
    name="websocket",
    received=by_name(_RECEIVED),
    sent=by_name(_SENT),
    tracks=(DELIVERY, ANSWER),
    farewell="websocket.disconnect",
)
