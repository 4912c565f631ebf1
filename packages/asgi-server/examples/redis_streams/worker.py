"""A worker: it owns a share of the partitions, and runs the applications of their scopes.

A Redis consumer group gives any message to any consumer, so two messages of one scope could be
handled at the same time, or the later one first. Therefore the messages are spread over partitions
by their scope, each partition is a stream with a consumer group of its own, and only one worker at
a time reads a partition, its owner. A worker that dies leaves its messages in the group's list of
pending entries; the next owner claims them before it reads new ones, in the same order.

A partition in Redis (the hash `owners`) is

    from   to     by (script)            when
    -----  -----  ---------------------  -------------------------------------------------------
    free   owned  any worker (balance)   it has less than its share
    owned  free   its owner (release)    it has more than its share, or stops; what was in hand
                                         has been handled, or was given `grace` seconds
    owned  free   its owner (leave)      it ends, whatever the reason
    owned  owned  another one (balance)  the owner's lease has run out, and the other one has
                                         less than its share

and in a worker: see `Partition`. Redis runs a script in one step. A new owner gets a new token, and
every script that reads, acknowledges or replies compares it: a worker that was stopped for longer
than its lease can do nothing with a partition that another one has by now.

A message in Redis is

    from     to       by (script)          when
    -------  -------  -------------------  -----------------------------------------------------
    new      pending  the owner (take)     there is room in its window
    pending  pending  a new owner (take)   it was not acknowledged by the one before
    pending  gone     the owner (write)    the application has handled it; replies come with it
    pending  dead     the owner (bury)     the application has failed, or workers have died,
                                           `max_deliveries` times
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Set
from typing import Any

from asgi_server import ApplicationDetails, EndCause, InputQueue, StatelessServer
from asgi_server.compatibility import guarantee_single_callable
from redis_streams.broker import Broker, Entry, Ownership, OwnershipLostError, Share, Written
from redis_streams.conversation import Conversation
from redis_streams.partition import Partition

__all__ = ["StreamWorker"]

logger = logging.getLogger("redis_streams")

# Seconds, a guess: how long a worker that stops asks a Redis that does not answer.
LONGEST_HAND_OVER = 2.0


class StreamWorker(StatelessServer):
    """Feeds an ASGI application from Redis Streams.

    The application is started once for each scope, with a scope of `type`, `asgi` and `id`;
    receives messages of type `stream.receive` with `id`, `deliveries` and `text`; and sends
    messages of type `stream.send` with `text`.

    Args:
        application: The ASGI application.
        broker: Redis, and the settings that all workers share.
        window: How many messages of a partition are read ahead of those handled.
        max_deliveries: How many times a message is delivered before it is given up.
        grace: For how many seconds applications may go on with a message when another worker is
            to have it, or this one stops.
        max_applications: How many instances are kept; only idle ones are ended to make room.
    """

    def __init__(
        self,
        application: Any,
        broker: Broker,
        *,
        window: int = 100,
        max_deliveries: int = 5,
        grace: float = 5,
        max_applications: int = 10_000,
    ) -> None:
        if window < 1:
            raise ValueError(f"window must be at least 1, not {window}")
        if max_deliveries < 2:
            raise ValueError(
                "max_deliveries must be at least 2, as a message that only waited in a worker that"
                f" died counts as delivered once; it is {max_deliveries}"
            )
        if max_applications < (busy := window * broker.names.partitions):
            raise ValueError(
                f"max_applications must be at least {busy}, the window times the partitions, or "
                f"instances would have to be ended that are not idle; it is {max_applications}"
            )
        super().__init__(
            self._converse,
            max_applications,
            # `handle()` has this time to end, in which it hands over.
            grace_period=grace + 3 * LONGEST_HAND_OVER,
            lifespan="auto",
        )
        self._stream_application = guarantee_single_callable(application)
        self._broker = broker
        self._window = window
        self._max_deliveries = max_deliveries
        self._grace = grace
        self._partitions: dict[int, Partition] = {}
        self._running: dict[asyncio.Task[None], int] = {}

    async def handle(self) -> None:
        """Share the partitions with the other workers until cancelled; then hand them over.

        Raises:
            ValueError: The other workers have another number of partitions.
            redis.exceptions.ResponseError: Redis refuses a command, for a reason that will last;
                in an `ExceptionGroup` if it is about one partition.
        """
        try:
            await self._broker.check_settings()
            try:
                await self._share_partitions(is_member=True)
            finally:
                await self._hand_over()
        finally:
            await self._broker.close()

    async def application_send(self, scope: Any, message: Any) -> None:
        """Publish a reply to no message; see `Conversation` for the others."""
        scope_id = scope["id"]
        partition = self._partitions.get(self._broker.names.partition_of(scope_id))
        if partition is None:
            raise OwnershipLostError(f"the partition of {scope_id!r} was given up")
        await asyncio.shield(partition.write(Written("", scope_id, (message["text"],))))

    def application_dropped(self, message: Any, input_queue: InputQueue) -> None:
        """Do nothing: the message is pending in Redis, and the next owner gets it."""

    def application_disconnect(
        self, application_details: ApplicationDetails, cause: EndCause
    ) -> None:
        """Have messages of an instance that is ended at work read again; see `Conversation`."""
        scope_id = str(application_details["scope_id"])
        partition = self._partitions.get(self._broker.names.partition_of(scope_id))
        # Here already, as the instance may not heed its cancellation.
        if partition is not None and partition.has_unfinished(scope_id):
            partition.close()

    # Who owns what

    async def _share_partitions(self, *, is_member: bool) -> None:
        """Keep as many partitions as is this worker's share; as no member, until none is left."""
        seen = "0-0"
        while True:
            self._adopt(await self._broker.balance(is_member=is_member))
            if not is_member and not self._running:
                return
            changed = asyncio.create_task(self._broker.wait_change(seen))
            try:
                await asyncio.wait({changed, *self._running}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                changed.cancel()
            if changed.done():
                seen = changed.result()
            self._forget_ended()

    def _adopt(self, share: Share) -> None:
        owned = set(share.owned)
        for partition in self._partitions.values():
            if partition.ownership not in owned:
                partition.lose()
        for ownership in share.owned:
            if ownership.partition not in self._partitions:
                self._start_partition(ownership)
        staying = [each for each in self._partitions.values() if not each.is_closing]
        for partition in staying[share.size :]:
            partition.close()

    def _start_partition(self, ownership: Ownership) -> None:
        partition = Partition(
            ownership,
            self._broker,
            window=self._window,
            grace=self._grace,
            deliver=self._deliver,
            end_applications=self._end_applications,
        )
        self._partitions[ownership.partition] = partition
        self._running[asyncio.create_task(partition.run())] = ownership.partition

    def _forget_ended(self) -> None:
        for task in [task for task in self._running if task.done()]:
            del self._partitions[self._running.pop(task)]
            task.result()  # an error that no later try would heal

    async def _hand_over(self) -> None:
        for partition in self._partitions.values():
            partition.close()
        try:
            async with asyncio.timeout(self._grace + LONGEST_HAND_OVER):
                await self._share_partitions(is_member=False)
        except TimeoutError:
            logger.warning("could not hand over all partitions: the others wait for the lease")
        finally:
            for task in self._running:
                task.cancel()
            if self._running:
                await asyncio.wait(self._running)
            self._running.clear()
            self._partitions.clear()
            await self._leave()

    async def _leave(self) -> None:
        try:
            async with asyncio.timeout(LONGEST_HAND_OVER):
                await self._broker.leave()
        except TimeoutError:
            pass  # Redis is away: the lease will run out

    # Applications

    def _deliver(self, entry: Entry) -> None:
        scope_id = entry.fields["scope"]
        scope = {"type": "stream", "asgi": {"version": "3.0"}, "id": scope_id}
        self.get_or_create_application_instance(scope_id, scope).put_nowait(entry)

    async def _converse(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._stream_application(scope, receive, send)
            return
        scope_id = scope["id"]
        partition = self._partition_of(scope_id)
        details = self.application_instances[scope_id]

        async def report(failure: BaseException) -> None:
            await self.application_exception(failure, details)

        conversation = Conversation(
            partition,
            scope_id,
            details["input_queue"],
            receive=receive,
            send=send,
            report=report,
            max_deliveries=self._max_deliveries,
        )
        await conversation.run(self._stream_application, scope)

    def _end_applications(self, number: int) -> Set[asyncio.Task[Any]]:
        partition_of = self._broker.names.partition_of
        ended = [
            details
            for scope_id, details in self.application_instances.items()
            if partition_of(str(scope_id)) == number
        ]
        for details in ended:
            self.delete_application_instance(details["scope_id"])
        return {details["future"] for details in ended}

    def _partition_of(self, scope_id: Any) -> Partition:
        return self._partitions[self._broker.names.partition_of(scope_id)]
