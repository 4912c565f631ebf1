"""Rows of asgi-server: a stateless server that holds many scopes."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import itertools
import tracemalloc
from collections.abc import Iterator, Mapping
from typing import Any

import asgiref.server

import asgi_server
from tests.benchmarks.rows import OURS, Bar, Row, Samplers, Sizes, Unit
from tests.benchmarks.timing import AsyncOperation, timed_async

GROUP = "server"
ASGIREF = "asgiref"

# A hundred times the scopes: work in proportion to them would cost a hundred times as much. What is
# allowed is what the processor's caches cost, as the scopes of the larger one do not fit in.
FLAT = 2.0


# Bytes are counted for so many scopes at once, fewer than of the other rows: asgiref's look at all
# their scopes for each new one.
SCOPES_WEIGHED = 0.2

BYTES = Unit("bytes", 1)


def rows(sizes: Sizes) -> list[Row]:
    """All rows of this group."""
    peers = {OURS: asgi_server.StatelessServer, ASGIREF: asgiref.server.StatelessServer}
    few = f"{sizes.few_scopes:,} held"
    two_sizes = {OURS: sizes.many_scopes, few: sizes.few_scopes}
    twice_ours = dict.fromkeys((OURS, few), asgi_server.StatelessServer)
    at_work = functools.partial(_new_scopes, twice_ours, two_sizes, _work)
    return [
        Row(
            f"StatelessServer new scope, {sizes.scopes:,} held",
            GROUP,
            lambda: _new_scopes(peers, dict.fromkeys(peers, sizes.scopes), _wait),
            (Bar(ASGIREF, 0.05),),
            share=0.5,
        ),
        Row(
            f"StatelessServer new scope, {sizes.many_scopes:,} held",
            GROUP,
            lambda: _new_scopes(twice_ours, two_sizes, _wait),
            (Bar(few, FLAT),),
            share=0.5,
        ),
        Row(
            f"StatelessServer new scope, {sizes.many_scopes:,} at work",
            GROUP,
            at_work,
            (Bar(few, FLAT),),
            share=0.5,
        ),
        Row(
            f"StatelessServer message, {sizes.scopes:,} held",
            GROUP,
            lambda: _messages(peers, dict.fromkeys(peers, sizes.scopes)),
            (Bar(ASGIREF),),
            share=0.5,
        ),
        Row(
            f"StatelessServer message, {sizes.many_scopes:,} held",
            GROUP,
            lambda: _messages(twice_ours, two_sizes),
            (Bar(few, FLAT),),
            share=0.5,
        ),
        Row(
            "StatelessServer idle scope, memory",
            GROUP,
            lambda: _memory_of_scopes(peers),
            (Bar(ASGIREF),),
            unit=BYTES,
            share=0,
            number=max(1, int(sizes.scopes * SCOPES_WEIGHED)),
        ),
    ]


# The applications


async def _wait(scope: Any, receive: Any, send: Any) -> None:
    await receive()


async def _work(scope: Any, receive: Any, send: Any) -> None:
    await asyncio.get_running_loop().create_future()


async def _take_all(scope: Any, receive: Any, send: Any) -> None:
    while True:
        await receive()


# What is measured


@contextlib.contextmanager
def _new_scopes(
    servers: Mapping[str, Any], held: Mapping[str, int], application: Any
) -> Iterator[Samplers]:
    with asyncio.Runner() as runner:  # which cancels all applications at the end
        yield {
            name: timed_async(
                runner, runner.run(_full_server(servers[name](application, held[name]), held[name]))
            )
            for name in servers
        }


async def _full_server(server: Any, held: int) -> AsyncOperation:
    """Return an operation that starts an application in a server that has to end another."""
    scope_ids = itertools.count()
    # One more than it holds: asgiref evicts from there on.
    for _ in range(held + 1):
        server.get_or_create_application_instance(next(scope_ids), {})
    await asyncio.sleep(0)

    async def new_scope() -> None:
        server.get_or_create_application_instance(next(scope_ids), {})
        await asyncio.sleep(0)  # the new application starts, the old one ends

    return new_scope


@contextlib.contextmanager
def _messages(servers: Mapping[str, Any], held: Mapping[str, int]) -> Iterator[Samplers]:
    with asyncio.Runner() as runner:
        yield {
            name: timed_async(
                runner, runner.run(_served_scopes(servers[name](_take_all, held[name]), held[name]))
            )
            for name in servers
        }


async def _served_scopes(server: Any, held: int) -> AsyncOperation:
    """Return an operation that puts a message for the next one of the scopes held."""
    scope_ids = itertools.cycle(range(held))
    for scope_id in range(held):
        server.get_or_create_application_instance(scope_id, {})
    await asyncio.sleep(0)

    async def message() -> None:
        server.get_or_create_application_instance(next(scope_ids), {}).put_nowait(None)
        await asyncio.sleep(0)  # the application receives it

    return message


@contextlib.contextmanager
def _memory_of_scopes(servers: Mapping[str, Any]) -> Iterator[Samplers]:
    yield {name: functools.partial(_bytes_of_scopes, servers[name]) for name in servers}


def _bytes_of_scopes(server_class: Any, number: int) -> float:
    async def weigh() -> int:
        server = server_class(_wait, number)
        tracemalloc.start()
        try:
            for scope_id in range(number):
                server.get_or_create_application_instance(scope_id, {})
            await asyncio.sleep(0)  # all of them wait for a message
            gc.collect()
            return tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()

    return asyncio.run(weigh())
