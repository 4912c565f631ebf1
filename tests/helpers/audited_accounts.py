"""The accounts of the example `redis_streams`, with a record of who handled what."""

from __future__ import annotations

import json
import os
from typing import Any

from redis_streams import accounts


def handled_key(prefix: str) -> str:
    """The list of scope id, message id and process, in the order of the handling."""
    return f"{prefix}:handled"


def held_key(prefix: str) -> str:
    """The list of processes that hold a message."""
    return f"{prefix}:held"


def let_go_key(prefix: str) -> str:
    """A list: for each element, one message that is held is let go."""
    return f"{prefix}:let-go"


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Say in each reply which process it is from.

    A message with `hold` is held when it is delivered the first time: `before` the account is
    changed, or `after`, before the reply.
    """
    if scope["type"] == "lifespan":
        await accounts.application(scope, receive, send)
        return
    redis = scope["state"]["redis"]
    prefix = os.environ["AUDIT_PREFIX"]
    process = os.getpid()
    hold = None

    async def hold_now() -> None:
        await redis.rpush(held_key(prefix), process)
        await redis.blpop([let_go_key(prefix)])

    async def audited_receive() -> Any:
        nonlocal hold
        message = await receive()
        handled = json.dumps([scope["id"], message["id"], process])
        await redis.rpush(handled_key(prefix), handled)
        is_first = message["deliveries"] == 1
        hold = json.loads(message["text"]).get("hold") if is_first else None
        if hold == "before":
            await hold_now()
        return message

    async def audited_send(message: Any) -> None:
        if hold == "after":
            await hold_now()
        reply = {**json.loads(message["text"]), "process": process}
        await send({**message, "text": json.dumps(reply)})

    await accounts.application(scope, audited_receive, audited_send)
