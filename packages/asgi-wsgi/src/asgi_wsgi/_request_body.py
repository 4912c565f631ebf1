"""The request body on its way from the server to the worker thread: a bounded buffer.

The worker thread takes bytes out of a buffer; the event loop fills it with what `receive` gives,
up to the window. Nothing is received before the application reads, except for a small body that
the headers announce (`prefetch`). So an application that does not read costs nothing, and one that
reads slowly slows down its client.

What is held is at most the window, or one message of the server if that is larger. What a read is
waiting for does not count: it is as good as read.

One task receives at a time. So that no read waits for nobody, `_is_awake` says that a task is at it
or is about to be, and changes under the link's lock together with the buffer:

    worker thread                               task, on the loop
    wants more; not awake? start a task         no room, or at the end? not awake any more, and end

Once the body has ended, that task watches for the client to go away if the response needs it
(`watch`): a server may take the chunks of a response that nobody reads for ever.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from asgi_wsgi._link import Link

# Any and not a mapping: each server types its messages differently, and all have to fit.
Receive: TypeAlias = Callable[[], Awaitable[Any]]

logger = logging.getLogger("asgi_wsgi")

# More than any body: what a read of the rest waits for.
_EVERYTHING = 2**62


class BodyBuffer:
    """The part of one request body that has arrived and has not been read.

    Args:
        link: The link of the request.
        receive: The server's.
        window: How many bytes are held at most.
        length: How long the body is by its Content-Length; None if it ends where the stream ends.
    """

    __slots__ = (
        "_chunks",
        "_error",
        "_has_ended",
        "_has_got_last",
        "_held",
        "_is_awake",
        "_is_watched",
        "_largest",
        "_left",
        "_link",
        "_offset",
        "_receive",
        "_wanted",
        "_window",
    )

    def __init__(self, link: Link, receive: Receive, window: int, length: int | None) -> None:
        self._link = link
        self._receive = receive
        self._window = window
        self._left = length
        self._has_ended = length == 0
        # The last message may come after the last byte that Content-Length allows.
        self._has_got_last = False
        self._is_watched = False
        self._is_awake = False
        self._chunks: deque[bytes] = deque()
        # How much of the first chunk has been read, and how many bytes are left in all.
        self._offset = 0
        self._held = 0
        self._largest = 0  # of the messages so far
        self._wanted = 0
        self._error: BaseException | None = None

    # The worker thread

    def take(self, size: int, wanted: int = 0) -> bytes:
        """Return what is there, up to so many bytes, as soon as something is; b"" at the end.

        Without a copy where a chunk is wanted whole. `wanted` is what the application would wait
        for; so much more may arrive meanwhile.

        Raises:
            ClientDisconnectedError: The request is over.
            BaseException: What `receive` raised.
        """
        if not self._can_take():
            self._ask(wanted)
        with self._link.lock:
            if self._link.is_stopped or not self._held:
                self._wait_for(self._can_take)
            taken = self._take(size)
        self._ask_ahead()
        return taken

    def take_wanted(self, size: int) -> bytes:
        """`take` for an application that waits for all of these bytes."""
        return self.take(size, size)

    def take_line(self, size: int) -> bytes:
        """Like `take`, but not beyond the end of a line."""
        if not self._can_take():
            self._ask(0)
        with self._link.lock:
            if self._link.is_stopped or not self._held:
                self._wait_for(self._can_take)
            if self._chunks:
                end = self._chunks[0].find(b"\n", self._offset) + 1
                size = min(size, end - self._offset) if end else size
            taken = self._take(size)
        self._ask_ahead()
        return taken

    def take_rest(self) -> bytes:
        """Return the rest of the body once all of it is there; raises what `take` does."""
        if not self._has_ended:
            self._ask(_EVERYTHING)
        with self._link.lock:
            self._wait_for(lambda: self._has_ended or self._error is not None)
            chunks, self._chunks = self._chunks, deque()
            offset, self._offset = self._offset, 0
            self._held = 0
        if offset:
            chunks[0] = chunks[0][offset:]
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _can_take(self) -> bool:
        return self._held > 0 or self._has_ended or self._error is not None

    def _take(self, size: int) -> bytes:
        self._wanted = 0
        if not self._chunks:
            return b""
        chunk, start = self._chunks[0], self._offset
        end = start + size
        if end < len(chunk):
            self._offset = end
            taken = chunk[start:end]
        else:
            del self._chunks[0]
            self._offset = 0
            taken = chunk[start:] if start else chunk
        self._held -= len(taken)
        return taken

    def _ask_ahead(self) -> None:
        # While the application works on what it has got, the next arrives. Not for each small
        # part, which would be a wake-up each.
        if self._is_awake or self._has_ended or self._link.thread_sensitive:
            return
        if self._held <= self._window // 2:
            self._ask(0)

    def _ask(self, wanted: int) -> None:
        with self._link.lock:
            self._wanted = wanted
            if self._is_awake or not self._wants_more():
                return
            self._is_awake = True
        if self._link.thread_sensitive:
            self._link.call(self._receive_all)
        else:
            self._link.start(self._receive_all)

    def _wait_for(self, is_over: Callable[[], bool]) -> None:
        self._link.check()
        if not is_over():
            self._link.wait_for(is_over)
        self._wanted = 0
        if self._error is not None:
            raise self._error

    # The event loop

    def prefetch(self) -> None:
        """Receive what has arrived before the application asks for it."""
        if self._link.thread_sensitive:
            return  # it receives by itself
        self._is_awake = True  # no worker thread yet
        self._link.start_on_loop(self._receive_all)

    def watch(self) -> None:
        """Stop the request when the client goes away, also where the application does not read."""
        with self._link.lock:
            self._is_watched = True
            # A thread-sensitive application receives by itself, until the body has ended.
            if self._is_awake or (self._link.thread_sensitive and not self._has_ended):
                return
            self._is_awake = True
        self._link.start_on_loop(self._receive_all)

    def forget_error(self) -> None:
        """When the request has ended: the error has been told, and refers to this by its frames."""
        self._error = None

    async def _receive_all(self) -> None:
        try:
            while self._goes_on():
                self._add(await self._receive())
        except BaseException as error:
            self._fail(error)
            if not isinstance(error, Exception):
                raise

    def _goes_on(self) -> bool:
        with self._link.lock:
            self._is_awake = self._wants_more() and not self._link.is_stopped
            return self._is_awake

    def _wants_more(self) -> bool:
        if self._error is not None:
            return False
        if self._has_ended:
            return self._is_watched and not self._link.thread_sensitive
        if not self._held:
            return True
        if self._link.thread_sensitive:
            return self._wanted == _EVERYTHING
        return self._held + self._largest <= self._window + self._wanted

    def _add(self, message: Any) -> None:
        kind = message["type"]
        if kind == "http.disconnect":
            self._link.stop_tasks("the client has disconnected")
        elif self._has_got_last:
            # Nothing else can come, so it is not known what this is. It is not waited for again.
            self._is_watched = False
        elif kind == "http.request":
            self._has_got_last = not message.get("more_body", False)
            self._add_chunk(message.get("body", b""))
        else:
            raise ValueError(
                f"WSGI wrapper received a non-HTTP-request message: {kind!r},"
                " expected 'http.request' or 'http.disconnect'"
            )

    def _add_chunk(self, chunk: bytes) -> None:
        with self._link.lock:
            if self._left is not None:
                chunk = chunk[: self._left]
                self._left -= len(chunk)
            if chunk:
                self._chunks.append(chunk)
                self._held += len(chunk)
                self._largest = max(self._largest, len(chunk))
            self._has_ended = self._has_got_last or self._left == 0
            if self._has_ended or (chunk and self._wanted != _EVERYTHING):
                self._link.notify()

    def _fail(self, error: BaseException) -> None:
        if self._has_ended:
            # A `receive` that cannot wait for a disconnect (one of a test, or of a middleware) is
            # no reason to fail a request that needs no more of it.
            self._is_watched = False
            logger.debug("receive() failed after the request body", exc_info=error)
        elif isinstance(error, Exception):
            with self._link.lock:
                self._error = error
                self._is_awake = False
                self._link.notify()
        else:
            self._link.stop("the request body could not be received")
