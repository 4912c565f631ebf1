"""A new `Local` takes the place of one that has gone, and nothing shows it."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
from collections.abc import Callable
from typing import Any

import pytest
from helpers.locals import (
    both_kinds,
    in_another_thread,
    set_new_value,
    value_of,
)

from asgi_local import Local

kept: list[contextvars.Context] = []


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
