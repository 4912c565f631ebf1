"""Rows of asgi-local: attributes that are local to a thread or a task."""

from __future__ import annotations

import asyncio
import contextlib
import math
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from time import perf_counter
from timeit import Timer
from typing import Any

import asgiref.local

import asgi_local
from tests.benchmarks.rows import NANOSECONDS, OURS, Bar, Row, Sampler, Samplers, Sizes

GROUP = "local"
ASGIREF = "asgiref"
THREADING = "threading.local"

# In one turn of a loop, whose own cost would count otherwise: an access takes about as long.
UNROLLED = 10
# So many objects have an attribute to delete before the time is taken.
OBJECTS = 50

# asgiref's own look-up became cheaper; the design names no bar for 3.12, which is like 3.13.
GET_OVER_ASGIREF = 0.20 if sys.version_info < (3, 12) else 0.50


def rows(sizes: Sizes) -> list[Row]:
    """All rows of this group."""
    del sizes  # an attribute is an attribute
    get = (Bar(ASGIREF, GET_OVER_ASGIREF), Bar(THREADING, 4.0))
    change = (Bar(ASGIREF, 0.5), Bar(THREADING))
    found = []
    for kind, critical in (("", False), (", thread-critical", True)):
        for place, is_async in (("sync", False), ("async", True)):
            where = f"in {place} code{kind}"
            found += [
                _row(f"Local get {where}", _repeated, "local.value", critical, is_async, get),
                _row(
                    f"Local set {where}", _repeated, "local.value = 1", critical, is_async, change
                ),
                _row(f"Local delete {where}", _deleted, "", critical, is_async, change),
            ]
    return found


def _row(
    name: str,
    sampler: Callable[[str, Callable[[], Any]], Sampler],
    statement: str,
    thread_critical: bool,
    is_async: bool,
    bars: tuple[Bar, ...],
) -> Row:
    @contextlib.contextmanager
    def variants() -> Iterator[Samplers]:
        samplers = {
            OURS: sampler(statement, lambda: asgi_local.Local(thread_critical)),
            ASGIREF: sampler(statement, lambda: asgiref.local.Local(thread_critical)),
            THREADING: sampler(statement, threading.local),
        }
        with _in_async_code(samplers) if is_async else contextlib.nullcontext(samplers) as placed:
            yield placed

    return Row(name, GROUP, variants, bars, NANOSECONDS)


def _repeated(statement: str, make_local: Callable[[], Any]) -> Sampler:
    timer = Timer("; ".join([statement] * UNROLLED), globals={"local": (local := make_local())})

    def sample(number: int) -> float:
        local.value = 1  # each task has its own
        turns = math.ceil(number / UNROLLED)
        return timer.timeit(turns) * number / (turns * UNROLLED)

    return sample


def _deleted(statement: str, make_local: Callable[[], Any]) -> Sampler:
    del statement
    objects = [make_local() for _ in range(OBJECTS)]

    def sample(number: int) -> float:
        taken = 0.0
        turns = math.ceil(number / OBJECTS)
        for _ in range(turns):
            for local in objects:
                local.value = 1
            start = perf_counter()
            for local in objects:
                del local.value
            taken += perf_counter() - start
        return taken * number / (turns * OBJECTS)

    return sample


@contextlib.contextmanager
def _in_async_code(samplers: Mapping[str, Sampler]) -> Iterator[Samplers]:
    with asyncio.Runner() as runner:

        def placed(sampler: Sampler) -> Sampler:
            async def sample(number: int) -> float:
                return sampler(number)

            return lambda number: runner.run(sample(number))

        yield {name: placed(sampler) for name, sampler in samplers.items()}
