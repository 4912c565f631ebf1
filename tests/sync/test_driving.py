"""Which thread runs the event loop of a call from plain sync code, and when that changes."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import sys
import threading
import warnings
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from helpers.children import run_python
from helpers.hand_over import until_the_loop_has_run

from asgi_sync import _driving, async_to_sync, sync_to_async
from asgi_sync._loop_pool import loop_pool

pytestmark = pytest.mark.each_loop_kind

this_thread = threading.get_ident
thread_of_sync_code = sync_to_async(threading.get_ident)


class LateHelper:
    """A helper thread that is never there in time: its jobs run when they are told to."""

    def __init__(self) -> None:
        self.jobs: list[Callable[[], None]] = []

    def put(self, job: Callable[[], None]) -> bool:
        self.jobs.append(job)
        return True

    def release(self) -> None: ...

    def run_all(self) -> None:
        with ThreadPoolExecutor(1) as thread:
            for job in self.jobs:
                thread.submit(job).result()


@pytest.fixture
def late_helper(monkeypatch: pytest.MonkeyPatch) -> LateHelper:
    helper = LateHelper()
    monkeypatch.setattr(_driving, "workers", SimpleNamespace(lease=lambda name: helper))
    return helper


async def thread_of_async_code() -> int:
    await asyncio.sleep(0)
    return this_thread()


def test_the_calling_thread_runs_the_loop_itself() -> None:
    assert async_to_sync(thread_of_async_code)() == this_thread()


def test_while_a_sync_function_runs_another_thread_runs_the_loop() -> None:
    async def main() -> list[int]:
        loop, before = asyncio.get_running_loop(), this_thread()
        served = await until_the_loop_has_run()
        assert asyncio.get_running_loop() is loop
        return [before, served, this_thread(), await thread_of_sync_code()]

    before, served, after, served_again = async_to_sync(main)()
    assert before == served == served_again == this_thread()
    assert after != this_thread()


def test_a_function_that_ends_before_the_other_thread_is_there_costs_no_hand_over(
    late_helper: LateHelper,
) -> None:
    async def main() -> list[int]:
        threads = [this_thread()]
        for _ in range(3):
            threads += [await thread_of_sync_code(), this_thread()]
        return threads

    assert async_to_sync(main)() == [this_thread()] * 7
    assert len(late_helper.jobs) == 3


def test_a_helper_that_comes_too_late_does_nothing(late_helper: LateHelper) -> None:
    async def main() -> int:
        await thread_of_sync_code()
        late_helper.run_all()
        return this_thread()

    assert async_to_sync(main)() == this_thread()
    late_helper.run_all()


def test_a_loop_that_has_moved_to_the_helper_stays_there() -> None:
    async def main() -> set[int]:
        await until_the_loop_has_run()
        threads = set()
        for _ in range(20):
            await thread_of_sync_code()
            threads.add(this_thread())
        return threads

    (thread,) = async_to_sync(main)()
    assert thread != this_thread()


def test_calls_that_come_while_it_serves_are_served_before_it_runs_the_loop_again(
    late_helper: LateHelper,
) -> None:
    order: list[str] = []

    async def main() -> None:
        calls = [sync_to_async(order.append)(name) for name in ("first", "second")]
        await asyncio.gather(*calls)
        order.append("loop")

    async_to_sync(main)()
    assert order == ["first", "second", "loop"]


# An eager task begins on the stack of the code that makes it, and sees what that handles.
@pytest.mark.each_loop_kind(but=("eager",))
def test_while_it_handles_an_exception_another_thread_runs_the_loop() -> None:
    seen: list[object] = []

    async def task() -> None:
        seen.append(sys.exc_info()[1])

    async def main() -> int:
        await asyncio.create_task(task(), context=contextvars.Context())
        seen.append(sys.exc_info()[1])
        return this_thread()

    error = LookupError()
    try:
        raise error
    except LookupError:
        thread = async_to_sync(main)()
    assert thread != this_thread()
    # The task below: nothing; the callee: what its caller handles. (In the task the callee's
    # exception is not its own.)
    assert seen == [None, error]


def test_a_call_that_is_asked_to_serve_by_another_thread_hands_over() -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1) as other_thread:
            context = contextvars.copy_context()

            def asks() -> int:
                call = context.run(thread_of_sync_code)
                return asyncio.run_coroutine_threadsafe(call, loop).result()

            return await asyncio.wrap_future(other_thread.submit(asks))

    assert async_to_sync(main)() == this_thread()


def test_nested_calls_on_loops_of_their_own_each_hand_over() -> None:
    def middle(depth: int) -> int:
        return async_to_sync(outer, force_new_loop=True)(depth - 1)

    async def outer(depth: int) -> int:
        return await (sync_to_async(middle)(depth) if depth else thread_of_sync_code())

    assert async_to_sync(outer)(5) == this_thread()


def test_a_task_sees_its_context_variables_on_both_sides_of_a_hand_over() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")

    async def task() -> str:
        variable.set("task's")
        await thread_of_sync_code()
        return variable.get()

    async def main() -> tuple[str, str]:
        variable.set("main's")
        return await asyncio.create_task(task()), variable.get()

    assert async_to_sync(main)() == ("task's", "main's")


def test_a_loop_that_is_stopped_before_the_end_is_an_error() -> None:
    cancelled: list[str] = []

    async def main() -> None:
        asyncio.get_running_loop().stop()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append("main")
            raise

    with pytest.raises(RuntimeError, match="stopped before Future completed"):
        async_to_sync(main)()
    assert cancelled == ["main"]


def test_a_loop_that_is_stopped_on_the_helper_is_an_error_too() -> None:
    async def main() -> None:
        await thread_of_sync_code()
        asyncio.get_running_loop().stop()
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="stopped before Future completed"):
        async_to_sync(main)()


# What an eager task raises comes out of `create_task`.
@pytest.mark.each_loop_kind(but=("eager",))
@pytest.mark.parametrize("served_before", [False, True])
def test_system_exit_in_another_task_ends_the_call(served_before: bool) -> None:
    cancelled: list[str] = []

    async def exits() -> None:
        raise SystemExit(3)

    async def main() -> None:
        if served_before:
            await thread_of_sync_code()
        task = asyncio.create_task(exits())
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append("main")
            raise
        finally:
            assert task.done()

    with pytest.raises(SystemExit):
        async_to_sync(main)()
    assert cancelled == ["main"]
    assert async_to_sync(thread_of_async_code)() == this_thread()


def test_an_error_of_a_task_left_behind_is_reported_as_asyncio_run_does(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fails_when_cancelled() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise LookupError("in the clean-up")

    async def main() -> None:
        tasks.append(asyncio.create_task(fails_when_cancelled()))
        await asyncio.sleep(0)

    tasks: list[asyncio.Task[None]] = []
    async_to_sync(main)()
    reported = [record.exc_info[1] for record in caplog.records if record.exc_info]
    assert tasks[0].exception() in reported
    assert isinstance(tasks[0].exception(), LookupError)


# Loops of the other kinds are not kept.
@pytest.mark.each_loop_kind(but=("debug", "uvloop"))
def test_a_call_with_a_time_out_leaves_a_clean_loop() -> None:
    async def main() -> weakref.ref[asyncio.AbstractEventLoop]:
        async with asyncio.timeout(1000):
            await asyncio.sleep(0)
        return weakref.ref(asyncio.get_running_loop())

    assert async_to_sync(main)()() is async_to_sync(main)()() is not None


# Faults that were found by trying to break it


def test_sync_code_left_behind_by_one_call_does_not_run_its_async_code_in_the_next() -> None:
    started, go_on, done = threading.Event(), threading.Event(), threading.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def running_loop() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    def left_behind() -> None:
        started.set()
        go_on.wait()
        loops.append(async_to_sync(running_loop)())
        done.set()

    async def first() -> None:
        call = asyncio.create_task(sync_to_async(left_behind, thread_sensitive=False)())
        while not started.is_set():
            await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([call])

    async def second() -> asyncio.AbstractEventLoop:
        go_on.set()
        # On the loop's own thread, so that the other's code could not run meanwhile.
        done.wait()
        return asyncio.get_running_loop()

    async_to_sync(first)()
    assert async_to_sync(second)() not in loops
    assert len(loops) == 1


@pytest.mark.asyncio
async def test_a_call_that_was_submitted_before_the_loop_runs_is_served() -> None:
    loop, go_on = asyncio.get_running_loop(), asyncio.Event()
    submitted, served = threading.Event(), Future[int]()
    tasks: list[asyncio.Task[None]] = []

    async def task() -> None:
        await go_on.wait()
        loop.call_soon(submitted.set)
        served.set_result(await thread_of_sync_code())

    async def start_task() -> None:
        tasks.append(asyncio.create_task(task()))

    async def wait_for_it() -> int:
        return await asyncio.wrap_future(served)

    def busy() -> tuple[int, int]:
        async_to_sync(start_task)()
        loop.call_soon_threadsafe(go_on.set)
        submitted.wait()
        # The task's call waits for this thread, which now runs a loop of its own.
        return this_thread(), async_to_sync(wait_for_it, force_new_loop=True)()

    own, thread = await sync_to_async(busy)()
    assert own == thread
    await tasks[0]


def test_a_task_factory_that_fails_leaves_no_coroutine(monkeypatch: pytest.MonkeyPatch) -> None:
    def cannot(loop: object, coroutine: object, **_: object) -> None:
        raise MemoryError("factory")

    class Loop(asyncio.SelectorEventLoop):
        def __init__(self) -> None:
            super().__init__()
            self.set_task_factory(cannot)  # type: ignore[arg-type]

    monkeypatch.setattr(loop_pool, "_idle", deque())
    monkeypatch.setattr(asyncio, "new_event_loop", Loop)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(MemoryError, match="factory"):
            async_to_sync(thread_of_async_code)()
        gc.collect()


def test_a_loop_that_was_stopped_leaves_no_reference_cycle() -> None:
    async def stops() -> None:
        dead.append(weakref.ref(asyncio.current_task()))  # type: ignore[arg-type]
        asyncio.get_running_loop().stop()
        await asyncio.Event().wait()

    dead: list[weakref.ref[object]] = []
    gc.collect()
    gc.disable()
    try:
        with pytest.raises(RuntimeError, match="stopped before"):
            async_to_sync(stops)()
        assert dead[0]() is None
    finally:
        gc.enable()


@pytest.mark.skipif(sys.platform == "win32", reason="no signal handlers of event loops there")
def test_a_loop_with_signal_handlers_that_is_handed_over_leaves_none_behind() -> None:
    ended = run_python(
        """
        import asyncio, contextlib, signal
        from asgi_sync import _driving, async_to_sync, sync_to_async

        async def main():
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGTERM, print)
            await sync_to_async(print)("served")
            with contextlib.suppress(ValueError):
                # In another thread than the main one asyncio can only forget it.
                loop.remove_signal_handler(signal.SIGTERM)
            return loop

        assert async_to_sync(main)().is_closed()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        assert signal.set_wakeup_fd(-1) == -1
        """
    )
    assert (ended.status, ended.out, ended.err) == (0, "served\n", "")


def test_a_loop_whose_main_task_is_done_is_not_offered_any_more() -> None:
    """The last turn has both asked the calling thread to serve and ended the main task."""
    ran = threading.Event()

    async def left_behind() -> None:
        await sync_to_async(ran.wait)(0.02)
        await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.create_task(left_behind())
        tasks.append(task)
        await asyncio.sleep(0)

    tasks: list[asyncio.Task[None]] = []
    for _ in range(5):
        async_to_sync(main)()
    assert all(task.cancelled() for task in tasks)
    assert not [thread for thread in threading.enumerate() if thread.name == "asgi-sync event loop"]


def test_a_helper_that_is_about_to_leave_the_loop_is_waited_for() -> None:
    """The main task is done before the calling thread knows that the helper has the loop."""
    cleaned_up: list[bool] = []
    main_has_ended, goes_on = threading.Event(), threading.Event()

    async def left_behind() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned_up.append(True)

    def served() -> None:
        main_has_ended.wait()
        threading.Timer(0.05, goes_on.set).start()

    def in_the_last_turn() -> None:
        main_has_ended.set()
        goes_on.wait()

    async def main() -> None:
        tasks.append(asyncio.create_task(left_behind()))
        tasks.append(asyncio.create_task(sync_to_async(served)()))
        while threading.current_thread() is threading.main_thread():
            await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(in_the_last_turn)

    tasks: list[asyncio.Task[None]] = []
    async_to_sync(main)()
    assert cleaned_up == [True]


def test_what_a_signal_handler_raises_between_two_calls_ends_the_coroutine() -> None:
    ended = run_python(
        """
        import asyncio, os, signal
        from asgi_sync import async_to_sync, sync_to_async
        from asgi_sync.current_thread_executor import CurrentThreadExecutor
        from helpers.hand_over import until_the_loop_has_run

        class Alarm(Exception): ...

        def handler(*_):
            raise Alarm

        signal.signal(signal.SIGTERM, handler)
        serve_all = CurrentThreadExecutor.serve_all

        def serve_and_be_interrupted(self):
            serve_all(self)
            os.kill(os.getpid(), signal.SIGTERM)

        CurrentThreadExecutor.serve_all = serve_and_be_interrupted

        async def main():
            await until_the_loop_has_run()
            try:
                await asyncio.Event().wait()
            finally:
                print("cleaned up")

        try:
            async_to_sync(main)()
        except Alarm:
            print("raised")
        """
    )
    assert (ended.status, ended.out, ended.err) == (0, "cleaned up\nraised\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform cannot fork")
def test_a_child_forked_by_served_code_leaves_the_parents_loop_to_the_parent() -> None:
    ended = run_python(
        """
        import asyncio, os, sys
        from asgi_sync import async_to_sync, sync_to_async

        parent = os.getpid()

        def forks():
            child = os.fork()
            if child:
                os.waitpid(child, 0)

        async def task():
            try:
                await asyncio.Event().wait()
            finally:
                print("cleaned up in", "parent" if os.getpid() == parent else "child", flush=True)

        async def main():
            other = asyncio.create_task(task())
            await sync_to_async(forks)()
            # The loop's wake-up still works.
            await sync_to_async(print, thread_sensitive=False)("parent goes on", flush=True)
            other.cancel()

        try:
            async_to_sync(main)()
        except RuntimeError as error:
            assert os.getpid() != parent and "was forked" in str(error)
            print("child is told", flush=True)
            os._exit(0)
        """
    )
    assert ended.status == 0
    assert ended.out.splitlines() == ["child is told", "parent goes on", "cleaned up in parent"]
