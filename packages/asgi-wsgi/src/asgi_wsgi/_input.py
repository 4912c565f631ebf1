"""`wsgi.input`: the request body as a file."""

from __future__ import annotations

import io
from collections.abc import Callable

from asgi_wsgi._request_body import BodyBuffer

# More than any body.
_NO_LIMIT = 2**62


class RequestBody(io.BufferedIOBase):
    """The request body as a binary file that can be read, but not sought.

    It ends where the body does. Its methods are those of `io.BufferedReader`, but `peek`; those
    that are not here come from the base classes. All wait for bytes that have not arrived, and
    raise an `OSError` once the client has gone. To be read by one thread at a time.

    Not an `io.BufferedReader`, whose own buffer would cost each large block a copy.
    """

    def __init__(self, buffer: BodyBuffer) -> None:
        self._buffer = buffer

    def readable(self) -> bool:
        """Whether it can be read: it can."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Return so many bytes, fewer at the end of the body only; without `size`, all."""
        self._refuse_if_closed()
        if size is None or size < 0:
            return self._buffer.take_rest()
        return _joined(self._buffer.take_wanted, size)

    def read1(self, size: int = -1, /) -> bytes:
        """Return up to so many bytes as soon as there are some; b"" at the end of the body."""
        self._refuse_if_closed()
        return self._buffer.take(_NO_LIMIT if size < 0 else size) if size else b""

    def readline(self, size: int | None = -1, /) -> bytes:
        """Return the next line with its end, or up to so many bytes of it."""
        self._refuse_if_closed()
        limit = _NO_LIMIT if size is None or size < 0 else size
        return _joined(self._buffer.take_line, limit, end=b"\n")

    def _refuse_if_closed(self) -> None:
        if self.closed:
            raise ValueError("wsgi.input was read after the end of its request")


def _joined(take: Callable[[int], bytes], size: int, end: bytes | None = None) -> bytes:
    """What `take` gives, up to so many bytes, or until it gives `end` at its end, or nothing."""
    if not size:
        return b""
    part = take(size)
    if len(part) == size or not part or (end is not None and part.endswith(end)):
        return part
    parts = [part]
    size -= len(part)
    while size and (part := take(size)):
        parts.append(part)
        size -= len(part)
        if end is not None and part.endswith(end):
            break
    return b"".join(parts)
