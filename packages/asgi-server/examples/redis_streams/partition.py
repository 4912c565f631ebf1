"""One partition, for as long as this worker owns it."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Set
from typing import Any, NoReturn

from redis_streams.broker import Broker, Entry, Ownership, OwnershipLostError, Written

__all__ = ["Partition"]

logger = logging.getLogger("redis_streams")

# How many messages are acknowledged with one script at most; a guess: Redis does nothing else
# meanwhile.
LARGEST_BATCH = 100


class Partition:
    """Reads the messages of a partition in order, and writes what comes of them.

    States, changed by this worker only; whether it still owns the partition, Redis knows best:

    - open: messages are read and handed to applications;
    - closing: from `close()` on, none is read or handed out; what is in hand may be finished;
    - ended: `run()` has ended. Nothing more can be written.

    Args:
        ownership: The partition, and the proof that it is this worker's.
        broker: Redis.
        window: How many messages are read ahead of those that have been handled.
        grace: For how many seconds a closing partition waits for applications.
        deliver: Puts a message into the queue of its application.
        end_applications: Cancels those of a partition, and returns their tasks.
    """

    def __init__(
        self,
        ownership: Ownership,
        broker: Broker,
        *,
        window: int,
        grace: float,
        deliver: Callable[[Entry], None],
        end_applications: Callable[[int], Set[asyncio.Task[Any]]],
    ) -> None:
        self.ownership = ownership
        self.is_closing = False
        self._is_lost = False
        self._broker = broker
        self._window = window
        self._grace = grace
        self._deliver = deliver
        self._end_applications = end_applications
        self._must_close = asyncio.Event()
        self._is_over = asyncio.Event()
        self._has_ended = False
        # Messages that were read and not acknowledged yet, by scope, and how many.
        self._unfinished: Counter[str] = Counter()
        self._has_room = asyncio.Event()
        # Those of them that applications work on.
        self._in_hand = 0
        self._none_in_hand = asyncio.Event()
        self._none_in_hand.set()
        self._writes: asyncio.Queue[tuple[Written, asyncio.Future[None]]] = asyncio.Queue()

    def close(self) -> None:
        """Hand out no more messages, so that `run()` gives the partition up."""
        self.is_closing = True
        self._must_close.set()

    def lose(self) -> None:
        """End at once: another worker owns the partition."""
        self._is_lost = True
        self.close()

    def has_unfinished(self, scope_id: str) -> bool:
        """Whether a message of a scope was read and is not acknowledged yet."""
        return scope_id in self._unfinished

    async def run(self) -> None:
        """Read and write until the partition is closed or lost, then give it up."""
        try:
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(self._read())
                writing = group.create_task(self._write())
                await self._must_close.wait()
                if self._is_lost:
                    raise self._lost()
                reading.cancel()
                await self._wait_none_in_hand()
                ending = self._end_applications(self.ownership.partition)
                self._is_over.set()
                if ending:
                    await asyncio.wait(ending, timeout=self._grace)
                writing.cancel()
        except* OwnershipLostError:
            logger.warning("partition %d was lost to another worker", self.ownership.partition)
            self.is_closing = True
            # Not waited for: nothing that they do can be written any more.
            self._end_applications(self.ownership.partition)
        finally:
            self._end()
        await self._broker.release(self.ownership)

    # For conversations

    async def wait_over(self) -> NoReturn:
        """Wait, in an application that may not go on, until nothing else is in hand either.

        Raises:
            asyncio.CancelledError: As a rule: the instance is cancelled then.
            OwnershipLostError: It has caught its cancellation.
        """
        await self._is_over.wait()
        raise self._lost()

    def take_in_hand(self) -> None:
        """Count a message that an application gets."""
        self._in_hand += 1
        self._none_in_hand.clear()

    def put_down(self) -> None:
        """Count a message that an application works on no more."""
        self._in_hand -= 1
        if self._in_hand == 0:
            self._none_in_hand.set()

    def write(self, written: Written) -> asyncio.Future[None]:
        """Write, after all that was to be written before; a message in hand is put down then.

        Returns:
            A future that is done when Redis has it. It goes on if nobody waits for it.
        """
        if self._has_ended:
            raise self._lost()
        done = asyncio.get_running_loop().create_future()
        self._writes.put_nowait((written, done))
        return done

    async def count_delivery(self, entry: Entry) -> None:
        """Write down that a message is about to be delivered once more."""
        await self._unless_lost(
            self._broker.count_delivery(self.ownership, entry.id, entry.deliveries + 1)
        )

    async def bury(self, entry: Entry, error: str) -> None:
        """Move a message to the dead-letter stream."""
        await self._unless_lost(self._broker.bury(self.ownership, entry, error))
        self._finished(entry.fields["scope"])

    async def _unless_lost(self, command: Awaitable[None]) -> None:
        try:
            await command
        except OwnershipLostError:
            self.lose()
            await self.wait_over()

    # Tasks of `run()`

    async def _read(self) -> None:
        after = "0-0"
        while True:
            await self._has_room_for_some()
            room = self._window - self._unfinished.total()
            entries = await self._broker.take(self.ownership, after, room)
            for entry in entries:
                after = entry.id
                await self._accept(entry)
            if not entries:
                await self._broker.wait_message(self.ownership.partition, after)

    async def _accept(self, entry: Entry) -> None:
        scope_id = entry.fields.get("scope")
        if scope_id is None or "text" not in entry.fields:
            error = "the fields `scope` and `text` are needed"
        elif (right := self._broker.names.partition_of(scope_id)) != self.ownership.partition:
            error = f"the scope belongs to partition {right}"
        else:
            self._unfinished[scope_id] += 1
            self._deliver(entry)
            return
        logger.error("message %s cannot be delivered: %s", entry.id, error)
        await self._broker.bury(self.ownership, entry, error)

    async def _write(self) -> None:
        while True:
            batch = [await self._writes.get()]
            while not self._writes.empty() and len(batch) < LARGEST_BATCH:
                batch.append(self._writes.get_nowait())
            await self._broker.write(self.ownership, [written for written, _ in batch])
            for written, done in batch:
                if written.id:
                    self.put_down()
                    self._finished(written.scope_id)
                if not done.done():
                    done.set_result(None)

    def _finished(self, scope_id: str) -> None:
        self._unfinished[scope_id] -= 1
        if not self._unfinished[scope_id]:
            del self._unfinished[scope_id]
        self._has_room.set()

    async def _has_room_for_some(self) -> None:
        while self._unfinished.total() >= self._window:
            self._has_room.clear()
            await self._has_room.wait()

    async def _wait_none_in_hand(self) -> None:
        try:
            async with asyncio.timeout(self._grace):
                await self._none_in_hand.wait()
        except TimeoutError:
            logger.warning(
                "partition %d: %d messages were not handled within %g seconds; the next owner "
                "gets them again",
                self.ownership.partition,
                self._in_hand,
                self._grace,
            )

    def _lost(self) -> OwnershipLostError:
        return OwnershipLostError(f"partition {self.ownership.partition} was given up")

    def _end(self) -> None:
        self.is_closing = True
        self._has_ended = True
        self._is_over.set()
        while not self._writes.empty():
            self._writes.get_nowait()[1].cancel()
