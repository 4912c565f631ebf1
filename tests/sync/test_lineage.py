from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest

from asgi_sync import async_to_sync, current_home, current_lineage, ensure_lineage, sync_to_async

pytestmark = pytest.mark.each_loop_kind

R = TypeVar("R")


def in_new_context(function: Callable[[], R]) -> R:
    return contextvars.Context().run(function)


def in_another_thread(function: Callable[[], R]) -> R:
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(function).result()


def test_code_that_never_asked_for_one_has_no_lineage() -> None:
    assert in_new_context(current_lineage) is None


def test_once_begun_it_stays_the_same() -> None:
    lineage = ensure_lineage()
    assert ensure_lineage() is lineage
    assert current_lineage() is lineage


@pytest.mark.parametrize("thread_sensitive", [True, False])
@pytest.mark.asyncio
async def test_it_crosses_to_sync_code_and_back(thread_sensitive: bool) -> None:
    lineage = ensure_lineage()
    assert await sync_to_async(current_lineage, thread_sensitive=thread_sensitive)() is lineage
    assert current_lineage() is lineage


@pytest.mark.asyncio
async def test_one_that_began_in_sync_code_is_the_callers_afterwards() -> None:
    async def task() -> None:
        lineage = await sync_to_async(ensure_lineage)()
        assert current_lineage() is lineage

    await asyncio.get_running_loop().create_task(task(), context=contextvars.Context())


def test_it_crosses_to_async_code_and_back() -> None:
    async def seen() -> object:
        return current_lineage()

    lineage = ensure_lineage()
    assert async_to_sync(seen)() is lineage
    assert current_lineage() is lineage


@pytest.mark.asyncio
async def test_tasks_inherit_it() -> None:
    async def seen() -> object:
        return current_lineage()

    lineage = ensure_lineage()
    assert await asyncio.create_task(seen()) is lineage


def test_a_context_run_in_another_thread_shows_none() -> None:
    ensure_lineage()
    assert in_another_thread(lambda: None) is None
    context = contextvars.copy_context()
    assert in_another_thread(lambda: context.run(current_lineage)) is None


@pytest.mark.asyncio
async def test_asyncio_to_thread_shows_none() -> None:
    ensure_lineage()
    assert await asyncio.to_thread(current_lineage) is None


def test_a_thread_with_the_ident_of_one_that_has_ended_is_another() -> None:
    """Idents are reused at once on most platforms; the test looks for such a pair."""
    contexts: dict[int, contextvars.Context] = {}

    def begin() -> None:
        ensure_lineage()
        contexts[threading.get_ident()] = contextvars.copy_context()

    def look() -> None:
        if (context := contexts.get(threading.get_ident())) is not None:
            seen.append(context.run(current_lineage))

    seen: list[object] = []
    for target in (begin, look) * 20:
        thread = threading.Thread(target=target)
        thread.start()
        thread.join()
    if not seen:
        pytest.skip("no ident was reused")
    assert set(seen) == {None}


def test_a_loop_that_moves_to_another_thread_keeps_its_tasks_lineage() -> None:
    loop, proceed = asyncio.new_event_loop(), asyncio.Event()

    async def task() -> bool:
        lineage = ensure_lineage()
        await proceed.wait()
        return current_lineage() is lineage

    running = loop.create_task(task(), context=contextvars.Context())
    try:
        loop.run_until_complete(asyncio.sleep(0))
        proceed.set()
        assert in_another_thread(lambda: loop.run_until_complete(running))
    finally:
        loop.close()


@pytest.mark.asyncio
async def test_a_given_context_keeps_its_own() -> None:
    context = contextvars.copy_context()
    theirs = context.run(ensure_lineage)
    ours = ensure_lineage()
    assert await sync_to_async(current_lineage, context=context)() is theirs
    assert context.run(current_lineage) is theirs
    assert current_lineage() is ours


def test_where_it_was_merely_inherited_a_new_one_can_begin() -> None:
    inherited = ensure_lineage()

    def begins() -> bool:
        return ensure_lineage() is not inherited and current_lineage() is ensure_lineage()

    context = contextvars.copy_context()
    assert in_another_thread(lambda: context.run(begins))
    assert current_lineage() is inherited


def test_a_task_whose_lineage_began_in_its_thread_keeps_it_where_its_loop_moves_to() -> None:
    """Once it has made sure of it: until then nothing tells where the task belongs."""
    lineage = ensure_lineage()
    loop, proceed = asyncio.new_event_loop(), asyncio.Event()

    async def task() -> bool:
        before = ensure_lineage()
        await proceed.wait()
        return before is lineage is current_lineage()

    running = loop.create_task(task())
    try:
        loop.run_until_complete(asyncio.sleep(0))
        proceed.set()
        assert in_another_thread(lambda: loop.run_until_complete(running))
    finally:
        loop.close()


def test_a_call_in_a_thread_that_inherits_a_context_does_not_adopt_its_lineage() -> None:
    variable = contextvars.ContextVar[int]("variable")

    async def change_something() -> None:
        variable.set(1)

    def crosses() -> object:
        async_to_sync(change_something)()
        return current_lineage()

    ensure_lineage()
    context = contextvars.copy_context()
    assert in_another_thread(lambda: context.run(crosses)) is None


# The home


def is_at_home() -> bool:
    return current_home().thread._is_owned()


def test_a_context_is_at_home_in_the_thread_where_its_lineage_began() -> None:
    lineage = ensure_lineage()
    assert current_home().lineage is lineage
    assert is_at_home()
    context = contextvars.copy_context()
    assert not in_another_thread(lambda: context.run(is_at_home))


def test_a_context_without_a_lineage_is_at_home_nowhere() -> None:
    assert not in_new_context(is_at_home)


@pytest.mark.asyncio
async def test_the_bridge_moves_the_home_there_and_back() -> None:
    ensure_lineage()
    assert await sync_to_async(is_at_home)()
    assert is_at_home()


def test_a_thread_that_has_ended_is_home_to_nothing() -> None:
    def begin() -> tuple[contextvars.Context, Any]:
        ensure_lineage()
        return contextvars.copy_context(), current_home().thread

    context, lock = in_another_thread(begin)
    # Not held by the dead: whichever thread has its ident now is not taken for it.
    assert lock.acquire(blocking=False)
    lock.release()
    assert context.run(current_lineage) is None
