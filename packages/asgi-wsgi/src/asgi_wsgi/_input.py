"""`wsgi.input`: the request body as a file."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from asgi_wsgi._request_body import BodyBuffer

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

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
        if size == 0:
            return b""
        parts = self._buffer.take_all(_NO_LIMIT if size is None or size < 0 else size)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def readinto(self, target: WriteableBuffer, /) -> int:
        """Fill `target`; return how many bytes that were, fewer at the end of the body only."""
        self._refuse_if_closed()
        with memoryview(target) as given, given.cast("B") as view:
            if view.readonly:
                raise TypeError(f"readinto() needs a writable buffer, not {type(target).__name__}")
            filled = 0
            for part in self._buffer.take_all(len(view)) if view else ():
                view[filled : filled + len(part)] = part
                filled += len(part)
            return filled

    def read1(self, size: int = -1, /) -> bytes:
        """Return up to so many bytes as soon as there are some; b"" at the end of the body."""
        self._refuse_if_closed()
        return self._buffer.take(_NO_LIMIT if size < 0 else size) if size else b""

    def readline(self, size: int | None = -1, /) -> bytes:
        """Return the next line with its end, or up to so many bytes of it."""
        self._refuse_if_closed()
        left = _NO_LIMIT if size is None or size < 0 else size
        parts = []
        while left and (part := self._buffer.take_line(left)):
            parts.append(part)
            left -= len(part)
            if part.endswith(b"\n"):
                break
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _refuse_if_closed(self) -> None:
        if self.closed:
            raise ValueError("wsgi.input was read after the end of its request")
