from __future__ import annotations

import asyncio
import contextlib
import contextvars
import subprocess
import sys
import threading
import traceback
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import Any, cast

import pytest
from helpers.locals import (
    Value,
    both_kinds,
    no_garbage_collector,
    set_new_value,
)

from asgi_local import Local

# Values go at once, without the garbage collector


@both_kinds
def test_a_value_is_freed_when_it_is_replaced_or_deleted(thread_critical: bool) -> None:
    local = Local(thread_critical)
    with no_garbage_collector():
        dead = [set_new_value(local) for _ in range(3)]
        del local.value
        assert [reference() for reference in dead] == [None] * 3


@both_kinds
@pytest.mark.asyncio
async def test_so_in_async_code(thread_critical: bool) -> None:
    local = Local(thread_critical)
    with no_garbage_collector():
        dead = [set_new_value(local) for _ in range(3)]
        del local.value
        assert [reference() for reference in dead] == [None] * 3


@both_kinds
def test_a_value_is_freed_when_its_thread_ends(thread_critical: bool) -> None:
    local, dead = Local(thread_critical), list[weakref.ref[Value]]()
    with no_garbage_collector():
        thread = threading.Thread(target=lambda: dead.append(set_new_value(local)))
        thread.start()
        thread.join()
        del thread
        assert dead[0]() is None


@both_kinds
def test_a_value_is_freed_when_its_task_ends(thread_critical: bool) -> None:
    local = Local(thread_critical)

    async def task() -> weakref.ref[Value]:
        return set_new_value(local)

    async def main() -> weakref.ref[Value]:
        return await asyncio.create_task(task())

    with no_garbage_collector():
        assert asyncio.run(main())() is None


def test_a_value_is_freed_when_its_context_goes() -> None:
    local, context = Local(), contextvars.copy_context()
    with no_garbage_collector():
        dead = context.run(set_new_value, local)
        assert dead() is not None
        del context
        assert dead() is None


@both_kinds
def test_a_value_is_freed_when_its_override_ends(thread_critical: bool) -> None:
    local = Local(thread_critical)
    with no_garbage_collector():
        dead = set_new_value(local)
        with local.override(value=None):
            assert dead() is not None
        del local.value
        assert dead() is None
        with local.override(value=Value()):
            dead = weakref.ref(local.value)
        assert dead() is None


def in_this_context(local: Local) -> Any:
    return set_new_value(local)


def in_a_context_that_lasts(local: Local) -> Any:
    kept.append(contextvars.copy_context())
    return kept[-1].run(set_new_value, local)


def in_copies_of_a_context(local: Local) -> Any:
    dead = set_new_value(local)
    kept.append(contextvars.copy_context())
    local.other = "only in this context"
    return dead


def in_a_task_of_a_loop_that_lasts(local: Local) -> Any:
    async def task() -> None:
        found.append(set_new_value(local))
        del found_local[:]
        await asyncio.Event().wait()

    found, found_local = list[Any](), [local]
    loop = asyncio.new_event_loop()
    context = contextvars.copy_context()
    running = loop.create_task(task(), context=context)
    loop.run_until_complete(asyncio.sleep(0))
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        loop.run_until_complete(running)
    loop.close()
    kept.append(context)
    return found[0]


kept: list[contextvars.Context] = []


@both_kinds
@pytest.mark.parametrize(
    "where",
    [
        in_this_context,
        in_a_context_that_lasts,
        in_copies_of_a_context,
        in_a_task_of_a_loop_that_lasts,
    ],
)
def test_a_value_is_freed_with_the_last_reference_to_its_local(
    thread_critical: bool, where: Callable[[Local], Any]
) -> None:
    local = Local(thread_critical)
    with no_garbage_collector():
        dead = where(local)
        assert dead() is not None
        del local
        assert dead() is None


@both_kinds
def test_so_in_a_thread_that_lasts(thread_critical: bool) -> None:
    locals_, dead = [Local(thread_critical)], list[weakref.ref[Value]]()
    is_set, proceed = threading.Event(), threading.Event()

    def thread() -> None:
        dead.append(set_new_value(locals_[0]))
        is_set.set()
        proceed.wait()

    running = threading.Thread(target=thread)
    with no_garbage_collector():
        running.start()
        is_set.wait()
        locals_.clear()
        try:
            assert dead[0]() is None
        finally:
            proceed.set()
            running.join()


@both_kinds
def test_nothing_is_emptied_that_belongs_to_others(thread_critical: bool) -> None:
    """A report of an error may keep the variables of each function that raised it."""
    local = Local(thread_critical)
    dead = in_a_task_of_a_loop_that_lasts(local)
    report = list[dict[str, Any]]()
    try:
        _ = local.missing
    except AttributeError as error:
        for frame, _line in traceback.walk_tb(cast("TracebackType", error.__traceback__).tb_next):
            found = dict(frame.f_locals)
            report.append({name: found[name] for name in found if found[name] is not local})
        del frame, found
    del local
    assert dead() is None
    assert report
    assert all(report)


# No reference cycles


def read_missing(local: Local) -> None:
    with contextlib.suppress(AttributeError):
        _ = local.missing


def delete_missing(local: Local) -> None:
    with contextlib.suppress(AttributeError):
        del local.missing


def set_reserved(local: Local) -> None:
    with contextlib.suppress(AttributeError):
        local.__iter__ = 1


def leave_what_was_not_entered(local: Local) -> None:
    with contextlib.suppress(RuntimeError):
        local.override(value=1).__exit__(None, None, None)


def fail_in_override(local: Local) -> None:
    with contextlib.suppress(ZeroDivisionError), local.override(value=1):
        _ = 1 / 0


def override_without_leaving(local: Local) -> None:
    local.override(value=local).__enter__()
    del local.value


def show(local: Local) -> None:
    local.value = 1
    _ = repr(local), dir(local), dict(local)


@both_kinds
@pytest.mark.parametrize(
    "use",
    [
        read_missing,
        delete_missing,
        set_reserved,
        leave_what_was_not_entered,
        fail_in_override,
        override_without_leaving,
        show,
    ],
)
def test_neither_a_use_nor_an_error_makes_a_reference_cycle(
    thread_critical: bool, use: Callable[[Local], None]
) -> None:
    def look() -> tuple[weakref.ref[Local], weakref.ref[Value]]:
        local, marker = Local(thread_critical), Value()
        use(local)
        return weakref.ref(local), weakref.ref(marker)

    with no_garbage_collector():
        assert [reference() for reference in look()] == [None, None]


# At the end


def test_the_end_of_the_interpreter_is_silent_whatever_is_left() -> None:
    code = """
import asyncio, sys, threading
from asgi_local import Local

async def main():
    global task
    local.value = critical.value = local
    task = asyncio.create_task(asyncio.sleep(0))

for local, critical in [(Local(), Local(True))] * 2:
    local.value = critical.value = sys
    asyncio.run(main())
sys.left_behind = [local, critical, threading.local()]
sys.left_behind[2].local = Local()
cycle = [Local()]
cycle.append(cycle)
"""
    ended = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True)
    assert (ended.returncode, ended.stderr) == (0, b"")
