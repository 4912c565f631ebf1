"""A real Redis server for the tests of the example `redis_streams`, and what they do with it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import shutil
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis_streams.broker import Broker
from redis_streams.client import Client, Reply, connect
from redis_streams.names import GROUP, Names
from redis_streams.worker import StreamWorker

# Far more than anything takes, and less than the limit of a test.
PATIENCE = 30

_numbers = itertools.count(1)


class RedisServer:
    """A Redis server on a socket in a folder, with nothing else in it."""

    def __init__(self, folder: Path, *options: str) -> None:
        found = shutil.which("redis-server")
        if found is None:
            pytest.skip(
                "redis-server is not on the PATH: install it with the operating system's package,"
                " such as `apt-get install redis-server`"
            )
        socket = folder / "redis.sock"
        self.url = f"unix://{socket}"
        place = ["--dir", str(folder), "--port", "0", "--unixsocket", str(socket)]
        self._command = [found, *place, "--save", "", *options]

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, encoding="utf-8")
        assert self._process.stdout is not None
        lines = []
        for line in self._process.stdout:
            lines.append(line)
            # Newer versions write it with a capital.
            if "ready to accept connections" in line.lower():
                return
        raise AssertionError("".join(lines))

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()

    @contextlib.contextmanager
    def running(self) -> Iterator[RedisServer]:
        self.start()
        try:
            yield self
        finally:
            self.stop()


class Deployment:
    """Keys of their own in a Redis server, a client, and workers in this process."""

    def __init__(self, url: str, redis: Redis, partitions: int) -> None:
        self.url = url
        self.redis: Any = redis
        self.names = Names(f"test-{next(_numbers)}", partitions)
        self.client = Client(redis, self.names)
        self._read = "0-0"

    def broker(self, **settings: Any) -> Broker:
        """A broker of a worker that was never there; after its lease, it is taken to be dead."""
        settings = {"lease": 60.0, **settings}
        return Broker(self.url, self.names, f"worker-{next(_numbers)}", **settings)

    async def expire(self, broker: Broker) -> None:
        """End the lease of a worker, as time would."""
        await self.redis.zadd(self.names.leases, {broker.worker: 0})

    @contextlib.asynccontextmanager
    async def working(
        self, application: Any, *, lease: float = 60, replies_kept: int = 1000, **settings: Any
    ) -> AsyncIterator[StreamWorker]:
        """A worker in this process, stopped at the end of the block."""
        broker = self.broker(lease=lease, replies_kept=replies_kept)
        worker = StreamWorker(application, broker, **settings)
        serving = asyncio.create_task(worker.arun())
        try:
            yield worker
        finally:
            worker.stop()
            await serving

    async def replies(self, number: int) -> list[Reply]:
        """Wait for the next replies."""
        found: list[Reply] = []
        async with (
            asyncio.timeout(PATIENCE),
            contextlib.aclosing(self.client.replies(self._read)) as replies,
        ):
            async for reply in replies:
                found.append(reply)
                self._read = reply.id
                if len(found) == number:
                    break
        return found

    async def dead(self, number: int) -> list[dict[str, str]]:
        """Wait for dead letters, and return their fields."""
        async with asyncio.timeout(PATIENCE):
            found: list[Any] = []
            while len(found) < number:
                after = found[-1][0] if found else "0-0"
                read = await self.redis.xread({self.names.dead: after}, block=2000)
                found += read[0][1] if read else []
        return [fields for _, fields in found]

    async def pending(self) -> dict[tuple[int, str], int]:
        """Return, by partition and id, how often each message not acknowledged was delivered."""
        found = {}
        for partition in range(self.names.partitions):
            stream = self.names.messages(partition)
            if await self.redis.exists(stream):
                entries = await self.redis.xpending_range(stream, GROUP, "-", "+", 100_000)
                for entry in entries:
                    found[partition, entry["message_id"]] = entry["times_delivered"]
        return found

    async def owners(self) -> dict[int, str]:
        """Return the name of the worker that owns each partition."""
        tokens = await self.redis.hgetall(self.names.owners)
        return {int(partition): token.split(" ")[1] for partition, token in tokens.items()}

    async def wait_shares(self, *shares: int) -> None:
        """Wait until so many workers own so many partitions."""

        async def are_reached() -> bool:
            owners = await self.owners()
            return sorted(Counter(owners.values()).values()) == sorted(shares)

        await self._wait_until(are_reached)

    async def wait_members(self, number: int) -> None:
        """Wait until so many workers take a share."""

        async def are_reached() -> bool:
            return bool(await self.redis.scard(self.names.members) == number)

        await self._wait_until(are_reached)

    async def _wait_until(self, is_reached: Callable[[], Awaitable[bool]]) -> None:
        seen: Any = "0-0"
        async with asyncio.timeout(PATIENCE):
            while not await is_reached():
                # A worker tells when it gives a partition up, and not when it takes one.
                read = await self.redis.xread({self.names.changes: seen}, block=20)
                seen = read[0][1][-1][0] if read else seen


@contextlib.asynccontextmanager
async def deployed(url: str, partitions: int = 2) -> AsyncIterator[Deployment]:
    """A deployment of its own."""
    async with connect(url) as redis:
        yield Deployment(url, redis, partitions)


async def echo(scope: Any, receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        await send({"type": "stream.send", "text": message["text"]})


@dataclass
class Holding:
    """An application that answers a message and holds it, until it is let go on."""

    received: asyncio.Queue[dict[str, Any]] = field(default_factory=asyncio.Queue)
    go_on: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            while True:
                message = await receive()
                await send({"type": "stream.send", "text": message["text"]})
                self.received.put_nowait({**message, "scope": scope})
                await self.go_on.acquire()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE):
            return await self.received.get()
