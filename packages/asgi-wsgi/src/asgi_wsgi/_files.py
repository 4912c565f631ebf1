"""`wsgi.file_wrapper`: files as response bodies, sent by the server itself where it can.

See PEP 3333, "Optional Platform-Specific File Handling", and the ASGI extensions "Zero Copy Send"
and "Path Send". Where both are offered the first is taken: it sends the very file that the
application has opened, from its position on; the second can send whole files only, by their path.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Mapping
from typing import IO, Any, Protocol, Self, cast

from asgi_wsgi._response import Message

_ZERO_COPY = "http.response.zerocopysend"
_PATH = "http.response.pathsend"

# Few crossings for a large file, little memory for many small ones.
_BLOCK_SIZE = 64 * 1024


class Readable(Protocol):
    """What an application may wrap: all but `read` is optional."""

    def read(self, size: int, /) -> bytes: ...


class FileWrapper:
    """A file as the body of a response: an iterator over its blocks, to be returned as it is.

    One object, and it can be sought where the file can: who sends a part of a file, as Werkzeug
    does for a range, seeks in it and closes it by what `iter()` returns.

    Args:
        filelike: What to read from its position on; its `close`, if any, is called at the end.
        block_size: How many bytes to read at a time, where the server cannot send the file itself.
    """

    def __init__(self, filelike: Readable, block_size: int = _BLOCK_SIZE) -> None:
        self.filelike = filelike
        self.block_size = block_size
        close = getattr(filelike, "close", None)
        if close is not None:
            self.close = close

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        block = self.filelike.read(self.block_size)
        if not block:
            raise StopIteration
        return block

    def seekable(self) -> bool:
        """Whether the file can be sought."""
        seekable = getattr(self.filelike, "seekable", None)
        return seekable is not None and bool(seekable())

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Have the next block begin elsewhere; as that of the file, which has to have one."""
        return cast(IO[bytes], self.filelike).seek(offset, whence)

    def tell(self) -> int:
        """Where the next block begins; as that of the file, which has to have one."""
        return cast(IO[bytes], self.filelike).tell()


def file_message(
    file: Any, extensions: Mapping[str, Any] | None, length: int | None
) -> tuple[Message, int] | None:
    """Return the message that has the server send a file, and how many bytes it sends.

    None where the server has no such extension, or where it would not send the same as iteration:
    the file is not a regular one, say, or is read through something that changes what is in it,
    or shorter than its Content-Length.

    Args:
        file: An open file.
        extensions: Those of the scope.
        length: The Content-Length of the response, if it has one.
    """
    if not extensions or not (_ZERO_COPY in extensions or _PATH in extensions):
        return None
    if not _is_read_as_it_is(file):
        return None
    try:
        status = os.fstat(file.fileno())
        position = file.tell()
    except (AttributeError, OSError, ValueError):
        return None  # no file of the operating system, or one without a position
    left = status.st_size - position
    count = left if length is None else length
    if not stat.S_ISREG(status.st_mode) or not 0 < count <= left:
        return None
    if _ZERO_COPY in extensions:
        return {"type": _ZERO_COPY, "file": file, "offset": position, "count": count}, count
    path = _path_of(file, status)
    if path is None or count != status.st_size:
        return None
    return {"type": _PATH, "path": path}, count


def _is_read_as_it_is(file: Any) -> bool:
    """Whether what `file` reads is what its descriptor has.

    Others have a descriptor, too: that of `gzip.GzipFile` has the compressed file.
    """
    # By their very types: what wraps or extends one of them may change what is read.
    if type(file) in (io.BufferedReader, io.BufferedRandom):
        file = file.raw
    return type(file) is io.FileIO


def _path_of(file: Any, status: os.stat_result) -> str | None:
    """The absolute path of an open file, if what is there is still that file."""
    name = getattr(file, "name", None)
    if not isinstance(name, (str, bytes)):
        return None  # a file that was opened by its descriptor
    path = os.path.abspath(os.fsdecode(name))
    try:
        return path if os.path.samestat(os.stat(path), status) else None
    except OSError:
        return None
