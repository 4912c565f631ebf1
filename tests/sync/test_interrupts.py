"""R10: Ctrl-C in a thread that waits in `async_to_sync`, with a real SIGINT to a real process.

The states are listed in `helpers.blocked_states`.
"""

from __future__ import annotations

import sys

import pytest
from helpers.blocked_states import STATES
from helpers.children import Ended, interrupt_python_once_ready, run_python

needs_sigint = pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT can be sent there")
BUSY = {"in_place_busy", "serving_busy"}


def interrupt(program: str, state: str) -> Ended:
    return interrupt_python_once_ready(
        f"from helpers.state_programs import {program}; {program}({state!r})",
        is_busy=state in BUSY,
    )


def clean_ups(state: str) -> list[str]:
    return [f"{layer} cleaned up" for layer in STATES[state].layers]


@needs_sigint
@pytest.mark.parametrize("state", STATES)
def test_each_layer_cleans_up_then_the_interrupt_comes_out_and_all_works_on(state: str) -> None:
    ended = interrupt("is_interrupted", state)
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.splitlines() == ["ready", *clean_ups(state), "interrupted"]


@needs_sigint
@pytest.mark.parametrize(
    "state", ["in_place_waiting", "serving", "handed_over", "worker_blocked", "single_thread_idle"]
)
def test_a_program_that_does_not_catch_it_ends_with_its_traceback_alone(state: str) -> None:
    ended = interrupt("is_interrupted_and_ends", state)
    assert ended.out.splitlines() == ["ready", *clean_ups(state)]
    assert ended.err.startswith("Traceback")
    assert ended.err.endswith("\nKeyboardInterrupt\n")
    assert "ignored" not in ended.err
    assert "never" not in ended.err


@needs_sigint
def test_an_interrupt_of_sync_code_that_is_served_reaches_the_coroutine() -> None:
    ended = interrupt_python_once_ready(
        """
        import asyncio, threading
        from asgi_sync import async_to_sync, sync_to_async

        def work():
            print("ready")
            threading.Event().wait()

        async def main():
            try:
                await sync_to_async(work)()
            except KeyboardInterrupt:
                print("in the coroutine")
                raise

        try:
            async_to_sync(main)()
        except KeyboardInterrupt:
            print("interrupted")
        """
    )
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.split() == ["ready", "in", "the", "coroutine", "interrupted"]


@needs_sigint
@pytest.mark.parametrize("loop_runs", ["in place", "on a helper"])
def test_a_second_interrupt_does_not_wait_for_the_clean_up(loop_runs: str) -> None:
    ended = interrupt_python_once_ready(
        f"""
        import asyncio, os
        from asgi_sync import async_to_sync, sync_to_async

        async def main():
            try:
                if {loop_runs == "on a helper"}:
                    await sync_to_async(lambda: None)()
                print("ready")
                await asyncio.Event().wait()
            finally:
                print("ready")
                await asyncio.Event().wait()

        try:
            async_to_sync(main)()
        except KeyboardInterrupt:
            print("interrupted")
            os._exit(0)
        """,
        times=2,
    )
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.split() == ["ready", "ready", "interrupted"]


SIGINT_HANDLER = """
import asyncio, signal
from asgi_sync import async_to_sync, sync_to_async

def current_handler():
    return signal.getsignal(signal.SIGINT)

async def handler_in_async_code():
    return current_handler()
"""


def test_while_the_main_thread_waits_ctrl_c_has_a_handler_and_afterwards_the_usual_one() -> None:
    ended = run_python(
        SIGINT_HANDLER
        + """
assert async_to_sync(handler_in_async_code)() is not signal.default_int_handler
assert current_handler() is signal.default_int_handler
"""
    )
    assert (ended.status, ended.err) == (0, "")


def test_a_handler_of_the_programs_own_is_left_alone() -> None:
    ended = run_python(
        SIGINT_HANDLER
        + """
handler = lambda *_: None
signal.signal(signal.SIGINT, handler)
assert async_to_sync(handler_in_async_code)() is handler
assert current_handler() is handler
"""
    )
    assert (ended.status, ended.err) == (0, "")


def test_a_handler_that_a_served_call_has_installed_stays() -> None:
    ended = run_python(
        SIGINT_HANDLER
        + """
handler = lambda *_: None
async_to_sync(sync_to_async(signal.signal))(signal.SIGINT, handler)
assert current_handler() is handler
"""
    )
    assert (ended.status, ended.err) == (0, "")


def test_other_threads_do_not_touch_the_handler() -> None:
    ended = run_python(
        SIGINT_HANDLER
        + """
async def main():
    return await asyncio.to_thread(async_to_sync(handler_in_async_code))

assert asyncio.run(main()) is not None
assert current_handler() is signal.default_int_handler
"""
    )
    assert (ended.status, ended.err) == (0, "")
