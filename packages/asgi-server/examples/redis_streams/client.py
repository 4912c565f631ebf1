"""A client: sends messages to scopes, reads the replies."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff

from redis_streams.names import Names

__all__ = ["Client", "Reply", "connect"]


def connect(url: str) -> Redis:
    """Return a client of Redis that tries again, for some seconds, when the connection is lost.

    The caller closes it. A message may be sent twice then, and has two ids.
    """
    retry = Retry(ExponentialWithJitterBackoff(base=0.05, cap=1), 10)
    # With a time-out, redis-py would call `asyncio.wait_for`, which may lose a cancellation in
    # Python 3.11 (https://github.com/python/cpython/issues/86296).
    return Redis.from_url(url, decode_responses=True, retry=retry, socket_timeout=None)


@dataclass(frozen=True)
class Reply:
    """What an application sent; `to` is the id of the message that it answers, or empty."""

    id: str
    scope_id: str
    to: str
    text: str


class Client:
    """Sends and receives on one event loop.

    Args:
        redis: As `connect()` makes it.
        names: The keys of the deployment.
    """

    def __init__(self, redis: Redis, names: Names) -> None:
        self._redis = redis
        self._names = names

    async def send(self, scope_id: str, text: str) -> str:
        """Send a message; return its id, which tells it from others to the same scope."""
        [id] = await self.send_many([(scope_id, text)])
        return id

    async def send_many(self, messages: Iterable[tuple[str, str]]) -> list[str]:
        """Send pairs of scope id and text, in one round trip; return their ids."""
        pipeline = self._redis.pipeline(transaction=False)
        for scope_id, text in messages:
            stream = self._names.messages(self._names.partition_of(scope_id))
            # Nothing to wait for here: a pipeline only collects.
            _ = pipeline.xadd(stream, {"scope": scope_id, "text": text})
        return await pipeline.execute()

    async def last_reply_id(self) -> str:
        """Return the id of the last reply; `0-0` if there is none yet."""
        last: Any = await self._redis.xrevrange(self._names.replies, count=1)
        id: str = last[0][0] if last else "0-0"
        return id

    async def replies(self, after: str = "0-0") -> AsyncIterator[Reply]:
        """Iterate over the replies that follow the one with the id `after`, waiting for more.

        Replies to all scopes come in one stream. It is trimmed: a client that is slower than the
        workers misses some.
        """
        streams: dict[Any, Any] = {self._names.replies: after}
        while True:
            # Shorter than the time-out of the connection.
            read: Any = await self._redis.xread(streams, count=1000, block=2000)
            for id, fields in read[0][1] if read else ():
                streams[self._names.replies] = id
                yield Reply(id, fields["scope"], fields["to"], fields["text"])
