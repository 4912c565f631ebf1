"""The messages that one application instance has not received yet.

`asyncio.Queue` is not used, for four reasons. It takes three kilobytes when empty, which is most
of what an idle scope would cost. A message that waits for room can be overtaken by one that is
put later. It tells nobody when its reader waits, which is what an idle instance is. And what is
put into the queue of a reader that has gone is lost without a word.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from typing import Any, Final

from asgi_server._counters import Tally
from asgi_server._settings import QueuePolicy

__all__ = ["InputQueue", "QueueGroup"]

_NOTHING: Final = object()


class QueueGroup:
    """What the queues of one server share.

    Attributes:
        limit: How many messages a queue holds at most, or None.
        policy: What a full queue does.
        tally: Where messages are counted.
        idle: The queues of which a reader has begun to wait, and goes on, since the last message.
        unused: The idle queues, the one that has been used last at the end; and those whose
            readers have waited since the last message and do not just now. A reader that waits
            for a while only, time and again, so keeps its place. Changed by the queues, and by
            `ApplicationInstances`.
        on_idle: Called after a queue has become idle, if not None.
        on_dropped: Called with a queue and a message that no reader will get.
        on_overflow: Called with a full queue that is to be closed; must close it.
    """

    __slots__ = (
        "idle",
        "limit",
        "on_dropped",
        "on_idle",
        "on_overflow",
        "policy",
        "tally",
        "unused",
    )

    def __init__(
        self,
        limit: int | None,
        policy: QueuePolicy,
        tally: Tally,
        on_dropped: Callable[[InputQueue, Any], None],
        on_overflow: Callable[[InputQueue], None],
    ) -> None:
        self.limit: int | None = limit
        self.policy: QueuePolicy = policy
        self.tally: Tally = tally
        self.on_dropped: Callable[[InputQueue, Any], None] = on_dropped
        self.on_overflow: Callable[[InputQueue], None] = on_overflow
        self.on_idle: Callable[[], None] | None = None
        self.idle: set[InputQueue] = set()
        self.unused: OrderedDict[InputQueue, None] = OrderedDict()


class InputQueue:
    """The queue of messages for one application instance: what is put is received in order.

    Has the names of `asyncio.Queue`. Without a limit a message is always taken at once. What a
    full queue does, by policy:

    | policy        | `put_nowait()`                        | `await put()`                    |
    |---------------|---------------------------------------|----------------------------------|
    | `wait`        | raises `asyncio.QueueFull`            | waits for room, in turn          |
    | `drop_oldest` | drops the message that waited longest | the same                         |
    | `close`       | ends the instance, drops the message  | the same                         |

    Once the instance has ended, or was told to end, a message that is put is dropped. Neither
    method raises then: one application's end is no error of the server. What is dropped is
    counted, and told to `StatelessServer.application_dropped()`.

    Not thread-safe: every method is called on the event loop that runs the application.

    Attributes:
        scope_id: Of the instance.
        dropped: How many messages put here no application has received nor will.
    """

    __slots__ = (
        "_getters",
        "_group",
        "_is_closed",
        "_messages",
        "_notice",
        "_putters",
        "dropped",
        "scope_id",
    )

    def __init__(self, scope_id: Hashable, group: QueueGroup) -> None:
        self.scope_id: Hashable = scope_id
        self.dropped: int = 0
        self._group: QueueGroup = group
        # An empty deque takes 600 bytes: there is none while there is nothing in it.
        self._messages: deque[Any] | None = None
        self._putters: OrderedDict[asyncio.Future[None], Any] | None = None
        # A list, since an application with more than a few calls of receive() at once is rare.
        self._getters: list[asyncio.Future[None]] = []
        self._notice: Any = _NOTHING
        self._is_closed: bool = False

    @property
    def maxsize(self) -> int:
        """The limit, or 0 for none."""
        return self._group.limit or 0

    def qsize(self) -> int:
        """Return how many messages there are; calls of `put()` that wait are not counted."""
        return len(self._messages) if self._messages else 0

    def empty(self) -> bool:
        """Return whether there is no message."""
        return not self._messages

    def full(self) -> bool:
        """Return whether there are as many messages as the limit allows."""
        limit = self._group.limit
        return limit is not None and self.qsize() >= limit

    # For the server

    def put_nowait(self, message: Any) -> None:
        """Put a message, never waiting: see the table above.

        Args:
            message: As the application is to get it.

        Raises:
            asyncio.QueueFull: There is no room, and the policy is `wait`.
        """
        # First what is most frequent (benchmark "StatelessServer message").
        if not self._is_closed and (self._group.limit is None or self._has_room()):
            self._append(message)
        elif self._is_closed:
            self._drop_new(message)
        elif self._group.policy == "wait":
            raise asyncio.QueueFull(
                f"the queue of {self.scope_id!r} holds {self.qsize()} messages, its limit:"
                " await put() to wait for room"
            )
        else:
            self._overflow(message)

    async def put(self, message: Any) -> None:
        """Put a message, waiting for room where the policy is `wait`: see the table above.

        Args:
            message: As the application is to get it.

        Raises:
            asyncio.CancelledError: The waiting task was cancelled. The message is not in the
                queue, unless room was made for it in the same iteration of the event loop.
        """
        if self._is_closed:
            self._drop_new(message)
        elif self._has_room():
            self._append(message)
        elif self._group.policy == "wait":
            await self._wait_put(message)
        else:
            self._overflow(message)

    # For the application

    async def get(self) -> Any:
        """Return the next message, waiting for it: the application's `receive`."""
        while not self._messages and self._notice is _NOTHING:
            getter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._getters.append(getter)
            if not self._is_closed:
                group = self._group
                group.idle.add(self)
                # Where it is already, it keeps its place.
                group.unused[self] = None
                if group.on_idle is not None:
                    group.on_idle()
            try:
                await getter
            except BaseException:
                self._stops_waiting(getter)
                raise
        return self.get_nowait()

    def get_nowait(self) -> Any:
        """Return the next message.

        Raises:
            asyncio.QueueEmpty: There is none.
        """
        messages = self._messages
        if messages:
            message = messages.popleft()
            self._group.tally.queue_depth -= 1
            if self._putters:
                self._admit_next()
            if not messages:
                self._messages = None
            return message
        if self._notice is _NOTHING:
            raise asyncio.QueueEmpty(f"there is no message for {self.scope_id!r}")
        notice, self._notice = self._notice, _NOTHING
        return notice

    # For `ApplicationInstances`

    def close(self) -> None:
        """Take no more messages. Those that are there can be received."""
        self._is_closed = True
        self._group.idle.discard(self)
        self._group.unused.pop(self, None)
        putters, self._putters = self._putters, None
        while putters:
            putter, message = putters.popitem(last=False)
            self._group.tally.putters -= 1
            if not putter.done():
                putter.set_result(None)
                self._drop_new(message)

    def put_notice(self, notice: Any) -> None:
        """Put a last message, of the server's own: not counted, not limited. Must be closed."""
        self._notice = notice
        self._wake_getter()

    def drop_all(self) -> tuple[Any, ...]:
        """Drop and return the messages that nobody will receive any more. Must be closed."""
        self._notice = _NOTHING
        messages, self._messages = self._messages, None
        if not messages:
            return ()
        self._group.tally.queue_depth -= len(messages)
        for message in messages:
            self._drop(message)
        return tuple(messages)

    # What the methods above have in common

    def _has_room(self) -> bool:
        limit = self._group.limit
        return limit is None or (not self._putters and self.qsize() < limit)

    def _append(self, message: Any) -> None:
        messages, group = self._messages, self._group
        if messages is None:
            self._messages = deque((message,))
        else:
            messages.append(message)
        tally = group.tally
        tally.messages_in += 1
        tally.queue_depth += 1
        group.unused.pop(self, None)
        if self._getters:
            group.idle.discard(self)
            self._wake_getter()

    def _overflow(self, message: Any) -> None:
        if self._group.policy == "close":
            self._group.on_overflow(self)
            self._drop_new(message)
            return
        assert self._messages is not None  # it is full
        oldest = self._messages.popleft()
        self._group.tally.queue_depth -= 1
        self._append(message)
        self._drop(oldest)

    async def _wait_put(self, message: Any) -> None:
        putter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._putters is None:
            self._putters = OrderedDict()
        self._putters[putter] = message
        self._group.tally.putters += 1
        try:
            await putter
        except BaseException:
            if self._putters and putter in self._putters:
                del self._putters[putter]
                self._group.tally.putters -= 1
            raise

    def _admit_next(self) -> None:
        # The message itself is moved, now: if only its putter were woken, another message could
        # be put before it is that task's turn.
        putters = self._putters
        while putters:
            putter, message = putters.popitem(last=False)
            self._group.tally.putters -= 1
            if not putter.done():
                putter.set_result(None)
                self._append(message)
                return

    def _wake_getter(self) -> None:
        while self._getters:
            getter = self._getters.pop(0)
            if not getter.done():
                getter.set_result(None)
                return

    def _stops_waiting(self, getter: asyncio.Future[None]) -> None:
        if getter in self._getters:
            self._getters.remove(getter)
            if not self._getters:
                self._group.idle.discard(self)
        elif self._messages or self._notice is not _NOTHING:
            # It was woken in the iteration in which it was cancelled: another one's turn.
            self._wake_getter()

    def _drop_new(self, message: Any) -> None:
        self._group.tally.messages_in += 1
        self._drop(message)

    def _drop(self, message: Any) -> None:
        self.dropped += 1
        self._group.tally.messages_dropped += 1
        self._group.on_dropped(self, message)
