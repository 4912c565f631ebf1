"""Redis, as the workers use it: each operation is one script, which Redis runs in one step.

Every script that touches a partition compares the worker's token with that of the owner first, so
that a worker that lost the partition without noticing can neither read, acknowledge nor reply.
Every script may be sent twice: where the connection is lost, nobody knows whether it has run.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from redis_streams.names import GROUP, Names

__all__ = ["Broker", "Entry", "Ownership", "OwnershipLostError", "Share", "Written"]

logger = logging.getLogger("redis_streams")

# Seconds. A connection that gives no answer for longer than `PATIENCE` is taken to be dead, so
# waiting for messages must be shorter than that.
PATIENCE = 5.0
LONGEST_WAIT = 2.0
FIRST_DELAY, LONGEST_DELAY = 0.05, 2.0

# What time may heal.
_TEMPORARY = (
    RedisConnectionError,
    RedisTimeoutError,
    TimeoutError,
    OutOfMemoryError,
    ReadOnlyError,
)


class OwnershipLostError(OSError):
    """The worker does not own the partition any more: it gave it up, or was away for too long.

    An OSError, as the ASGI specification has it for a `send()` that comes too late.
    """


@dataclass(frozen=True)
class Ownership:
    """A partition, and the token that proves whose it is."""

    partition: int
    token: str


@dataclass(frozen=True)
class Share:
    """How many partitions a worker should own, and those that it owns."""

    size: int
    owned: tuple[Ownership, ...]


@dataclass(frozen=True)
class Entry:
    """A message as it was read; `deliveries` counts those before."""

    id: str
    fields: dict[str, str]
    deliveries: int


@dataclass(frozen=True)
class Written:
    """Replies, and the message to be acknowledged with them; `id` is empty if there is none."""

    id: str
    scope_id: str
    replies: Sequence[str]


class Broker:
    """The operations of one worker, on one event loop. Each goes on until Redis has answered.

    Args:
        url: Of the Redis server, such as `redis://localhost:6379`.
        names: The keys.
        worker: A name that no other worker has or had.
        lease: For how many seconds a worker that is not heard of is taken to be alive.
        replies_kept: How many replies are kept at least, for clients that are slow.
    """

    def __init__(
        self, url: str, names: Names, worker: str, *, lease: float = 10, replies_kept: int = 100_000
    ) -> None:
        self.names = names
        self.worker = worker
        self.lease = lease
        self._replies_kept = replies_kept
        self._redis: Redis = Redis.from_url(
            url,
            decode_responses=True,
            # Clients may send what is no UTF-8; it comes back as it was.
            encoding_errors="surrogateescape",
            socket_timeout=None,  # see `connect`, and `_persist`
            retry=Retry(NoBackoff(), 0),
            max_connections=2**31,  # two per partition, and one
        )
        self._is_away = False
        self._balance = self._script("balance")
        self._take = self._script("take")
        self._write = self._script("write")
        self._count = self._script("count")
        self._bury = self._script("bury")
        self._release = self._script("release")
        self._leave = self._script("leave")

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    # Who owns what

    async def check_settings(self) -> None:
        """Raise ValueError if others, now or before, have another number of partitions."""
        key, number = self.names.settings, str(self.names.partitions)
        await self._persist(lambda: self._redis.hsetnx(key, "partitions", number))
        known = await self._persist(lambda: self._redis.hget(key, "partitions"))
        if known != number:
            raise ValueError(
                f"{self.names.prefix!r} has {known} partitions, not {number}: give all workers and "
                f"clients the same, or delete {key!r} once no message is left"
            )

    async def balance(self, *, is_member: bool) -> Share:
        """Renew the lease, take partitions that are free up to the worker's share.

        Args:
            is_member: Whether the worker has a share; false once it is stopping.
        """
        names = self.names
        keys = [names.members, names.leases, names.owners, names.epoch, names.changes]
        keys += [names.messages(partition) for partition in range(names.partitions)]
        milliseconds = max(1, int(self.lease * 1000))
        arguments = [self.worker, milliseconds, int(is_member), GROUP]
        size, owned = await self._persist(lambda: self._balance(keys, arguments))
        return Share(size, tuple(Ownership(partition, token) for partition, token in owned))

    async def wait_change(self, after: str) -> str:
        """Wait for partitions that became free since `after`, but not for long.

        Returns:
            What to give for `after` the next time. Before the first: `0-0`.
        """
        # A lease is renewed three times before it runs out.
        seconds = min(self.lease / 3, LONGEST_WAIT)
        return await self._wait_entry(self.names.changes, after, seconds, count=100)

    async def release(self, ownership: Ownership) -> None:
        """Give a partition up, for another worker to take at once."""
        keys = [self.names.owners, self.names.changes]
        await self._persist(lambda: self._release(keys, [ownership.partition, ownership.token]))

    async def leave(self) -> None:
        """Give up the lease and all partitions, for others to take at once."""
        names = self.names
        keys = [names.members, names.leases, names.owners, names.changes]
        await self._persist(lambda: self._leave(keys, [self.worker]))

    # What is in a partition. Each raises OwnershipLostError.

    async def take(self, ownership: Ownership, after: str, count: int) -> list[Entry]:
        """Read up to `count` messages that follow the one with the id `after`; do not wait."""
        keys = [self.names.owners, self.names.messages(ownership.partition)]
        arguments = [ownership.partition, ownership.token, GROUP, self.worker, after, count]
        taken = await self._persist(lambda: self._take(keys, arguments))
        return [
            Entry(id, dict(zip(fields[::2], fields[1::2], strict=True)), deliveries)
            for id, fields, deliveries in taken
        ]

    async def wait_message(self, partition: int, after: str) -> None:
        """Wait until there is a message that follows the one with the id `after`; not for long."""
        await self._wait_entry(self.names.messages(partition), after, LONGEST_WAIT, count=1)

    async def write(self, ownership: Ownership, written: Sequence[Written]) -> None:
        """Acknowledge messages and publish their replies."""
        names = self.names
        keys = [names.owners, names.messages(ownership.partition), names.replies]
        arguments: list[Any] = [ownership.partition, ownership.token, GROUP, self._replies_kept]
        for each in written:
            arguments += [each.id, each.scope_id, len(each.replies), *each.replies]
        await self._persist(lambda: self._write(keys, arguments))

    async def count_delivery(self, ownership: Ownership, id: str, number: int) -> None:
        """Write down that a message is about to be delivered for the `number`th time."""
        keys = [self.names.owners, self.names.messages(ownership.partition)]
        arguments = [ownership.partition, ownership.token, GROUP, self.worker, id, number]
        await self._persist(lambda: self._count(keys, arguments))

    async def bury(self, ownership: Ownership, entry: Entry, error: str) -> None:
        """Move a message to the dead-letter stream."""
        names = self.names
        keys = [names.owners, names.messages(ownership.partition), names.dead]
        arguments = [ownership.partition, ownership.token, GROUP, entry.id, entry.deliveries, error]
        await self._persist(lambda: self._bury(keys, arguments))

    # How

    def _script(self, name: str) -> Callable[[Sequence[str], Sequence[Any]], Awaitable[Any]]:
        path = Path(__file__).parent / "scripts" / f"{name}.lua"
        return self._redis.register_script(path.read_text(encoding="utf-8"))

    async def _wait_entry(self, stream: str, after: str, seconds: float, count: int) -> str:
        milliseconds = max(1, int(seconds * 1000))
        streams: dict[Any, Any] = {stream: after}
        read = await self._persist(
            lambda: self._redis.xread(streams, count=count, block=milliseconds)
        )
        return read[0][1][-1][0] if read else after

    async def _persist(self, command: Callable[[], Awaitable[Any]]) -> Any:
        """Give a command again and again until Redis has answered it."""
        delay = FIRST_DELAY
        while True:
            try:
                async with asyncio.timeout(PATIENCE):
                    result = await command()
            except AuthenticationError:
                raise
            except _TEMPORARY as error:
                self._tell_away(error)
            except ResponseError as error:
                if str(error).startswith("NOTOWNER"):
                    raise OwnershipLostError(self.worker) from None
                raise
            else:
                self._tell_back()
                return result
            # Spread, or a restarted server would be asked by all workers at once.
            await asyncio.sleep(delay * random.uniform(0.5, 1))
            delay = min(2 * delay, LONGEST_DELAY)

    def _tell_away(self, error: Exception) -> None:
        if not self._is_away:
            logger.warning("Redis cannot be used now, trying again: %s", error)
        self._is_away = True

    def _tell_back(self) -> None:
        if self._is_away:
            logger.warning("Redis can be used again")
        self._is_away = False
