"""`wsgi.input`: the request body, from ASGI messages to a file that an application reads.

The body is read whole before the application runs, so that what it reads is complete: a client
that goes away half-way is an exception here and never looks like the end of a body.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from tempfile import SpooledTemporaryFile
from typing import IO, Any, TypeAlias

# Any and not a mapping: each server types its messages differently, and all have to fit.
Receive: TypeAlias = Callable[[], Awaitable[Any]]

# A guess: forms and JSON stay in memory, uploads of files go to disk.
_MAX_BYTES_IN_MEMORY = 512 * 1024


class ClientDisconnectedError(ConnectionError):
    """The client has gone: nothing can be read from it or sent to it any more.

    An `OSError`, as from the sockets that WSGI servers write to, so that an application which
    copes with broken connections copes with this one.
    """


async def spool_request_body(receive: Receive) -> IO[bytes]:
    """Read a request body whole and return it as a file, at its start; the caller closes it.

    Runs on the event loop. What is over half a megabyte is written to a temporary file, by the
    loop's own thread.

    Raises:
        ClientDisconnectedError: The client went away before the body was complete.
        ValueError: The server sent a message that has no place in an HTTP request.

    Source: ASGI HTTP specification, "Request" and "Disconnect - receive event".
    """
    body = SpooledTemporaryFile(max_size=_MAX_BYTES_IN_MEMORY)  # noqa: SIM115  the caller's
    try:
        more_body = True
        while more_body:
            message = await receive()
            body.write(_chunk_of(message))
            more_body = message.get("more_body", False)
        body.seek(0)
    except BaseException:  # cancellation too: nobody else knows of the file yet
        body.close()
        raise
    return body


def _chunk_of(message: Any) -> bytes:
    if message["type"] == "http.disconnect":
        raise ClientDisconnectedError("the client disconnected before its request was complete")
    if message["type"] != "http.request":
        raise ValueError(
            f"WSGI wrapper received a non-HTTP-request message: {message['type']!r},"
            " expected 'http.request' or 'http.disconnect'"
        )
    chunk: bytes = message.get("body", b"")
    return chunk
