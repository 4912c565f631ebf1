"""The request body on its way from the server to the worker thread: a bounded buffer.

The worker thread takes bytes out of a buffer; the event loop fills it with what `receive` gives,
up to the window. Nothing is received before the application reads, except for a small body that
the headers announce (`prefetch`). So an application that does not read costs nothing, and one that
reads slowly slows down its client.

What is held is at most the window, or one message of the server if that is larger. What a read is
waiting for does not count: it is as good as read.

To wake a sleeping thread takes longer than all else here, so neither side wakes the other early:

- The loop wakes the worker thread when all that its read waits for is there, and either the window
  is full or `receive` has no more at once. `read(n)` waits for n bytes, `read1` and `readline` for
  any; the end of the body, an error or a disconnect serves them all.
- The worker thread wakes the loop when half of the window is free, for the next to arrive while
  the application works on what it has; never when the loop is at it anyway.

One task receives at a time. So that no read waits for nobody, `_is_awake` says that a task is at it
or is about to be, and changes under the link's lock together with the buffer:

    worker thread                               task, on the loop
    wants more; not awake? wake the task        no room, or at the end? not awake any more: tells
                                                the worker thread, and parks itself, or ends

A thread-sensitive request calls `receive` itself (see `_link`), with no task and for no more than
it waits for. Once its body has ended, it has no reason to any more.

Once the body has ended, a task watches for the client to go away if the response needs it
(`watch`): a server may take the chunks of a response that nobody reads for ever. Not where the
client waits for a word before it sends its body, and nobody has asked for that: to `receive` would
be to give the word.

The task that watches may be in `receive` when a thread-sensitive request reads after all; that one
then waits for it on the loop, not by blocking its thread, which `receive` may need.
"""

from __future__ import annotations

import asyncio
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
        is_held_back: Whether the client sends it when it is first received, and not before.
    """

    __slots__ = (
        "_chunks",
        "_error",
        "_has_ended",
        "_has_got_last",
        "_held",
        "_is_awake",
        "_is_held_back",
        "_is_telling",
        "_is_watched",
        "_largest",
        "_left",
        "_link",
        "_offset",
        "_parked",
        "_receive",
        "_told",
        "_wanted",
        "_window",
    )

    def __init__(
        self,
        link: Link,
        receive: Receive,
        window: int,
        length: int | None,
        *,
        is_held_back: bool,
    ) -> None:
        self._link = link
        self._receive = receive
        self._window = window
        self._left = length
        self._has_ended = length == 0
        # The last message may come after the last byte that Content-Length allows.
        self._has_got_last = False
        self._is_held_back = is_held_back
        self._is_watched = False
        self._is_awake = False
        self._chunks: deque[bytes] = deque()
        # How much of the first chunk has been read, and how many bytes are left in all.
        self._offset = 0
        self._held = 0
        self._largest = 0  # of the messages so far
        self._wanted = 0  # bytes that the application waits for
        self._error: BaseException | None = None
        # Of the loop alone: where a task waits until there is something to do, and where the call
        # of a thread-sensitive request waits for that task.
        self._parked: asyncio.Future[None] | None = None
        self._told: asyncio.Future[None] | None = None
        self._is_telling = False

    # The worker thread

    def take(self, size: int) -> bytes:
        """Return what is there, up to so many bytes, as soon as something is; b"" at the end.

        Without a copy where a chunk is wanted whole.

        Raises:
            ClientDisconnectedError: The request is over.
            BaseException: What `receive` raised.
        """
        self._ask_for(1)
        with self._link.lock:
            self._wait_for(1)
            taken = self._take(size)
        self._ask_ahead()
        return taken

    def take_line(self, size: int) -> bytes:
        """Like `take`, but not beyond the end of a line."""
        self._ask_for(1)
        with self._link.lock:
            self._wait_for(1)
            if self._chunks:
                end = self._chunks[0].find(b"\n", self._offset) + 1
                size = min(size, end - self._offset) if end else size
            taken = self._take(size)
        self._ask_ahead()
        return taken

    def take_all(self, size: int) -> list[bytes]:
        """Return so many bytes, in parts, once they are there; fewer at the end only.

        Raises what `take` does.
        """
        self._ask_for(size)
        parts = []
        with self._link.lock:
            self._wait_for(size)
            while size and self._chunks:
                parts.append(self._take(size))
                size -= len(parts[-1])
        self._ask_ahead()
        return parts

    def _has(self, size: int) -> bool:
        return self._held >= size or self._has_ended or self._error is not None

    def _take(self, size: int) -> bytes:
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
            self._ask()

    def _ask_for(self, size: int) -> None:
        if self._has(size):
            return
        self._is_held_back = False
        self._wanted = size
        if not self._link.thread_sensitive:
            self._ask()
        elif self._link.is_this_thread:
            self._link.call(self._receive_wanted)
        else:
            # The application reads in a thread of its own, which the bridge knows no loop for.
            self._link.start(self._receive_wanted)

    def _ask(self) -> None:
        with self._link.lock:
            if self._is_awake or not self._wants_more():
                return
            self._is_awake = True
        self._link.call_soon(self._go_on)

    def _wait_for(self, size: int) -> None:
        self._link.check()
        if not self._has(size):
            self._link.wait_for(lambda: self._has(size))
        self._wanted = 0
        if self._error is not None and not self._has_ended and self._held < size:
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
            if self._is_awake or self._is_held_back:
                return
            self._is_awake = True
        self._go_on()

    def forget_error(self) -> None:
        """When the request has ended: the error has been told, and refers to this by its frames."""
        self._error = None

    def _go_on(self) -> None:
        """Have the task that receives go on, or start one."""
        parked, self._parked = self._parked, None
        if parked is None:
            self._link.start_on_loop(self._receive_all)
        elif not parked.done():  # or the request is over, and the task cancelled
            parked.set_result(None)

    async def _receive_all(self) -> None:
        try:
            while True:
                while self._goes_on():
                    self._tell_soon()
                    self._add(await self._receive())
                self._tell()
                if self._link.thread_sensitive or self._link.is_stopped or self._has(_EVERYTHING):
                    return
                # It goes on in this task: a new one for each window would cost more than the rest.
                self._parked = asyncio.get_running_loop().create_future()
                await self._parked
        except BaseException as error:
            self._fail(error)
            if not isinstance(error, Exception):
                raise

    async def _receive_wanted(self) -> None:
        """Receive what the application waits for, and no more: for a thread-sensitive request."""
        with self._link.lock:
            was_awake, self._is_awake = self._is_awake, True
        if was_awake:
            await self._wait_told()
            return
        try:
            while not (self._has(self._wanted) or self._link.is_stopped):
                self._add(await self._receive())
        except BaseException as error:
            self._fail(error)
            if not isinstance(error, Exception):
                raise
        with self._link.lock:
            self._is_awake = False
        self._tell()
        if self._is_watched and self._has_ended:
            self.watch()

    async def _wait_told(self) -> None:
        # The task that watches is in `receive`: nobody else may be.
        while not (self._has(self._wanted) or self._link.is_stopped):
            self._told = asyncio.get_running_loop().create_future()
            await self._told

    def _goes_on(self) -> bool:
        with self._link.lock:
            self._is_awake = self._wants_more() and not self._link.is_stopped
            return self._is_awake

    def _wants_more(self) -> bool:
        if self._error is not None:
            return False
        if self._has_ended:
            return self._is_watched
        if self._held < max(1, self._wanted):
            return True
        if self._link.thread_sensitive:
            return False
        return self._held + self._largest <= self._window + self._wanted

    def _tell_soon(self) -> None:
        """Wake an application that has what it waits for: when `receive` has no more at once."""
        is_waited_for = self._link.is_waiting or self._told is not None
        if is_waited_for and not self._is_telling and self._has(self._wanted):
            self._is_telling = True
            asyncio.get_running_loop().call_soon(self._tell)

    def _tell(self) -> None:
        self._is_telling = False
        with self._link.lock:
            if self._has(self._wanted):
                self._link.notify()
        told, self._told = self._told, None
        if told is not None and not told.done():
            told.set_result(None)

    def _add(self, message: Any) -> None:
        kind = message["type"]
        if kind == "http.disconnect":
            self._link.disconnect()
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
        else:
            self._link.stop("the request body could not be received")
        self._tell()
