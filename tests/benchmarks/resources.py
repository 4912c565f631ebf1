"""What stays behind: threads, memory and file descriptors after many calls.

Each kind of work runs in a child process of its own. What is there after the first calls, when
pools are full and caches warm, is compared with what is there after ten times as many.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

import psutil

from asgi_sync import ThreadSensitiveContext, async_to_sync, sync_to_async
from tests.benchmarks.rows import Sizes

GROUP = "resources"
ROOT = Path(__file__).parents[2]

# One arena of CPython's allocator (3.10 and newer): what is freed inside of one may not go back to
# the system. Spread over 9,000 calls it is 116 bytes each, less than any object that a call
# leaves behind would take with what it refers to.
MEMORY_TOLERANCE = 2**20

# Does the work so many times.
Work: TypeAlias = Callable[[int], object]


@dataclass(frozen=True)
class Usage:
    """What a process holds."""

    threads: int
    descriptors: int
    memory: int


@dataclass(frozen=True)
class Growth:
    """What a process held after the first calls, and after all."""

    work: str
    what: str
    before: int
    after: int
    tolerance: int

    @property
    def is_too_much(self) -> bool:
        """Whether there is more than before."""
        return self.after > self.before + self.tolerance


def growths(sizes: Sizes) -> Iterator[list[Growth]]:
    """Do each kind of work in a child process, and compare."""
    for work in WORK:
        arguments = (work, str(sizes.first_calls), str(sizes.all_calls))
        command = (sys.executable, "-m", "tests.benchmarks.resources", *arguments)
        done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
        yield compare(work, *(Usage(**usage) for usage in json.loads(done.stdout)))


def compare(work: str, before: Usage, after: Usage) -> list[Growth]:
    """Return what has grown and what has not."""
    return [
        Growth(work, "threads", before.threads, after.threads, 0),
        Growth(work, "open files", before.descriptors, after.descriptors, 0),
        Growth(work, "memory", before.memory, after.memory, MEMORY_TOLERANCE),
    ]


# In the child process


def _usage() -> Usage:
    gc.collect()
    process = psutil.Process()
    descriptors = process.num_handles() if sys.platform == "win32" else process.num_fds()
    return Usage(process.num_threads(), descriptors, process.memory_info().rss)


@contextlib.contextmanager
def _cold_calls() -> Iterator[Work]:
    async def suspend() -> None:
        await asyncio.sleep(0)

    call = async_to_sync(suspend)

    def work(number: int) -> None:
        for _ in range(number):
            call()

    yield work


@contextlib.contextmanager
def _contexts() -> Iterator[Work]:
    call = sync_to_async(threading.get_ident)

    async def work(number: int) -> None:
        for _ in range(number):
            async with ThreadSensitiveContext():
                await call()

    with _on_event_loop(work) as on_loop:
        yield on_loop


@contextlib.contextmanager
def _cancelled_calls() -> Iterator[Work]:
    async def work(number: int) -> None:
        for _ in range(0, number, 2):
            await _cancel_running_and_queued()

    with _on_event_loop(work) as on_loop:
        yield on_loop


async def _cancel_running_and_queued() -> None:
    """Cancel two calls, of which one runs and the other waits for its thread."""
    loop = asyncio.get_running_loop()
    running, ended = asyncio.Event(), asyncio.Event()
    go_on = threading.Event()

    def block() -> None:
        loop.call_soon_threadsafe(running.set)
        go_on.wait()
        loop.call_soon_threadsafe(ended.set)

    tasks = [asyncio.ensure_future(sync_to_async(block)()) for _ in range(2)]
    await running.wait()
    for task in tasks:
        task.cancel()
    done, _ = await asyncio.wait(tasks)
    go_on.set()
    await ended.wait()
    if not all(task.cancelled() for task in done):
        raise RuntimeError("a call that was cancelled has not ended so")


@contextlib.contextmanager
def _on_event_loop(work: Callable[[int], Awaitable[None]]) -> Iterator[Work]:
    async def run(number: int) -> None:
        await work(number)

    with asyncio.Runner() as runner:
        yield lambda number: runner.run(run(number))


WORK: dict[str, Callable[[], contextlib.AbstractContextManager[Work]]] = {
    "cold async_to_sync calls": _cold_calls,
    "ThreadSensitiveContexts with one call": _contexts,
    "cancelled sync_to_async calls": _cancelled_calls,
}


def _work_and_print(name: str, first: int, in_all: int) -> None:
    with WORK[name]() as work:
        work(first)
        before = _usage()
        work(in_all - first)
        after = _usage()
    print(json.dumps([asdict(before), asdict(after)]))


if __name__ == "__main__":
    _work_and_print(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
