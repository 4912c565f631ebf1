"""The event loop policy or factory in force is honoured (and `each_loop_kind` is what it says)."""

from __future__ import annotations

import asyncio
import sys
import threading
from asyncio import AbstractEventLoop

import pytest
from helpers.children import interrupt_python_once_ready, run_python
from helpers.loop_kinds import LOOP_KINDS, policy_in_force

from asgi_sync import AsyncSingleThreadContext, async_to_sync, sync_to_async

# Those whose signals and whose end are not asyncio's; debug mode changes neither.
BESIDES_ASYNCIOS_OWN = [kind for kind in LOOP_KINDS if kind in ("eager", "uvloop")]


async def running_loop() -> AbstractEventLoop:
    return asyncio.get_running_loop()


async def loop_after_serving() -> AbstractEventLoop:
    assert await sync_to_async(threading.get_ident)() == threading.main_thread().ident
    return asyncio.get_running_loop()


def kind_of(loop: AbstractEventLoop) -> str:
    if type(loop).__module__.startswith("uvloop"):
        return "uvloop"
    if loop.get_task_factory() is not None:
        return "eager"
    return "debug" if loop.get_debug() else "default"


@pytest.mark.each_loop_kind
@pytest.mark.parametrize("main", [running_loop, loop_after_serving])
def test_a_loop_of_a_calls_own_is_of_the_policys_kind(loop_kind: str, main: object) -> None:
    assert kind_of(async_to_sync(main)()) == loop_kind  # type: ignore[call-overload]


@pytest.mark.each_loop_kind
def test_the_loop_of_a_single_thread_context_is_of_the_policys_kind(loop_kind: str) -> None:
    with AsyncSingleThreadContext():
        loop = async_to_sync(running_loop)()
    assert kind_of(loop) == loop_kind


@pytest.mark.each_loop_kind
@pytest.mark.parametrize("main", [running_loop, loop_after_serving])
def test_a_loop_that_is_forced_is_of_the_policys_kind(loop_kind: str, main: object) -> None:
    forced = async_to_sync(main, force_new_loop=True)  # type: ignore[call-overload]

    async def outer() -> tuple[AbstractEventLoop, AbstractEventLoop]:
        return asyncio.get_running_loop(), await sync_to_async(forced)()

    outer_loop, inner_loop = async_to_sync(outer)()
    assert inner_loop is not outer_loop
    assert kind_of(outer_loop) == kind_of(inner_loop) == loop_kind


@pytest.mark.parametrize("kind", LOOP_KINDS)
def test_after_a_policy_was_in_force_no_loop_of_its_kind_is_left(kind: str) -> None:
    with policy_in_force(kind):
        async_to_sync(running_loop)()
    assert kind_of(async_to_sync(running_loop)()) == "default"


@pytest.mark.parametrize("kind", LOOP_KINDS)
def test_below_a_runner_with_a_factory_calls_run_on_its_loop(kind: str) -> None:
    async def main() -> bool:
        loop = await sync_to_async(async_to_sync(running_loop))()
        return loop is asyncio.get_running_loop() and kind_of(loop) == kind

    with asyncio.Runner(loop_factory=LOOP_KINDS[kind]) as runner:
        assert runner.run(main())


@pytest.mark.skipif("uvloop" not in LOOP_KINDS, reason="uvloop is not installed")
def test_a_uvloop_is_closed_after_its_call() -> None:
    with policy_in_force("uvloop"):
        assert async_to_sync(running_loop)().is_closed()


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT can be sent there")
@pytest.mark.parametrize("kind", BESIDES_ASYNCIOS_OWN)
@pytest.mark.parametrize("state", ["in_place_waiting", "handed_over", "worker_waiting"])
def test_an_interrupt_cancels_and_comes_out(kind: str, state: str) -> None:
    ended = interrupt_python_once_ready(
        f"""
        from helpers.loop_kinds import policy_in_force
        from helpers.state_programs import is_interrupted

        with policy_in_force({kind!r}):
            is_interrupted({state!r})
        """
    )
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.startswith("ready\n")
    assert ended.out.endswith("cleaned up\ninterrupted\n")


@pytest.mark.parametrize("kind", BESIDES_ASYNCIOS_OWN)
def test_the_interpreter_ends_quietly(kind: str) -> None:
    ended = run_python(
        f"""
        from helpers.everything import use_everything
        from helpers.loop_kinds import policy_in_force

        with policy_in_force({kind!r}):
            use_everything()
        """
    )
    assert (ended.status, ended.out, ended.err) == (0, "", "")
