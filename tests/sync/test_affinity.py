"""The rules of `_affinity`, row by row, without a thread or a loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from asgi_sync._affinity import Decision, Place, loop_drivers
from asgi_sync._affinity import choose as choose_one
from asgi_sync._frames import BlockedCall, Record, SensitiveScope, SyncCall
from asgi_sync._serial_executor import SerialExecutor

THIS_THREAD, ANOTHER_THREAD = threading.get_ident(), -1


class Chosen(NamedTuple):
    place: Place
    executor: Any
    because_of: Any


def choose(*args: Any) -> Chosen:
    decision: Decision = choose_one(*args)
    return Chosen(decision.place, decision.executor, decision.because_of)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def sync_call(
    loop: Any, parent: Record | None = None, *, sensitive: bool = True, thread: int = ANOTHER_THREAD
) -> SyncCall:
    call = SyncCall(parent, "function", loop, sensitive)
    call.thread = thread
    return call


def blocked_call(parent: Record | None = None) -> BlockedCall:
    return BlockedCall(parent, "coroutine", None)


def scope(parent: Record | None = None, context: object = None) -> SensitiveScope:
    return SensitiveScope(parent, SerialExecutor("test"), False, context)


def test_rule_1_a_blocked_call_in_flight_serves(loop: Any) -> None:
    blocked = blocked_call()
    assert choose(blocked, loop, None) == (Place.BLOCKED_THREAD, blocked.executor, blocked)


def test_rule_1_the_innermost_one_serves(loop: Any) -> None:
    outer = blocked_call()
    inner = blocked_call(sync_call(loop, outer, sensitive=False))
    assert choose(inner, loop, None).executor is inner.executor


def test_rule_2_a_loop_that_runs_on_the_thread_of_its_sensitive_code(loop: Any) -> None:
    call = sync_call(loop, thread=THIS_THREAD)
    assert choose(call, loop, None) == (Place.LOOP, None, call)


def test_rule_2_holds_for_calls_further_down_on_that_loop(loop: Any) -> None:
    outer = sync_call(loop, thread=THIS_THREAD)
    ended = sync_call(loop, outer)
    ended.close()
    assert choose(ended, loop, None).place is Place.LOOP


@pytest.mark.parametrize("is_blocked_in_the_bridge", [False, True])
def test_rule_3_what_a_function_has_started_waits_for_its_thread(
    loop: Any, is_blocked_in_the_bridge: bool
) -> None:
    call = sync_call(loop)
    if is_blocked_in_the_bridge:
        call.waits_in = blocked_call(call)
    assert choose(call, loop, None) == (Place.FUNCTION, call.executor, call)


def test_rule_3_a_task_that_outlives_its_call_waits_for_the_functions_thread(loop: Any) -> None:
    call = sync_call(loop)
    ended = blocked_call(call)
    ended.close()
    assert choose(ended, loop, None) == (Place.FUNCTION, call.executor, call)


def test_rule_3_does_not_hold_for_a_function_that_is_not_sensitive(loop: Any) -> None:
    outer = scope()
    ended = blocked_call(sync_call(loop, outer, sensitive=False))
    ended.close()
    assert choose(ended, loop, None).executor is outer.executor


def test_rule_4_a_context_has_its_own_thread(loop: Any) -> None:
    outer = scope()
    assert choose(outer, loop, None) == (Place.CONTEXT, outer.executor, outer)


def test_rule_4_a_context_has_its_say_after_its_end(loop: Any) -> None:
    ended = scope()
    ended.close()
    assert choose(ended, loop, None).executor is ended.executor


@pytest.mark.parametrize("inner_is_a_context", [True, False])
def test_of_a_context_and_a_blocked_call_the_inner_one_counts(
    loop: Any, inner_is_a_context: bool
) -> None:
    inner = scope(blocked_call()) if inner_is_a_context else blocked_call(scope())
    assert choose(inner, loop, None).because_of is inner


def test_rule_4_another_context_that_was_set_by_hand_inside_takes_its_place(loop: Any) -> None:
    outer = scope(context="outer")
    assert choose(outer, loop, "outer").executor is outer.executor
    assert choose(outer, loop, "by hand") == (Place.CONTEXT, None, None)


def test_rule_5_a_context_that_was_set_by_hand(loop: Any) -> None:
    assert choose(None, loop, "by hand") == (Place.CONTEXT, None, None)


def test_rule_6_without_a_record_the_loop_knows_whom_it_is_driven_for(loop: Any) -> None:
    driver = loop_drivers[loop] = blocked_call()
    try:
        assert choose(None, loop, None).executor is driver.executor
        assert choose(None, loop, "by hand").place is Place.CONTEXT
        driver.close()
        assert choose(None, loop, None).place is Place.SHARED
    finally:
        del loop_drivers[loop]


def test_rule_7_all_else_runs_on_the_shared_thread(loop: Any) -> None:
    ended = sync_call(loop)
    ended.close()
    for start in (None, ended, sync_call(loop, sensitive=False)):
        assert choose(start, loop, None) == (Place.SHARED, None, None)


def test_every_rule_of_the_table_has_a_test() -> None:
    from asgi_sync import _affinity

    rules = {
        line.split("|")[1].strip() for line in (_affinity.__doc__ or "").splitlines() if "|" in line
    }
    numbered = {rule for rule in rules if rule.isdigit()}
    tested = {name.split("_")[2] for name in globals() if name.startswith("test_rule_")}
    assert numbered == tested
