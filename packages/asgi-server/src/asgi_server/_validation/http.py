"""HTTP: its messages, and the order of a request and of its response.

Left open, since the specification does not settle it: whether more of the request still comes
when the response is complete; statuses below 200; anything that HTTP says and ASGI does not.
"""

from __future__ import annotations

import io
import os
from typing import Any

from asgi_server._validation import sections
from asgi_server._validation.checks import (
    BOOLEAN,
    BYTE_STRING,
    BYTE_STRINGS,
    HEADERS,
    INTEGER,
    NAMESPACE,
    TEXT,
    is_integer,
    must_be,
    not_in_lower_case,
    outside,
    pseudo_header,
    refined,
)
from asgi_server._validation.conversation import Protocol, State, Track, Unfinished
from asgi_server._validation.forms import Field, Form, by_name

__all__ = ["HTTP", "RESPONSE_HEADERS", "STATUS"]

STATUS = refined(INTEGER, value=outside(100, 999, "an HTTP status code"))
RESPONSE_HEADERS = refined(HEADERS, lowercase=not_in_lower_case, pseudo=pseudo_header)


def _is_file(value: Any) -> bool:
    if is_integer(value):
        return bool(value >= 0)
    try:
        return is_integer(value.fileno())
    except (AttributeError, TypeError, ValueError, io.UnsupportedOperation):
        return False


def _not_absolute(path: str) -> str | None:
    return None if os.path.isabs(path) else f"must be an absolute path, not {path!r}"


_FILE = must_be("a file with a descriptor of the operating system", _is_file)
_SIZE = refined(INTEGER, value=outside(0, 2**63 - 1, "a number of bytes"))

_RECEIVED = (
    Form(
        "http.request",
        sections.HTTP_REQUEST,
        (Field("body", BYTE_STRING), Field("more_body", BOOLEAN)),
        flag="more_body",
    ),
    Form("http.disconnect", sections.HTTP_DISCONNECT),
)

_SENT = (
    Form(
        "http.response.start",
        sections.HTTP_START,
        (
            Field("status", STATUS, is_required=True),
            Field("headers", RESPONSE_HEADERS),
            Field("trailers", BOOLEAN, extension="http.response.trailers"),
        ),
        flag="trailers",
    ),
    Form(
        "http.response.body",
        sections.HTTP_BODY,
        (Field("body", BYTE_STRING), Field("more_body", BOOLEAN)),
        flag="more_body",
    ),
    Form(
        "http.response.zerocopysend",
        sections.ZERO_COPY_SEND,
        (
            Field("file", _FILE, is_required=True),
            Field("offset", _SIZE),
            Field("count", _SIZE),
            Field("more_body", BOOLEAN),
        ),
        extension="http.response.zerocopysend",
        flag="more_body",
    ),
    Form(
        "http.response.pathsend",
        sections.PATH_SEND,
        (Field("path", refined(TEXT, absolute=_not_absolute), is_required=True),),
        extension="http.response.pathsend",
    ),
    Form(
        "http.response.trailers",
        sections.TRAILERS,
        (
            Field("headers", RESPONSE_HEADERS, is_required=True),
            Field("more_trailers", BOOLEAN),
        ),
        extension="http.response.trailers",
        flag="more_trailers",
    ),
    Form(
        "http.response.push",
        sections.PUSH,
        (
            Field("path", TEXT, is_required=True),
            Field("headers", RESPONSE_HEADERS, is_required=True),
        ),
        extension="http.response.push",
    ),
    Form(
        "http.response.early_hint",
        sections.EARLY_HINTS,
        (Field("links", BYTE_STRINGS, is_required=True),),
        extension="http.response.early_hint",
    ),
    Form(
        "http.response.debug",
        sections.DEBUG,
        (Field("info", NAMESPACE, is_required=True),),
        extension="http.response.debug",
    ),
)


class Request(State):
    """How much of the request the application has been given."""

    COMING = "the request has not ended"
    ENDED = "the request has ended"
    GONE = "the client has disconnected"


REQUEST = Track(
    start=Request.COMING,
    table={
        Request.COMING: {
            "http.request+more_body": Request.COMING,
            "http.request": Request.ENDED,
            "http.disconnect": Request.GONE,
        },
        # To ask for more then is to wait for the client to leave.
        Request.ENDED: {"http.disconnect": Request.GONE},
        Request.GONE: {"http.disconnect": Request.GONE},
    },
)


class Response(State):
    """How much of the response the application has sent."""

    NOTHING = "no response has been started"
    DEBUGGED = "debug information has been sent, and no response started"
    STARTED = "the response has been started"
    STARTED_WITH_TRAILERS = "a response with trailers has been started"
    BODY = "part of the body has been sent"
    BODY_BEFORE_TRAILERS = "part of a body with trailers has been sent"
    TRAILERS = "the body has ended and the trailers have not"
    COMPLETE = "the response is complete"


RESPONSE = Track(
    start=Response.NOTHING,
    table={
        Response.NOTHING: {
            "http.response.debug": Response.DEBUGGED,
            "http.response.start": Response.STARTED,
            "http.response.start+trailers": Response.STARTED_WITH_TRAILERS,
        },
        Response.DEBUGGED: {
            "http.response.start": Response.STARTED,
            "http.response.start+trailers": Response.STARTED_WITH_TRAILERS,
        },
        Response.STARTED: {
            "http.response.push": Response.STARTED,
            "http.response.early_hint": Response.STARTED,
            "http.response.body+more_body": Response.BODY,
            "http.response.body": Response.COMPLETE,
            "http.response.zerocopysend+more_body": Response.BODY,
            "http.response.zerocopysend": Response.COMPLETE,
            # The whole of the body, so neither before nor after another part of it.
            "http.response.pathsend": Response.COMPLETE,
        },
        Response.STARTED_WITH_TRAILERS: {
            "http.response.push": Response.STARTED_WITH_TRAILERS,
            "http.response.early_hint": Response.STARTED_WITH_TRAILERS,
            "http.response.body+more_body": Response.BODY_BEFORE_TRAILERS,
            "http.response.body": Response.TRAILERS,
            "http.response.zerocopysend+more_body": Response.BODY_BEFORE_TRAILERS,
            "http.response.zerocopysend": Response.TRAILERS,
            "http.response.pathsend": Response.TRAILERS,
        },
        Response.BODY: {
            "http.response.push": Response.BODY,
            "http.response.early_hint": Response.BODY,
            "http.response.body+more_body": Response.BODY,
            "http.response.body": Response.COMPLETE,
            "http.response.zerocopysend+more_body": Response.BODY,
            "http.response.zerocopysend": Response.COMPLETE,
        },
        Response.BODY_BEFORE_TRAILERS: {
            "http.response.push": Response.BODY_BEFORE_TRAILERS,
            "http.response.early_hint": Response.BODY_BEFORE_TRAILERS,
            "http.response.body+more_body": Response.BODY_BEFORE_TRAILERS,
            "http.response.body": Response.TRAILERS,
            "http.response.zerocopysend+more_body": Response.BODY_BEFORE_TRAILERS,
            "http.response.zerocopysend": Response.TRAILERS,
        },
        Response.TRAILERS: {
            "http.response.trailers+more_trailers": Response.TRAILERS,
            "http.response.trailers": Response.COMPLETE,
        },
        # A server ignores what comes then; the application has said that nothing would.
        Response.COMPLETE: {},
    },
    unfinished={
        Response.NOTHING: Unfinished(
            "no-response", sections.HTTP_SCOPE, "without a response to the request"
        ),
        Response.DEBUGGED: Unfinished(
            "no-response", sections.HTTP_SCOPE, "without a response to the request"
        ),
        Response.STARTED: Unfinished(
            "no-body", sections.HTTP_START, "after the start of a response, without a body"
        ),
        Response.STARTED_WITH_TRAILERS: Unfinished(
            "no-body", sections.HTTP_START, "after the start of a response, without a body"
        ),
        Response.BODY: Unfinished(
            "body", sections.HTTP_BODY, "without the rest of the body that 'more_body' announced"
        ),
        Response.BODY_BEFORE_TRAILERS: Unfinished(
            "body", sections.HTTP_BODY, "without the rest of the body that 'more_body' announced"
        ),
        Response.TRAILERS: Unfinished(
            "trailers", sections.TRAILERS, "without the trailers that were announced"
        ),
    },
)

HTTP = Protocol(
    name="http",
    received=by_name(_RECEIVED),
    sent=by_name(_SENT),
    tracks=(REQUEST, RESPONSE),
    farewell="http.disconnect",
)
