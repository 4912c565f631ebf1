"""The response on its way from the worker thread to the server: a bounded queue.

The worker thread puts messages in and goes on, unless too much is on its way already; the event
loop takes them out and sends them, in order, all that are there for one wake-up. So an application
is as slow as its client, and no slower.

What is on its way is what has been put and the server has not taken. It is at most the window, or
one chunk if that is larger.

A `send` need not wait for anything, and an application may give chunks as fast as they are sent. So
the loop has a turn in between (`_MESSAGES_A_TURN`), or other requests would stand still meanwhile.

One sends at a time: a task that the worker thread has had started, `_sender`, and after that, for
what is left, the request's own task. So that no message is left behind, `_is_awake` says that a
task is at it or is about to be, and changes under the link's lock together with the queue:

    worker thread                      task, on the loop
    append; not awake? start a task    nothing left? not awake any more, and end
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from asgi_wsgi._link import Link
from asgi_wsgi._response import Message

Send: TypeAlias = Callable[[Any], Awaitable[Any]]

# What a message takes beyond the bytes of its body: so that a million chunks of one byte are no
# way around the window. A guess: a dict with three keys, and its place in the queue.
_MESSAGE_BYTES = 512

# How many messages are sent before the loop has a turn. A guess: a turn costs as much as one or two
# messages, and 16 that are compressed on the way are some milliseconds.
_MESSAGES_A_TURN = 16


class SendQueue:
    """The messages of one response that the server has not taken yet.

    Args:
        link: The link of the request.
        send: The server's.
        window: How many bytes may be on their way.
        watch: Has `Link.disconnect` called when the client goes away. Called on the loop, when
            the first message leaves while the worker thread goes on, or the server takes its
            time for one.
    """

    __slots__ = (
        "_error",
        "_in_flight",
        "_is_awake",
        "_link",
        "_messages",
        "_send",
        "_sender",
        "_sent",
        "_wake_at",
        "_watch",
        "_window",
    )

    def __init__(self, link: Link, send: Send, window: int, watch: Callable[[], None]) -> None:
        self._link = link
        self._send = send
        self._window = window
        self._messages: deque[tuple[Message, int]] = deque()
        self._in_flight = 0
        # The worker thread waits until no more than this is on its way; -1: it does not wait.
        self._wake_at = -1
        self._is_awake = False
        # What `send` raised, until the application or the request's task has been told.
        self._error: BaseException | None = None
        self._watch: Callable[[], None] | None = watch
        self._sender: asyncio.Task[Any] | None = None  # of the loop alone
        self._sent = 0  # messages; of the loop alone

    # The worker thread

    def put_for_flush(self, messages: list[Message]) -> None:
        """Put in what the request's task shall send when the worker thread has ended.

        It costs no wake-up of its own.
        """
        self._messages.extend([(message, 0) for message in messages])

    def put(self, messages: list[Message], size: int) -> None:
        """Have `messages`, with `size` bytes in them, sent soon; wait for room first.

        Raises:
            ClientDisconnectedError: The request is over.
            BaseException: What `send` raised for a message before these; once.
        """
        size += _MESSAGE_BYTES
        with self._link.lock:
            if self._in_flight + size > self._window:
                # Half of it, so that a slow client wakes the thread once for many chunks.
                self._wait_until_at_most(min(self._window // 2, max(0, self._window - size)))
            self._raise_error()
            self._link.check()
            *others, last = messages
            self._messages.extend([(message, 0) for message in others])
            self._messages.append((last, size))
            self._in_flight += size
            was_awake, self._is_awake = self._is_awake, True
        if self._link.thread_sensitive:
            self._link.call(self._send_early)
        elif not was_awake:
            self._link.start(self._send_early)

    def wait_sent(self) -> None:
        """Wait until the server has taken all that was put; raises what `put` does."""
        with self._link.lock:
            self._wait_until_at_most(0)
            self._raise_error()

    def _wait_until_at_most(self, size: int) -> None:
        self._wake_at = size
        try:
            self._link.wait_for(lambda: self._in_flight <= size or self._error is not None)
        finally:
            self._wake_at = -1

    def _raise_error(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # its traceback holds this frame

    # The event loop

    async def flush(self) -> None:
        """Send what is left, in the request's task, when the worker thread has ended.

        Raises:
            BaseException: What `send` raised, if the application has not been told.
        """
        if self._messages or self._is_awake:
            # Comes to be called only if `send` suspends this task. Then it may be for ever, when
            # the client goes away and the server does not say so there.
            watch = asyncio.get_running_loop().call_soon(self._begin_watch)
            try:
                await self._link.until_stopped(self._send_rest())
            finally:
                watch.cancel()
        self._raise_error()

    async def _send_rest(self) -> None:
        if not self._is_awake:
            # No task is at it or is about to be: there is nothing to be kept apart.
            while self._messages and not self._link.is_stopped:
                await self._send_next(self._messages.popleft()[0])
            return
        if self._sender is not None and (self._link.is_finishing or not self._link.is_stopped):
            await asyncio.wait([self._sender])
        await self._send_all()

    def _begin_watch(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            watch()

    async def _send_early(self) -> None:
        self._begin_watch()
        await self._send_all()

    async def _send_all(self) -> None:
        if self._sender is not None:
            return
        self._sender = asyncio.current_task()
        try:
            while (waiting := self._next()) is not None:
                message, size = waiting
                await self._send_next(message)
                if size:
                    self._take(size)
        except BaseException as error:
            self._fail(error)
            if not isinstance(error, Exception):
                raise
        finally:
            self._sender = None

    async def _send_next(self, message: Message) -> None:
        # The last one may be of an extension: a file.
        if message["type"] != "http.response.start" and not message.get("more_body", False):
            self._link.finish()
        await self._send(message)
        self._sent += 1
        if self._sent % _MESSAGES_A_TURN == 0:
            await asyncio.sleep(0)

    def _next(self) -> tuple[Message, int] | None:
        with self._link.lock:
            if self._messages and not self._link.is_stopped:
                return self._messages.popleft()
            self._is_awake = False
            return None

    def _take(self, size: int) -> None:
        with self._link.lock:
            self._in_flight -= size
            if self._in_flight <= self._wake_at:
                self._link.notify()

    def _fail(self, error: BaseException) -> None:
        with self._link.lock:
            if isinstance(error, Exception):
                self._error = error
            self._messages.clear()
        self._link.stop("the server could not send a part of the response")
