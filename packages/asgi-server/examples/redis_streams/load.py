"""Sends messages as fast as they are answered, and shows how fast that is."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from redis_streams.client import Client, connect
from redis_streams.names import Names

__all__ = ["run"]

# Messages that are sent together, and how many may be without an answer: enough for workers to
# be busy, and few enough for the latency to be that of the workers, not of a queue.
BATCH = 100
UNANSWERED = 2_000


class Times:
    """When each message was sent and answered, by scope and id, on the clock of this process.

    Attributes:
        answers: How many of the messages have been answered. What others sent does not count.
        changed: Set when there are more.
    """

    def __init__(self) -> None:
        self.answers = 0
        self.changed = asyncio.Event()
        self._sent: dict[tuple[str, str], float] = {}
        self._answered: dict[tuple[str, str], float] = {}

    # The answer may be read before Redis has told the id of the message.

    def note_sent(self, scope_id: str, id: str, at: float) -> None:
        """Note when a message was sent."""
        self._sent[scope_id, id] = at
        if (scope_id, id) in self._answered:
            self._note_answer()

    def note_answered(self, scope_id: str, id: str, at: float) -> None:
        """Note when a reply was read."""
        self._answered[scope_id, id] = at
        if (scope_id, id) in self._sent:
            self._note_answer()

    def _note_answer(self) -> None:
        self.answers += 1
        self.changed.set()

    def latencies(self) -> list[float]:
        """Return the milliseconds that each answer took."""
        return [1000 * (self._answered[key] - at) for key, at in self._sent.items()]

    def duration(self) -> float:
        """Return the seconds from the first message to the last answer."""
        return max(self._answered.values()) - min(self._sent.values())


async def run(url: str, names: Names, messages: int, scopes: int) -> None:
    """Send `messages` to `scopes`, wait until each is answered, and print what was measured."""
    scope_ids = [f"account-{number % scopes}" for number in range(messages)]
    times = Times()
    columns = (TextColumn("answered"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    async with connect(url) as redis:
        client = Client(redis, names)
        after = await client.last_reply_id()
        with Progress(*columns) as progress:
            bar = progress.add_task("", total=messages)
            async with asyncio.TaskGroup() as group:
                room = asyncio.Semaphore(UNANSWERED // BATCH)
                group.create_task(_send(client, scope_ids, times, room))
                reading = group.create_task(_read(client, after, times))
                batches = 0
                while times.answers < messages:
                    await times.changed.wait()
                    times.changed.clear()
                    progress.update(bar, completed=times.answers)
                    for _ in range(batches, batches := times.answers // BATCH):
                        room.release()
                reading.cancel()
    _print(times, messages, scopes)


async def _send(
    client: Client, scope_ids: Sequence[str], times: Times, room: asyncio.Semaphore
) -> None:
    for start in range(0, len(scope_ids), BATCH):
        await room.acquire()
        batch = scope_ids[start : start + BATCH]
        at = time.monotonic()
        ids = await client.send_many([(scope_id, '{"add": 1}') for scope_id in batch])
        for scope_id, id in zip(batch, ids, strict=True):
            times.note_sent(scope_id, id, at)


async def _read(client: Client, after: str, times: Times) -> None:
    async for reply in client.replies(after):
        times.note_answered(reply.scope_id, reply.to, time.monotonic())


def _print(times: Times, messages: int, scopes: int) -> None:
    percentiles = statistics.quantiles(times.latencies(), n=100)
    table = Table("messages", "scopes", "seconds", "per second", "median ms", "99% within ms")
    table.add_row(
        f"{messages:,}",
        f"{scopes:,}",
        f"{times.duration():.2f}",
        f"{messages / times.duration():,.0f}",
        f"{percentiles[49]:.1f}",
        f"{percentiles[98]:.1f}",
    )
    Console().print(table)
