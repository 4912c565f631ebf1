from __future__ import annotations

import asyncio
import contextvars
import subprocess
import sys
import threading
from typing import Any

import pytest
from helpers.locals import both_kinds, in_another_thread, value_of

from asgi_local import Local


@both_kinds
def test_each_thread_has_its_own_values(thread_critical: bool) -> None:
    local = Local(thread_critical)
    local.value = "ours"

    def other_thread() -> Any:
        before = value_of(local)
        local.value = "theirs"
        return before

    assert in_another_thread(other_thread) is None
    assert local.value == "ours"


@both_kinds
def test_a_context_that_was_merely_copied_into_a_thread_shows_nothing(
    thread_critical: bool,
) -> None:
    local = Local(thread_critical)
    local.value = "ours"
    context = contextvars.copy_context()
    assert in_another_thread(context.run, value_of, local) is None


@both_kinds
@pytest.mark.asyncio
async def test_asyncio_to_thread_shows_nothing(thread_critical: bool) -> None:
    local = Local(thread_critical)
    local.value = "ours"
    assert await asyncio.to_thread(value_of, local) is None


@both_kinds
def test_what_is_set_in_a_copied_context_in_another_thread_stays_there(
    thread_critical: bool,
) -> None:
    local = Local(thread_critical)
    local.value, local.other = "ours", "ours"
    context = contextvars.copy_context()

    def set_and_list() -> dict[str, Any]:
        local.value = "theirs"
        return dict(local)

    assert in_another_thread(context.run, set_and_list) == {"value": "theirs"}
    assert dict(local) == {"value": "ours", "other": "ours"}


@pytest.mark.skipif(sys.version_info < (3, 14), reason="threads inherit no context")
@both_kinds
def test_a_thread_that_inherits_a_context_sees_nothing(thread_critical: bool) -> None:
    code = f"""
import sys, threading
from asgi_local import Local

assert sys.flags.thread_inherit_context
local = Local({thread_critical})
local.value = "ours"
thread = threading.Thread(target=lambda: print(hasattr(local, "value")))
thread.start()
thread.join()
"""
    asked_to = [sys.executable, "-X", "thread_inherit_context=1", "-c", code]
    assert subprocess.check_output(asked_to, text=True) == "False\n"


@both_kinds
def test_a_thread_with_the_ident_of_one_that_has_ended_does_not_see_its_values(
    thread_critical: bool,
) -> None:
    """Idents are reused at once on most platforms; the test looks for such pairs."""
    local, contexts, seen = Local(thread_critical), dict[int, contextvars.Context](), list[Any]()

    def begin() -> None:
        local.value = "of one that has ended"
        contexts[threading.get_ident()] = contextvars.copy_context()

    def look() -> None:
        if (context := contexts.get(threading.get_ident())) is not None:
            # Before this thread has done anything else with a `Local`.
            seen.append(context.run(value_of, local))

    for target in (begin, look) * 20:
        thread = threading.Thread(target=target)
        thread.start()
        thread.join()
    if not seen:
        pytest.skip("no ident was reused")
    assert set(seen) == {None}


def test_a_critical_value_is_the_threads_whatever_the_context() -> None:
    local = Local(thread_critical=True)
    local.value = "thread's"
    assert contextvars.Context().run(value_of, local) == "thread's"
    contextvars.Context().run(setattr, local, "value", "changed")
    assert local.value == "changed"


def test_a_plain_value_is_the_contexts() -> None:
    local = Local()
    local.value = "context's"
    assert contextvars.Context().run(value_of, local) is None
    contextvars.copy_context().run(setattr, local, "value", "copy's")
    assert local.value == "context's"
