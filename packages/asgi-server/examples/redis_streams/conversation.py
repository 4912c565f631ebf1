"""One scope: its messages, one after the other, and an application that may end or fail."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from asgi_server import InputQueue
from redis_streams.broker import Entry, Written
from redis_streams.partition import Partition

__all__ = ["Conversation"]

# Seconds before a message that failed is delivered again; twice as long each time.
FIRST_RETRY = 0.1
LONGEST_RETRY = 10.0


class Conversation:
    """Stands between the application of a scope and the server.

    A message is in hand from the `receive()` that returned it to the next call of `receive()`, or
    to the return of the application: then it has been handled. What is sent meanwhile is held
    back, and published in one step with the acknowledgement; so a message is answered exactly once,
    however often it was delivered. What is sent while no message is in hand is published at once.

    An application that raises has failed at the message in hand, or, when it has not received
    any, at the one that it was started for. It is started again and gets that message once more,
    and the message ends in the dead-letter stream after `max_deliveries`.

    Args:
        partition: The owned partition of the scope.
        scope_id: The scope.
        queue: The input queue of the instance.
        receive: Takes from `queue`.
        send: Publishes a reply to no message.
        report: Is told of each failure.
        max_deliveries: How many times a message is delivered before it is given up.
    """

    def __init__(
        self,
        partition: Partition,
        scope_id: str,
        queue: InputQueue,
        *,
        receive: Callable[[], Awaitable[Entry]],
        send: Callable[[Any], Awaitable[None]],
        report: Callable[[BaseException], Awaitable[None]],
        max_deliveries: int,
    ) -> None:
        self._partition = partition
        self._scope_id = scope_id
        self._queue = queue
        self._receive = receive
        self._send = send
        self._report = report
        self._max_deliveries = max_deliveries
        # Taken from the queue, not handed out. Kept here, as `receive()` may be cancelled.
        self._next: Entry | None = None
        self._in_hand: Entry | None = None
        self._replies: list[str] = []
        self._written: asyncio.Future[None] | None = None
        self._has_received = False

    async def run(self, application: Any, scope: dict[str, Any]) -> None:
        """Run the application, again if there are more messages when it has ended."""
        try:
            while not self._partition.is_closing:
                self._has_received = False
                failure = await self._run_once(application, dict(scope))
                if failure is None:
                    self._finish()
                    await self._wait_written()
                else:
                    await self._report(failure)
                    await self._fail(failure)
                if self._next is None and self._queue.empty():
                    return
        finally:
            self._give_back()

    async def receive(self) -> dict[str, Any]:
        """Acknowledge the message in hand and return the next one."""
        self._finish()
        await self._wait_written()
        entry = await self._start_next()
        while entry is None:
            entry = await self._start_next()
        self._has_received = True
        return {
            "type": "stream.receive",
            "id": entry.id,
            "deliveries": entry.deliveries + 1,
            "text": entry.fields["text"],
        }

    async def send(self, message: dict[str, Any]) -> None:
        """Keep a reply for the message in hand; without one, publish it."""
        if message.get("type") != "stream.send" or not isinstance(message.get("text"), str):
            raise ValueError(f"expected type 'stream.send' with a str as 'text', got {message!r}")
        if self._in_hand is None:
            await self._send(message)
        else:
            self._replies.append(message["text"])

    async def _run_once(self, application: Any, scope: dict[str, Any]) -> BaseException | None:
        try:
            await application(scope, self.receive, self.send)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise  # by the server
            return error
        except Exception as error:
            return error
        if self._has_received:
            return None
        return RuntimeError("the application returned without receiving a message")

    async def _start_next(self) -> Entry | None:
        """Take the next message in hand and return it, or None if it was given up instead."""
        if self._next is None and not self._partition.is_closing:
            self._next = await self._receive()
        if self._next is None or self._partition.is_closing:
            await self._partition.wait_over()  # the next one is the next owner's
        entry = self._next
        is_given_up = entry.deliveries >= self._max_deliveries
        self._partition.take_in_hand()
        try:
            if is_given_up:
                # Or the worker that saw the last delivery fail would have done it.
                await self._partition.bury(entry, "the workers that had it died")
            elif entry.deliveries:
                await self._partition.count_delivery(entry)
        except BaseException:
            # The application waits no longer; it has not seen the message.
            self._partition.put_down()
            raise
        self._next = None
        if is_given_up:
            self._partition.put_down()
            return None
        self._in_hand = entry
        return entry

    async def _fail(self, failure: BaseException) -> None:
        entry = self._in_hand or self._not_received()
        if entry is None:
            return
        self._replies.clear()
        failed = replace(entry, deliveries=entry.deliveries + 1)
        is_given_up = failed.deliveries >= self._max_deliveries
        if is_given_up:
            await self._partition.bury(failed, repr(failure))
        self._next = None if is_given_up else failed
        if self._in_hand is not None:
            self._in_hand = None
            self._partition.put_down()
        if not is_given_up:
            await asyncio.sleep(min(FIRST_RETRY * 2 ** (failed.deliveries - 1), LONGEST_RETRY))

    def _not_received(self) -> Entry | None:
        """Return the message that the application was started for, if it has not received any."""
        if self._has_received:
            return None
        if self._next is None and not self._queue.empty():
            self._next = self._queue.get_nowait()
        return self._next

    def _give_back(self) -> None:
        # Messages of an instance that ends without them would be lost to this worker, and later
        # ones handled before them. So the partition is given up, and read again by its next
        # owner, which may be this worker.
        if self._in_hand is not None or self._next is not None or not self._queue.empty():
            self._partition.close()
        if self._in_hand is not None:
            self._in_hand = None
            self._partition.put_down()

    def _finish(self) -> None:
        if self._in_hand is None:
            return
        written = Written(self._in_hand.id, self._scope_id, tuple(self._replies))
        self._written = self._partition.write(written)
        self._in_hand = None
        self._replies.clear()

    async def _wait_written(self) -> None:
        if self._written is not None:
            await asyncio.shield(self._written)
        self._written = None
