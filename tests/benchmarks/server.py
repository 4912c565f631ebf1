"""Rows of asgi-server: a stateless server that holds many scopes."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

import asgiref.server

import asgi_server
from tests.benchmarks.rows import OURS, Bar, Row, Samplers, Sizes
from tests.benchmarks.timing import AsyncOperation, timed_async

GROUP = "server"
ASGIREF = "asgiref"

# A hundred times the scopes: work in proportion to them would cost a hundred times as much. What is
# allowed is what the processor's caches cost, as the scopes of the larger one do not fit in.
FLAT = 2.0


def rows(sizes: Sizes) -> list[Row]:
    """All rows of this group."""
    few = f"{sizes.few_scopes:,} held"
    return [
        Row(
            f"StatelessServer new scope, {sizes.scopes:,} held",
            GROUP,
            lambda: _new_scopes(
                {OURS: asgi_server.StatelessServer, ASGIREF: asgiref.server.StatelessServer},
                {OURS: sizes.scopes, ASGIREF: sizes.scopes},
            ),
            (Bar(ASGIREF, 0.05),),
            share=0.5,
        ),
        Row(
            f"StatelessServer new scope, {sizes.many_scopes:,} held",
            GROUP,
            lambda: _new_scopes(
                dict.fromkeys((OURS, few), asgi_server.StatelessServer),
                {OURS: sizes.many_scopes, few: sizes.few_scopes},
            ),
            (Bar(few, FLAT),),
            share=0.5,
        ),
    ]


async def _application(scope: Any, receive: Any, send: Any) -> None:
    await receive()


@contextlib.contextmanager
def _new_scopes(servers: dict[str, Any], held: dict[str, int]) -> Iterator[Samplers]:
    with asyncio.Runner() as runner:  # which cancels all applications at the end
        yield {
            name: timed_async(runner, runner.run(_full_server(servers[name], held[name])))
            for name in servers
        }


async def _full_server(server_class: Any, held: int) -> AsyncOperation:
    """Return an operation that starts an application in a server that has to end another."""
    server = server_class(_application, max_applications=held)
    scope_ids = itertools.count()
    # One more than it holds: asgiref evicts from there on.
    for _ in range(held + 1):
        server.get_or_create_application_instance(next(scope_ids), {})
    await asyncio.sleep(0)

    async def new_scope() -> None:
        server.get_or_create_application_instance(next(scope_ids), {})
        await asyncio.sleep(0)  # the new application starts, the old one ends

    return new_scope
