"""R11: the end of the interpreter waits for nothing that never comes, and is quiet.

The states are listed in `helpers.blocked_states`.
"""

from __future__ import annotations

import sys

import pytest
from helpers.blocked_states import STATES
from helpers.children import run_python

from asgi_sync import _workers

needs_threads_at_exit = pytest.mark.skipif(
    (3, 12, 0) <= sys.version_info < (3, 12, 3),
    reason="3.12.0 to 3.12.2 start no thread once the main one has ended (python/cpython#113964)",
)
# Python itself waits for the threads of a `ThreadPoolExecutor`, before any others.
NOT_WAITED_FOR_BY_PYTHON = [state for state in STATES if "executor" not in state]


def program(name: str, state: str) -> str:
    return f"from helpers.state_programs import {name}; {name}({state!r})"


@pytest.mark.parametrize("state", STATES)
def test_sys_exit_in_a_state_comes_out_of_it_and_ends_the_interpreter(state: str) -> None:
    ended = run_python(program("ends_inside", state))
    assert (ended.status, ended.err) == (3, "")
    assert ended.out.splitlines() == [f"{layer} cleaned up" for layer in STATES[state].layers]


@pytest.mark.parametrize("state", NOT_WAITED_FOR_BY_PYTHON)
def test_a_thread_that_is_in_a_state_when_the_main_one_ends_comes_out_of_it(state: str) -> None:
    ended = run_python(program("ends_beside", state))
    clean_up = ["left behind cleaned up"] if state == "single_thread_idle" else []
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.splitlines() == ["main thread ends", *clean_up, "released"]


@pytest.mark.parametrize("state", NOT_WAITED_FOR_BY_PYTHON)
def test_a_daemon_thread_that_stays_in_a_state_delays_the_end_for_a_bounded_time_only(
    state: str,
) -> None:
    ended = run_python(program("ends_beside_for_ever", state))
    assert (ended.status, ended.out, ended.err) == (3, "", "")


def test_the_interpreter_waits_for_five_seconds_at_most() -> None:
    assert _workers.EXIT_SECONDS == 5


@pytest.mark.parametrize(
    "last_action",
    [
        pytest.param(
            "import atexit; atexit.register(use_everything)",
            id="at exit",
            marks=needs_threads_at_exit,
        ),
        pytest.param(
            "use_everything(); import atexit; atexit.register(use_everything)",
            id="at exit after use",
            marks=needs_threads_at_exit,
        ),
        pytest.param(
            "import threading; threading.Thread(target=use_everything).start()",
            id="in a thread",
            marks=needs_threads_at_exit,
        ),
        pytest.param(
            "import asyncio, asgi_sync; context = asgi_sync.ThreadSensitiveContext();"
            "asyncio.run(context.__aenter__())",
            id="a context that was never left",
        ),
    ],
)
def test_the_interpreter_ends_at_once_and_quietly_after(last_action: str) -> None:
    ended = run_python(
        "from asgi_sync import _workers; _workers.EXIT_SECONDS = 3600\n"
        f"from helpers.everything import use_everything; {last_action}"
    )
    assert (ended.status, ended.out, ended.err) == (0, "", "")


def test_no_event_loop_and_no_thread_is_left_when_the_interpreter_goes_on_to_end() -> None:
    ended = run_python(
        """
        import atexit, gc

        def look():
            import asyncio, threading
            loops = [it for it in gc.get_objects() if isinstance(it, asyncio.AbstractEventLoop)]
            print([loop for loop in loops if not loop.is_closed()])
            print([thread.name for thread in threading.enumerate()])

        # Before the package is imported: what is registered first is called last.
        atexit.register(look)
        from helpers.everything import use_everything
        use_everything()
        """
    )
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.splitlines() == ["[]", "['MainThread']"]


def test_a_function_that_still_runs_may_finish_before_the_interpreter_ends() -> None:
    ended = run_python(
        """
import asyncio, threading, time
from asgi_sync import sync_to_async

started = threading.Event()

def work():
    started.set()
    # Not to wait for anything: long enough for an end that does not wait to come first.
    time.sleep(0.2)
    print("finished")

async def main():
    task = asyncio.create_task(sync_to_async(work)())
    await asyncio.to_thread(started.wait)
    task.cancel()

asyncio.run(main())
"""
    )
    assert (ended.status, ended.out, ended.err) == (0, "finished\n", "")
