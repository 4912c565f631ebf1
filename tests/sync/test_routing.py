"""Where thread-sensitive calls run, row by row, in programs that run from end to end.

Each test runs one combination of

- what is outermost: sync code or async code;
- the layers below: contexts with and without an executor, sync functions that call async code;
- how the calls are started: directly, in a task, by gather, wait_for, a TaskGroup or a callback;
- when they are made: while their starter waits, or when it has returned, or any layer above has.

`helpers.routing_model` says where the calls must run, `helpers.routing_run` runs the program.
"""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from helpers.routing_model import (
    CALLER,
    REFUSED,
    SHARED,
    Case,
    Kind,
    Layer,
    Outermost,
    Place,
    When,
    place_of,
    place_of_layer,
    times_of,
)
from helpers.routing_run import Run
from helpers.starts import STARTS, Start

from asgi_sync import SyncToAsync, ThreadSensitiveContext, async_to_sync, sync_to_async

this_thread = threading.get_ident

CONTEXT, EXECUTOR, VIEW = Layer.CONTEXT, Layer.EXECUTOR, Layer.VIEW
ANY_THREAD, NEW_LOOP, RUN = Layer.ANY_THREAD, Layer.NEW_LOOP, Layer.RUN

# Every start at every time.
CHAINS: list[tuple[Layer, ...]] = [
    (),
    (CONTEXT,),
    (EXECUTOR,),
    (CONTEXT, EXECUTOR),
    (EXECUTOR, CONTEXT),
    (EXECUTOR, EXECUTOR),
    (VIEW,),
    (CONTEXT, VIEW),
    (EXECUTOR, VIEW),
    (VIEW, CONTEXT),
    (VIEW, EXECUTOR),
]
# These are about what is above the calls: some starts, at every time.
FURTHER_CHAINS: list[tuple[Layer, ...]] = [
    (VIEW, VIEW),
    (EXECUTOR, VIEW, EXECUTOR),
    (ANY_THREAD,),
    (CONTEXT, ANY_THREAD),
    (ANY_THREAD, CONTEXT),
    (ANY_THREAD, EXECUTOR),
    (ANY_THREAD, VIEW),
    (VIEW, ANY_THREAD),
    (NEW_LOOP,),
    (EXECUTOR, NEW_LOOP),
    (NEW_LOOP, EXECUTOR),
    (RUN,),
    (EXECUTOR, RUN),
    (RUN, CONTEXT),
    (RUN, VIEW),
]
SOME_STARTS = ("directly", "in a task", "in an empty context")
# An outer task of theirs would pass its own cancellation on to the task that cleans up.
NOT_AS_THE_LOOP_ENDS = ("in wait_for", "in a TaskGroup")


def rows() -> Iterator[list[Case]]:
    """The cases that differ in their start only."""
    for outermost in Outermost:
        for layers in CHAINS + FURTHER_CHAINS:
            starts = STARTS if layers in CHAINS else SOME_STARTS
            for when, layer in times_of(layers):
                row = [Case(outermost, layers, start, when, layer) for start in starts]
                yield [case for case in row if is_possible(case)]


def is_possible(case: Case) -> bool:
    if case.start == "in an empty context":
        return case.when is When.AWAITED and finds_its_thread(case)
    if case.start == "directly":
        return case.when is When.AWAITED
    return not (case.when is When.LOOP_ENDS and case.start in NOT_AS_THE_LOOP_ENDS)


def finds_its_thread(case: Case) -> bool:
    """Whether a task that descends from nothing can be served by the thread that it gets."""
    # In others it is refused: see test_stalls.py.
    return RUN not in case.layers


@pytest.mark.parametrize("row", [pytest.param(row, id=row[0].row) for row in rows()])
def test_calls_run_one_at_a_time_where_the_rules_say(row: list[Case]) -> None:
    # One test for all starts: pytest takes longer for a test than a run of a program.
    failures = []
    for case in row:
        try:
            check(case)
        except (AssertionError, RuntimeError) as error:
            error.add_note(case.start)
            failures.append(error)
    if failures:
        raise ExceptionGroup(row[0].row, failures)


def check(case: Case) -> None:
    """Run the program of a case and compare the threads with those that the rules say."""
    run = Run(case)
    threads: dict[Place, set[int]] = defaultdict(set)
    threads[CALLER].add(this_thread())
    threads[SHARED].add(SyncToAsync.single_thread_executor.submit(this_thread).result())
    for number, executor in run.executors.items():
        threads[Place(Kind.OF_EXECUTOR, number)].add(executor.submit(this_thread).result())

    run.run()

    for number, thread in run.threads.items():
        threads[place_of_layer(case, number)].add(thread)
    place = place_of(case)
    if place == REFUSED:
        assert all("has exited" in str(call) for call in run.calls), run.calls
    else:
        threads[place].update(ran_in(run.calls))
    assert len(run.calls) == (1 if case.start == "directly" else 2)
    assert run.threads.keys() == set(range(len(case.layers)))
    assert all(len(idents) == 1 for idents in threads.values()), (place, dict(threads))
    assert_not_the_same(threads)
    assert run.overlaps == []


def ran_in(calls: list[int | RuntimeError]) -> list[int]:
    for call in calls:
        if isinstance(call, RuntimeError):
            raise call
    return [call for call in calls if isinstance(call, int)]


def assert_not_the_same(threads: dict[Place, set[int]]) -> None:
    """No two places have a thread in common; only a free one may have been another's."""
    free, taken = [], []
    for place, idents in threads.items():
        (free if place.kind is Kind.FREE else taken).append(idents)
    assert len(set().union(*taken)) == len(taken), threads
    for idents in free:
        for place, others in threads.items():
            assert place.kind in FROM_THE_POOL or not idents & others, threads


FROM_THE_POOL = (Kind.FREE, Kind.OF_CONTEXT, Kind.OF_POOL)

# Rows of the list of what users ask for, each as its reporters have met it.

AROUND = ["sync code", "async code", "a context", "a context with an executor"]
each_surrounding = pytest.mark.parametrize("around", AROUND)
WAYS = [pytest.param(start, id=name) for name, start in STARTS.items() if "empty" not in name]
each_start = pytest.mark.parametrize("start", WAYS)
each_start_that_outlives = pytest.mark.parametrize("start", WAYS[1:])


def run_in(around: str, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run async code below sync code, below nothing, or in a context."""

    async def in_a_context(executor: ThreadPoolExecutor | None) -> None:
        async with ThreadSensitiveContext(executor=executor):
            await main()

    if around == "sync code":
        async_to_sync(main)()
    elif around == "async code":
        asyncio.run(main())
    elif around == "a context":
        asyncio.run(in_a_context(None))
    else:
        with ThreadPoolExecutor(1) as executor:
            asyncio.run(in_a_context(executor))


@each_surrounding
@each_start
def test_d1_what_a_view_starts_and_awaits_is_served_by_the_thread_that_waits_for_it(
    around: str, start: Start
) -> None:
    threads: list[int] = []

    async def query() -> None:
        threads.append(await sync_to_async(this_thread)())

    async def inner() -> None:
        await start(query)

    def view() -> None:
        threads.append(this_thread())
        async_to_sync(inner)()

    async def main() -> None:
        await sync_to_async(view)()

    run_in(around, main)
    assert len(threads) == 2
    assert len(set(threads)) == 1


@each_surrounding
@each_start_that_outlives
@pytest.mark.parametrize("waits_again", [True, False], ids=["by the next call", "by the outer"])
def test_d2_what_is_left_when_the_inner_call_has_ended_is_served(
    around: str, start: Start, waits_again: bool
) -> None:
    """A call is in the queue of the inner one, behind one that runs until that has ended."""
    inner_has_ended, threads = threading.Event(), [0]
    has_called, left = asyncio.Event(), list[Awaitable[Any]]()

    async def query() -> None:
        # Nobody who waits for it runs before the call has been made.
        has_called.set()
        threads.append(await sync_to_async(this_thread)())

    async def inner() -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        # After all other callbacks, the bridge's among them.
        task.add_done_callback(lambda _: loop.call_soon(inner_has_ended.set))
        left.append(asyncio.create_task(sync_to_async(inner_has_ended.wait)()))
        left.append(start(query))
        await has_called.wait()

    async def rest() -> None:
        await asyncio.gather(*left)

    def view() -> None:
        threads[0] = this_thread()
        async_to_sync(inner)()
        if waits_again:
            async_to_sync(rest)()

    async def main() -> None:
        await sync_to_async(view)()
        await rest()

    run_in(around, main)
    assert len(threads) == 2
    assert len(set(threads)) == 1


@each_surrounding
@each_start_that_outlives
def test_d4_a_background_task_makes_its_call_after_the_request_that_started_it(
    around: str, start: Start
) -> None:
    """Sync middleware calls an async view; its task goes on when the middleware has returned."""
    threads: list[int] = []
    background: list[Awaitable[Any]] = []
    request_has_ended = asyncio.Event()

    async def later() -> None:
        await request_has_ended.wait()
        threads.append(await sync_to_async(this_thread)())

    async def view() -> None:
        background.append(start(later))

    def middleware() -> None:
        threads.append(this_thread())
        async_to_sync(view)()

    async def main() -> None:
        await sync_to_async(middleware)()
        request_has_ended.set()
        await background[0]

    run_in(around, main)
    assert len(threads) == 2
    assert len(set(threads)) == 1
