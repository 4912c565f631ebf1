from __future__ import annotations

import _thread
import asyncio
import contextlib
import contextvars
import gc
import os
import subprocess
import sys
import threading
import traceback
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from helpers.locals import (
    Value,
    both_kinds,
    in_another_thread,
    no_garbage_collector,
    set_new_value,
    value_of,
)

from asgi_local import Local
from asgi_sync import async_to_sync, sync_to_async

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
        assert error.__traceback__ is not None
        for frame, _line in traceback.walk_tb(error.__traceback__.tb_next):
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


# Whose place another Local has taken


@both_kinds
def test_a_new_local_has_nothing_of_one_that_has_gone(thread_critical: bool) -> None:
    for number in range(3):
        local = Local(thread_critical)
        assert not hasattr(local, "value")
        kept.append(contextvars.copy_context())
        kept[-1].run(setattr, local, "value", number)
        local.value = number
        in_another_thread(setattr, local, "value", number)
        del local
        local = Local(thread_critical)
        assert [context.run(value_of, local) for context in kept] == [None] * len(kept)


class Owner:
    """Is in a reference cycle with a `Local`, and then uses it in its destructor."""

    def __init__(self, local: Local, use: Callable[[Local], None]) -> None:
        self.local = local
        self.use = use
        self.itself = self

    def __del__(self) -> None:
        self.use(self.local)


@both_kinds
@pytest.mark.parametrize("made", ["before", "after"])
def test_a_destructor_in_the_same_cycle_sees_what_was_set_and_no_other_local(
    thread_critical: bool, made: str
) -> None:
    """What a cycle has is finalized in any order, and every destructor may use all of it."""

    def use(local: Local) -> None:
        successor = Local(thread_critical)
        successor.value = successor.other = "another's"
        seen.append(dict(local))

    seen = list[dict[str, Any]]()
    for _ in range(3):
        local = Local(thread_critical)
        owner = Owner(local if made == "before" else Local(thread_critical), use)
        owner.local.value = "its own"
        del local, owner
        gc.collect()
    assert seen == [{"value": "its own"}] * 3


@both_kinds
def test_a_local_that_a_destructor_saves_has_nothing_in_common_with_another(
    thread_critical: bool,
) -> None:
    """It may be saved as often as it is in a cycle."""
    saved, others = [Local(thread_critical)], list[Local]()
    for turn in range(3):
        Owner(saved.pop(), saved.append)
        gc.collect()
        others.extend(Local(thread_critical) for _ in range(3))
        saved[0].value = turn
        assert [value_of(local) for local in (*saved, *others)] == [turn] + [None] * len(others)


@both_kinds
def test_a_value_is_freed_with_the_cycle_of_its_local(thread_critical: bool) -> None:
    local, context = Local(thread_critical), contextvars.copy_context()
    dead = context.run(set_new_value, local)
    Owner(local, lambda _: None)
    del local
    gc.collect()
    assert dead() is None


@both_kinds
@pytest.mark.parametrize("number", range(8))
def test_so_whatever_a_profiler_has_kept_meanwhile(thread_critical: bool, number: int) -> None:
    """Who keeps what frames refer to makes it impossible to tell what contexts refer to."""

    def made_under_profiler() -> list[Local]:
        variables, made = list[dict[str, Any]](), [Local(thread_critical)]
        known = len(Local.__subclasses__())
        sys.setprofile(lambda frame, event, arg: variables.append(dict(frame.f_locals)))
        try:
            # Until the last one does not take the place of any that has gone.
            while len(Local.__subclasses__()) == known:
                made.append(Local(thread_critical))
        finally:
            sys.setprofile(None)
        variables.clear()
        return made

    async def set_in_copies(local: Local) -> list[contextvars.Context]:
        local.other = 1
        contexts = [contextvars.copy_context() for _ in range(number)]
        for context in contexts:
            context.run(setattr, local, "value", number)
        return contexts

    async def look(local: Local, contexts: list[contextvars.Context]) -> list[Any]:
        return [context.run(value_of, local) for context in contexts]

    loop, made = asyncio.new_event_loop(), made_under_profiler()
    contexts = loop.run_until_complete(set_in_copies(made[-1]))
    del made[-1]
    seen = loop.run_until_complete(look(Local(thread_critical), contexts))
    loop.close()
    assert seen == [None] * number


def test_an_override_that_outlives_its_local_disturbs_nobody() -> None:
    override = Local().override(value="inside")
    another = Local()
    with override:
        assert not hasattr(another, "value")


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


# Many

MANY = 100_000
# To start a thread takes up to 300 us, so not all in every run: see `tests/conftest.py`.
MANY_THREADS = MANY if "RANDOM_PROGRAMS" in os.environ else 10_000


def locals_(number: int) -> None:
    for turn in range(number):
        local = Local(thread_critical=turn % 2 == 0)
        local.value = turn


def tasks(number: int) -> None:
    async def task() -> None:
        plain.value = critical.value = 1

    async def main() -> None:
        for _ in range(number):
            await asyncio.create_task(task())

    plain, critical = Local(), Local(thread_critical=True)
    asyncio.run(main())


def threads(number: int) -> None:
    def thread() -> None:
        plain.value = critical.value = 1
        ended.release()

    plain, critical, ended = Local(), Local(thread_critical=True), threading.Lock()
    ended.acquire()
    for _ in range(number):
        # A `Thread` would take several times as long.
        _thread.start_new_thread(thread, ())
        ended.acquire()


def crossings(number: int) -> None:
    async def below() -> None:
        Local().value = plain.value
        await sync_to_async(setattr)(plain, "value", plain.value + 1)

    plain = Local()
    plain.value = 0
    for _ in range(number):
        async_to_sync(below)()


@pytest.mark.parametrize(
    ("work", "number"),
    [(locals_, MANY), (tasks, MANY), (threads, MANY_THREADS), (crossings, MANY // 50)],
)
def test_any_number_of_short_lived_ones_leaves_nothing_behind(
    work: Callable[[int], None], number: int
) -> None:
    work(100)
    gc.collect()
    before = sys.getallocatedblocks()
    work(number)
    gc.collect()
    # What is not of this package may keep a little.
    assert sys.getallocatedblocks() - before < 1_000
