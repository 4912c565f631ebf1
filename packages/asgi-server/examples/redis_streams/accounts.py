"""The example application: accounts, which must be right although messages come twice.

A message is `{"add": 5}`, the reply the new balance. What is not such a message makes the
application fail, and ends in the dead-letter stream.
"""

from __future__ import annotations

import json
import os
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff

__all__ = ["application"]

# A message may be delivered again after it was applied: the worker died before the acknowledgement.
# Each account holds the id of the last message that changed it; ids grow, so a message that is not
# newer has been applied. This also keeps out a worker that was stopped, lost the scope to another
# one, and goes on: it may come after the other one has applied later messages.
ADD_ONCE = """
local function parts(id) return tonumber(id:match('^%d+')), tonumber(id:match('%d+$')) end
local last, last_sequence = parts(redis.call('HGET', KEYS[1], 'last') or '0-0')
local this, this_sequence = parts(ARGV[1])
if this > last or this == last and this_sequence > last_sequence then
    redis.call('HSET', KEYS[1], 'last', ARGV[1])
    redis.call('HINCRBY', KEYS[1], 'balance', ARGV[2])
end
return redis.call('HGET', KEYS[1], 'balance')
"""


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Keep one account for each scope id."""
    if scope["type"] == "lifespan":
        await _lifespan(scope, receive, send)
        return
    account = f"account:{scope['id']}"
    add_once = scope["state"]["redis"].register_script(ADD_ONCE)
    while True:
        message = await receive()
        amount = int(json.loads(message["text"])["add"])
        balance = await add_once([account], [message["id"], amount])
        await send({"type": "stream.send", "text": json.dumps({"balance": int(balance)})})


async def _lifespan(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    url = os.environ.get("REDIS_URL", "redis://localhost:6379")
    # As many accounts change at a time as there are connections; the others wait for one.
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=16,
        timeout=None,
        retry=Retry(ExponentialWithJitterBackoff(base=0.05, cap=1), 10),
        socket_timeout=None,  # see `connect`
    )
    async with Redis.from_pool(pool) as scope["state"]["redis"]:
        await send({"type": "lifespan.startup.complete"})
        await receive()
    await send({"type": "lifespan.shutdown.complete"})
