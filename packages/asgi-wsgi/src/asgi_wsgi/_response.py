"""The response to one request: what the application may say, and which messages it becomes.

No I/O: a `Response` takes what the application gives and returns the ASGI messages that are due.
Its stages, after PEP 3333, "The start_response() Callable":

    from      to        when
    EMPTY     READY     start_response
    EMPTY     REFUSED   start_response with a status or headers that are not allowed
    REFUSED   READY     start_response with exc_info
    READY     READY     start_response with exc_info: replaces status and headers
    READY     REFUSED   the same, and they are not allowed
    READY     SENT      the first chunk that is not empty, or the end of the response

Everything else raises. Status and headers wait in READY for as long as they can, so that an
application which fails late can still answer with an error page.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeAlias

Message: TypeAlias = dict[str, Any]
ExcInfo: TypeAlias = (
    tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]
)

_STATUS = re.compile(r"([1-9][0-9]{2}) ")
_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2: token
_CONTROL_CHARACTER = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # the tab is allowed in a value


class Stage(enum.Enum):
    """How far a response has come; the table is in the module's docstring."""

    EMPTY = enum.auto()
    REFUSED = enum.auto()
    READY = enum.auto()
    SENT = enum.auto()


@dataclass(frozen=True)
class Head:
    """A status and its headers, checked and encoded."""

    status: int
    headers: list[tuple[bytes, bytes]]
    content_length: int | None

    @property
    def allows_body(self) -> bool:
        """Whether a response with this status may have content (RFC 9110, 6.4.1)."""
        return self.status >= 200 and self.status not in (204, 304)


_NO_HEAD = Head(0, [], None)


class Response:
    """One response, from `start_response` to its last message.

    Used by one thread, that of the application.
    """

    def __init__(self, *, to_head_request: bool = False) -> None:
        self.stage = Stage.EMPTY
        self._to_head_request = to_head_request
        self._head = _NO_HEAD
        self._bytes_given = 0

    def start(self, status: str, headers: Iterable[tuple[str, str]], exc_info: Any = None) -> None:
        """Set status and headers, or replace them while they have not been sent.

        Raises:
            TypeError: Status or a header is not made of str.
            ValueError: Status or a header is not allowed, or it is a second call without exc_info.
            BaseException: The one in exc_info, where status and headers have left already.
        """
        try:
            if exc_info is not None and self.stage is Stage.SENT:
                raise _reraised(exc_info)
            if exc_info is None and self.stage is not Stage.EMPTY:
                raise ValueError("You cannot call start_response a second time without exc_info")
        finally:
            del exc_info  # it refers to this frame by its traceback: a cycle
        self.stage = Stage.REFUSED  # a call that raises counts as one
        self._head = parse_head(status, headers)
        self.stage = Stage.READY

    def add(self, chunk: bytes) -> list[Message]:
        """Return the messages for one chunk of the body: none for an empty one.

        Bytes beyond the Content-Length are left out, and all of them where the response cannot
        have a body.

        Raises:
            TypeError: The chunk is not bytes.
            RuntimeError: start_response has not set status and headers.
        """
        data = as_bytes(chunk)
        if not data:
            return []
        messages = self._start_messages()
        allowed = data[: self._bytes_allowed(len(data))]
        self._bytes_given += len(data)
        if allowed:
            messages.append({"type": "http.response.body", "body": allowed, "more_body": True})
        return messages

    def finish(self) -> list[Message]:
        """Return the messages that end the response.

        Raises:
            RuntimeError: start_response has not set status and headers, or there were fewer bytes
                than the Content-Length.
        """
        length = self._head.content_length
        if self._has_body and length is not None and self._bytes_given < length:
            raise RuntimeError(
                f"the WSGI application gave {self._bytes_given} of the {length} bytes that its"
                " Content-Length header promised"
            )
        return [*self._start_messages(), {"type": "http.response.body"}]

    def refuse_request(self, reason: bytes) -> list[Message]:
        """Return the messages of a whole response: 400, with the reason as its body."""
        self._head = Head(400, [(b"content-type", b"text/plain")], None)
        self.stage = Stage.READY
        end: Message = {"type": "http.response.body"}
        if self._has_body:
            end["body"] = reason
        return [*self._start_messages(), end]

    @property
    def is_overfull(self) -> bool:
        """Whether the application gave more bytes than its Content-Length."""
        length = self._head.content_length
        return self._has_body and length is not None and self._bytes_given > length

    @property
    def is_complete(self) -> bool:
        """Whether nothing that the application may still give would be sent."""
        return self.stage is Stage.SENT and (not self._has_body or self.is_overfull)

    @property
    def _has_body(self) -> bool:
        return self._head.allows_body and not self._to_head_request

    def _bytes_allowed(self, wanted: int) -> int:
        if not self._has_body:
            return 0
        if self._head.content_length is None:
            return wanted
        return max(0, self._head.content_length - self._bytes_given)

    def _start_messages(self) -> list[Message]:
        if self.stage is Stage.SENT:
            return []
        if self.stage is not Stage.READY:
            raise RuntimeError(
                "the WSGI application must call start_response, without an error, before it"
                " yields its first chunk or ends"
            )
        self.stage = Stage.SENT
        status, headers = self._head.status, self._head.headers
        return [{"type": "http.response.start", "status": status, "headers": headers}]


def parse_head(status: str, headers: Iterable[tuple[str, str]]) -> Head:
    """Return status and headers as ASGI sends them.

    Raises:
        TypeError: One of them is not made of str.
        ValueError: One of them cannot be sent.
    """
    encoded = [_encoded_header(name, value) for name, value in headers]
    return Head(_status_code(status), encoded, _content_length(encoded))


def as_bytes(chunk: object) -> bytes:
    """Return a chunk of a body as bytes, copied where the application could still change it.

    Raises:
        TypeError: It is not bytes-like.
    """
    if isinstance(chunk, bytes):
        return chunk
    if isinstance(chunk, (bytearray, memoryview)):
        return bytes(chunk)
    raise TypeError(
        "a WSGI application must return an iterable of bytes, such as [body]; it gave a chunk of"
        f" type {type(chunk).__name__}"
    )


def _status_code(status: object) -> int:
    if not isinstance(status, str):
        raise TypeError(f"status must be a str such as '200 OK', not {status!r}")
    match = _STATUS.match(status)
    if match is None:
        raise ValueError(
            f"status must be three digits, a space and a reason, such as '200 OK', not {status!r}"
        )
    return int(match[1])


def _encoded_header(name: object, value: object) -> tuple[bytes, bytes]:
    if not isinstance(name, str) or not isinstance(value, str):
        raise TypeError(f"a response header must be a pair of str, not ({name!r}, {value!r})")
    if _FIELD_NAME.fullmatch(name) is None:
        raise ValueError(f"{name!r} is not a valid name of a response header")
    if _CONTROL_CHARACTER.search(value) is not None:
        raise ValueError(f"response header {name!r} has a control character in {value!r}")
    try:
        return name.lower().encode("latin-1"), value.encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError(
            f"response header {name!r} has a character outside latin-1 in {value!r}: encode the"
            " value first, as its header defines (percent-encoding, RFC 2047 and the like)"
        ) from None


def _content_length(headers: list[tuple[bytes, bytes]]) -> int | None:
    values = {value.decode("latin-1") for name, value in headers if name == b"content-length"}
    if not values:
        return None
    first, *others = values
    if others or not (first.isascii() and first.isdigit()):
        given = " and ".join(repr(value) for value in sorted(values))
        raise ValueError(f"Content-Length must be one number of bytes, not {given}")
    return int(first)


def _reraised(exc_info: ExcInfo) -> BaseException:
    if exc_info[1] is None:
        return RuntimeError("start_response was called after the headers had been sent")
    return exc_info[1].with_traceback(exc_info[2])
