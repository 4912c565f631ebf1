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
from collections.abc import Iterable
from types import TracebackType
from typing import Any, TypeAlias

from asgi_wsgi._headers import NO_HEAD, Head, parse_head

Message: TypeAlias = dict[str, Any]
ExcInfo: TypeAlias = (
    tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]
)


class Stage(enum.Enum):
    """How far a response has come; the table is in the module's docstring."""

    EMPTY = enum.auto()
    REFUSED = enum.auto()
    READY = enum.auto()
    SENT = enum.auto()


class Response:
    """One response, from `start_response` to its last message.

    Used by one thread, that of the application.
    """

    def __init__(self, *, to_head_request: bool = False) -> None:
        self.stage = Stage.EMPTY
        self._to_head_request = to_head_request
        self._head = NO_HEAD
        self._has_body = False
        # How many bytes the application may and has to give, if it has said so.
        self._length: int | None = None
        self._bytes_given = 0
        self._has_ended = False

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
        self._set_head(parse_head(status, headers))

    def add(self, chunk: bytes) -> list[Message]:
        """Return the messages for one chunk of the body: none for an empty one.

        Bytes beyond the Content-Length are left out, and all of them where the response cannot
        have a body.

        Raises:
            TypeError: The chunk is not bytes.
            RuntimeError: start_response has not set status and headers, or the response has ended.
        """
        data = as_bytes(chunk)
        if not data:
            return []
        if self._has_ended:
            raise RuntimeError(
                "the WSGI application called write() after the end of its response, in close()"
            )
        messages = [] if self.stage is Stage.SENT else self._start_messages()
        left = None if self._length is None else max(0, self._length - self._bytes_given)
        self._bytes_given += len(data)
        if left is not None and len(data) > left:
            data = data[:left]
        if data and self._has_body:
            messages.append({"type": "http.response.body", "body": data, "more_body": True})
        return messages

    def finish(self) -> list[Message]:
        """Return the messages that end the response.

        Raises:
            RuntimeError: start_response has not set status and headers, or there were fewer bytes
                than the Content-Length.
        """
        if self._length is not None and self._bytes_given < self._length:
            raise RuntimeError(
                f"the WSGI application gave {self._bytes_given} of the {self._length} bytes that"
                " its Content-Length header promised"
            )
        messages = [*self._start_messages(), {"type": "http.response.body"}]
        self._has_ended = True
        return messages

    def send_file(self, message: Message, count: int) -> list[Message]:
        """Return the messages of a response whose whole body `message` sends: so many bytes.

        To be called where `takes_file`.
        """
        messages = [*self._start_messages(), message]
        self._bytes_given = count
        self._has_ended = True
        return messages

    def refuse_request(self, reason: bytes) -> list[Message]:
        """Return the messages of a whole response: 400, with the reason as its body."""
        self._set_head(Head(400, [(b"content-type", b"text/plain")], None))
        end: Message = {"type": "http.response.body"}
        if self._has_body:
            end["body"] = reason
        return [*self._start_messages(), end]

    @property
    def takes_file(self) -> bool:
        """Whether the whole body is still to come, and is sent."""
        return self.stage is Stage.READY and self._has_body

    @property
    def content_length(self) -> int | None:
        """How long the body has to be, if it is sent and its header says so."""
        return self._length

    @property
    def is_overfull(self) -> bool:
        """Whether the application gave more bytes than its Content-Length."""
        return self._length is not None and self._bytes_given > self._length

    @property
    def is_complete(self) -> bool:
        """Whether nothing that the application may still give would be sent."""
        return self.stage is Stage.SENT and (not self._has_body or self.is_overfull)

    def _set_head(self, head: Head) -> None:
        self._head = head
        self._has_body = head.allows_body and not self._to_head_request
        self._length = head.content_length if self._has_body else None
        self.stage = Stage.READY

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


def _reraised(exc_info: ExcInfo) -> BaseException:
    if exc_info[1] is None:
        return RuntimeError("start_response was called after the headers had been sent")
    return exc_info[1].with_traceback(exc_info[2])
