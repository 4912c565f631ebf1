"""R11: after `os.fork()` the child can use everything at once.

The states are listed in `helpers.blocked_states`.
"""

from __future__ import annotations

import multiprocessing
import os

import pytest
from helpers.blocked_states import STATES
from helpers.children import run_python
from helpers.state_programs import FORKED_CHILD_SECONDS

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform cannot fork")


@pytest.mark.parametrize("state", STATES)
def test_children_use_everything_and_end_and_their_parent_goes_on(state: str) -> None:
    """One is forked by the thread that has come to the state, the other by another thread."""
    ended = run_python(f"from helpers.state_programs import forks; forks({state!r})")
    clean_up = ["left behind cleaned up"] if state == "single_thread_idle" else []
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.splitlines() == ["inside 0", "beside 0", *clean_up, "released"]


@pytest.mark.parametrize(
    "method", sorted({"fork", "forkserver"} & {*multiprocessing.get_all_start_methods()})
)
def test_a_process_of_multiprocessing_uses_everything(method: str) -> None:
    ended = run_python(
        f"""
        import multiprocessing
        from helpers.everything import use_everything

        use_everything()
        process = multiprocessing.get_context({method!r}).Process(target=use_everything)
        process.start()
        process.join()
        use_everything()
        print("child", process.exitcode)
        """
    )
    assert (ended.status, ended.out, ended.err) == (0, "child 0\n", "")


@pytest.mark.parametrize("state", ["idle", "single_thread_idle"])
def test_a_child_of_the_main_thread_may_end_as_any_program_does(state: str) -> None:
    ended = run_python(
        f"""
        import os, signal, sys
        from helpers.blocked_states import STATES
        from helpers.everything import use_everything
        from helpers.held import Held

        def arrive():
            if os.fork():
                _, status = os.wait()
                print("child", os.waitstatus_to_exitcode(status))
                held.release()
            else:
                signal.alarm({FORKED_CHILD_SECONDS})
                use_everything()
                sys.exit(7)

        held = Held(arrive)
        assert STATES[{state!r}].enter(held) == "released"
        """
    )
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.splitlines()[0] == "child 7"


def test_a_child_that_leaves_a_single_thread_context_leaves_its_parents_loop_alone() -> None:
    ended = run_python(
        f"""
        import asyncio, os, signal
        from asgi_sync import AsyncSingleThreadContext, async_to_sync, sync_to_async

        async def cross():
            # The loop waits meanwhile, and has to be woken.
            await asyncio.wait_for(sync_to_async(str)(), 5)

        with AsyncSingleThreadContext():
            async_to_sync(cross)()
            pid = os.fork()
            if pid:
                print("child", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
                async_to_sync(cross)()
            else:
                signal.alarm({FORKED_CHILD_SECONDS})
        """
    )
    assert (ended.status, ended.out, ended.err) == (0, "child 0\n", "")


def test_a_child_that_returns_into_its_parents_call_gets_an_error() -> None:
    ended = run_python(
        """
        import os
        from asgi_sync import async_to_sync, sync_to_async

        def fork():
            global pid
            pid = os.fork()

        try:
            async_to_sync(sync_to_async(fork))()
        except RuntimeError as error:
            assert not pid, "in the parent"
            assert "forked" in str(error)
            os._exit(7)
        print("child", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        """
    )
    assert (ended.status, ended.out, ended.err) == (0, "child 7\n", "")
