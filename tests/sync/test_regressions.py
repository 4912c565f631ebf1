"""Faults that were found by trying to break the bridge, each with the way to provoke it."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import signal
import threading
import warnings
import weakref
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import pytest
from helpers.children import run_python
from helpers.hand_over import until_the_loop_has_run

from asgi_sync import (
    AsyncSingleThreadContext,
    CurrentThreadExecutor,
    ThreadSensitiveContext,
    async_to_sync,
    current_lineage,
    current_thread_executor,
    ensure_lineage,
    sync_to_async,
)
from asgi_sync._affinity import loop_drivers
from asgi_sync._frames import chain, innermost
from asgi_sync._loop_pool import loop_pool
from asgi_sync._workers import Workers, workers

pytestmark = pytest.mark.each_loop_kind

thread_of_sync_code = sync_to_async(threading.get_ident)


async def running_loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


@pytest.fixture
def no_new_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def cannot(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(workers, "_idle", {})
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", cannot)
        yield


# Hangs


# An eager task begins at once.
@pytest.mark.each_loop_kind(but=("eager",))
@pytest.mark.asyncio
async def test_async_code_cancelled_before_its_first_step_ends_the_call() -> None:
    """asyncio.run cancels all tasks when it ends; a task that has not begun never does."""
    ours, in_thread = asyncio.all_tasks(), threading.Event()

    def below() -> str:
        in_thread.set()
        try:
            async_to_sync(running_loop)()
        except asyncio.CancelledError:
            return "cancelled"
        return "ran"

    call = asyncio.create_task(sync_to_async(below)())
    while not in_thread.is_set() or not (asyncio.all_tasks() - ours - {call}):
        await asyncio.sleep(0)
        for task in asyncio.all_tasks() - ours - {call}:
            task.cancel()
    assert await call == "cancelled"


@pytest.mark.parametrize("run", [asyncio.run, lambda main: async_to_sync(lambda: main)()])
@pytest.mark.filterwarnings("ignore:async_to_sync was passed a non-async:UserWarning")
def test_a_task_left_behind_by_a_task_left_behind_is_served(run: Any) -> None:
    tasks: list[asyncio.Task[int]] = []
    has_asked = threading.Event()

    async def live(generation: int) -> int:
        loop = asyncio.get_running_loop()
        loop.call_soon(has_asked.set)
        return await sync_to_async(leave_successor)(generation)

    async def spawn(generation: int) -> None:
        has_asked.clear()
        tasks.append(asyncio.create_task(live(generation)))

    def leave_successor(generation: int) -> int:
        if generation:
            async_to_sync(spawn)(generation - 1)
            # The successor has asked for this thread, which is still busy.
            has_asked.wait()
        return generation

    async def main() -> list[int]:
        tasks.append(asyncio.create_task(live(3)))
        results = []
        while len(results) < 4:
            results.append(await tasks[len(results)])
        return results

    assert run(main()) == [3, 2, 1, 0]


def test_two_sync_functions_that_take_an_async_lock_do_not_run_inside_each_other() -> None:
    async def main() -> list[int]:
        lock, order = asyncio.Lock(), []

        async def release() -> None:
            lock.release()

        def view(number: int) -> None:
            async_to_sync(lock.acquire)()
            order.append(number)
            async_to_sync(release)()

        await asyncio.gather(sync_to_async(view)(1), sync_to_async(view)(2))
        return order

    assert async_to_sync(main)() == [1, 2]


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="this platform has no such signal")
def test_a_signal_handler_that_waits_inside_another_wait_leaves_it_its_wake_up() -> None:
    seen = []

    async def main() -> str:
        loop = asyncio.get_running_loop()
        handled = asyncio.Event()
        seen.append((loop, handled))
        # From here on the main thread does not run the loop, but waits.
        await until_the_loop_has_run()
        os.kill(os.getpid(), signal.SIGUSR1)
        await handled.wait()
        return "done"

    def handler(*_: Any) -> None:
        async_to_sync(asyncio.sleep)(0)
        loop, handled = seen[0]
        loop.call_soon_threadsafe(handled.set)

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        assert async_to_sync(main)() == "done"
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_an_executor_that_drops_what_was_passed_on_to_it_is_noticed() -> None:
    class Drops(Executor):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            future: Future[Any] = Future()
            future.cancel()
            return future

    executor, done = CurrentThreadExecutor(Drops()), Future[None]()
    done.set_result(None)
    with ThreadPoolExecutor(1) as other_thread:
        left_over = other_thread.submit(executor.submit, print).result()
        executor.run_until_future(done)
    assert left_over.cancelled()


@pytest.mark.asyncio
async def test_a_task_factory_that_fails_is_an_error_of_the_call() -> None:
    loop = asyncio.get_running_loop()

    def fails(loop: Any, coroutine: Any, **_: Any) -> Any:
        raise MemoryError("factory")

    call = asyncio.create_task(sync_to_async(async_to_sync(running_loop))())
    await asyncio.sleep(0)
    loop.set_task_factory(fails)
    try:
        with pytest.raises(MemoryError, match="factory"):
            await call
    finally:
        loop.set_task_factory(None)


def test_a_worker_that_is_released_while_all_are_stopped_is_not_leased_any_more() -> None:
    own = Workers()
    worker = own.lease("test")
    worker.release()
    own.stop()
    assert own.lease("another") is not worker
    own.stop()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform cannot fork")
def test_a_forked_child_leaves_a_single_thread_context_at_once() -> None:
    ended = run_python(
        """
        import asyncio, os, warnings
        from asgi_sync import AsyncSingleThreadContext, async_to_sync
        warnings.simplefilter("ignore", DeprecationWarning)

        with AsyncSingleThreadContext():
            async_to_sync(asyncio.sleep)(0)
            pid = os.fork()
            if not pid:
                async_to_sync(asyncio.sleep)(0)
        if not pid:
            os._exit(7)
        print("child", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        """
    )
    assert (ended.status, ended.out, ended.err) == (0, "child 7\n", "")


# Without a thread to be had


@pytest.mark.usefixtures("no_new_threads")
def test_where_no_thread_can_be_started_the_coroutine_is_closed_and_no_worker_is_left() -> None:
    known = list(workers._all)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RuntimeError, match="can't start new thread"):
            async_to_sync(sync_to_async(print))()
        gc.collect()
    assert list(workers._all) == known
    assert async_to_sync(asyncio.sleep)(0, "needs no thread") == "needs no thread"


@pytest.mark.asyncio
async def test_a_task_does_not_wait_for_async_code_that_could_not_be_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The task is cancelled just when async_to_sync fails for want of a thread."""
    loop = asyncio.get_running_loop()

    def cancels_and_fails(name: str) -> None:
        cancelled = threading.Event()
        loop.call_soon_threadsafe(task.cancel)
        # By then the task waits for the async code that it believes to be under way.
        loop.call_soon_threadsafe(loop.call_soon, loop.call_soon, cancelled.set)
        cancelled.wait()
        raise RuntimeError("can't start new thread")

    def below() -> None:
        monkeypatch.setattr(workers, "lease", cancels_and_fails)
        needs_a_helper = async_to_sync(thread_of_sync_code, force_new_loop=True)
        with pytest.raises(RuntimeError, match="can't start"):
            needs_a_helper()

    task = asyncio.create_task(sync_to_async(below)())
    with pytest.raises(asyncio.CancelledError):
        await task


def test_where_no_event_loop_can_be_made_the_error_is_raised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def cannot() -> None:
        raise OSError("Too many open files")

    monkeypatch.setattr(loop_pool, "_idle", deque())
    monkeypatch.setattr(asyncio, "new_event_loop", cannot)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(OSError, match="Too many open files"):
            async_to_sync(asyncio.sleep)(0)
        gc.collect()
    assert not loop_drivers


# State left behind


@pytest.mark.asyncio
async def test_a_given_context_that_is_in_use_is_refused_before_anything_is_changed() -> None:
    context = contextvars.copy_context()
    lineage = context.run(ensure_lineage)
    inside, release = threading.Barrier(2), threading.Event()

    def first() -> bool:
        inside.wait()
        release.wait()
        return current_lineage() is lineage

    call = sync_to_async(first, thread_sensitive=False, context=context)
    running = asyncio.create_task(call())
    await sync_to_async(inside.wait, thread_sensitive=False)()
    with pytest.raises(RuntimeError, match="already entered"):
        await sync_to_async(print, thread_sensitive=False, context=context)()
    release.set()
    assert await running
    assert context.run(current_lineage) is lineage
    assert context.run(innermost.get) is None


@pytest.mark.asyncio
async def test_two_tasks_that_enter_one_context_share_its_thread() -> None:
    context, barrier = ThreadSensitiveContext(), asyncio.Barrier(2)

    async def task() -> int:
        async with context:
            await barrier.wait()
            return await thread_of_sync_code()

    first, second = await asyncio.gather(task(), task())
    assert first == second != await thread_of_sync_code()


@pytest.mark.asyncio
async def test_a_task_that_starts_its_successor_inside_its_context_keeps_no_chain() -> None:
    async def step(number: int) -> int:
        async with ThreadSensitiveContext():
            if number == 0:
                return len(list(chain(innermost.get())))
            successor = asyncio.create_task(step(number - 1))
            await asyncio.sleep(0)
        return await successor

    # Contexts that are still open while the successor enters its own have their say there.
    assert await step(1) <= 2

    ended: list[asyncio.Task[int]] = []

    async def one_after_the_other(number: int) -> int:
        if number:
            async with ThreadSensitiveContext():
                proceed = asyncio.Event()

                async def successor() -> int:
                    await proceed.wait()
                    return await one_after_the_other(number - 1)

                ended.append(asyncio.create_task(successor()))
            proceed.set()
            return await ended.pop()
        async with ThreadSensitiveContext():
            return len(list(chain(innermost.get())))

    assert await one_after_the_other(20) == 1


def test_system_exit_in_a_subtask_ends_the_call_that_shares_a_loop_with_later_ones() -> None:
    went_on: list[str] = []

    async def exits() -> None:
        raise SystemExit(3)

    async def main() -> None:
        task = asyncio.create_task(exits())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        went_on.append("main")
        await task

    with AsyncSingleThreadContext():
        with pytest.raises(SystemExit):
            async_to_sync(main)()
        async_to_sync(asyncio.sleep)(0.001)
    assert not went_on
    assert not loop_drivers


def test_a_single_thread_context_that_has_ended_is_not_used_by_those_who_still_have_it() -> None:
    with AsyncSingleThreadContext():
        inside = async_to_sync(running_loop)()
        context = contextvars.copy_context()
    assert inside.is_closed()
    assert context.run(async_to_sync(running_loop)) is not inside


def test_a_single_thread_context_may_be_left_in_another_contextvars_context() -> None:
    context = AsyncSingleThreadContext()
    contextvars.copy_context().run(context.__enter__)
    context.__exit__(None, None, None)


def test_a_coroutine_that_is_collected_changes_nothing_where_that_happens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With its loop closed, it is closed by the collector, in any context."""
    monkeypatch.setattr(current_thread_executor, "IDLE_CHECK_SECONDS", 0.01)
    lineage = ensure_lineage()
    waiting = threading.Event()

    async def never_resumed() -> None:
        waiting.set()
        await asyncio.Event().wait()

    def below() -> str:
        with pytest.raises(RuntimeError, match=r"closed|stopped"):
            async_to_sync(never_resumed)()
        ended.set()
        return "ended"

    async def main() -> None:
        coroutine = sync_to_async(below, thread_sensitive=False)()
        asyncio.get_running_loop().create_task(coroutine)
        while not waiting.is_set():
            await asyncio.sleep(0)

    ended = threading.Event()
    loop = asyncio.new_event_loop()
    # asyncio says that tasks were destroyed, which is what this is about.
    loop.set_exception_handler(lambda *_: None)
    loop.run_until_complete(main())
    loop.close()
    del loop
    gc.collect()
    assert ended.wait(10)
    gc.collect()
    assert current_lineage() is lineage


@pytest.mark.asyncio
async def test_calls_nested_on_one_thread_make_room_for_one_more_only() -> None:
    from asgi_sync._bounded_executor import any_thread_executor

    async def nested(depth: int) -> int:
        if depth == 0:
            return any_thread_executor._blocked
        return await sync_to_async(async_to_sync(nested))(depth - 1)

    call = sync_to_async(async_to_sync(nested), thread_sensitive=False)
    assert await call(5) == 1
    assert any_thread_executor._blocked == 0


@pytest.mark.asyncio
async def test_a_function_that_raises_the_handled_error_leaves_no_reference_cycle() -> None:
    import sys
    import weakref

    class OwnError(Exception):
        """Unlike the built-in ones, it can be weakly referenced."""

    def raises_it() -> None:
        error = sys.exc_info()[1]
        assert error is not None
        try:
            raise error
        finally:
            del error

    async def request() -> weakref.ref[OwnError]:
        error = OwnError()
        dead = weakref.ref(error)
        try:
            raise error
        except OwnError:
            try:
                await sync_to_async(raises_it)()
            except OwnError:
                pass
        del error
        return dead

    gc.collect()
    gc.disable()
    try:
        dead = await asyncio.create_task(request())
        await thread_of_sync_code()
        await thread_of_sync_code()
        assert dead() is None
    finally:
        gc.enable()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform cannot fork")
@pytest.mark.parametrize("thread_sensitive", [True, False])
def test_a_forked_child_that_returns_into_a_worker_runs_no_jobs_of_its_parent(
    thread_sensitive: bool,
) -> None:
    ended = run_python(
        f"""
        import asyncio, os
        from asgi_sync import set_thread_limits, sync_to_async

        set_thread_limits(pool=1)
        parent = os.getpid()

        def forks():
            child = os.fork()
            if child:
                os.waitpid(child, 0)

        def job():
            print("in", "parent" if os.getpid() == parent else "child", flush=True)

        async def main():
            calls = [forks, job, job]
            await asyncio.gather(
                *(sync_to_async(call, thread_sensitive={thread_sensitive})() for call in calls)
            )

        asyncio.run(main())
        """
    )
    assert (ended.status, ended.out.splitlines()) == (0, ["in parent", "in parent"])


@pytest.mark.asyncio
async def test_an_executor_that_fails_to_take_over_a_call_fails_that_call_alone() -> None:
    class Full(Exception):
        pass

    class TakesOne(ThreadPoolExecutor):
        taken = 0

        def submit(self, *args: Any, **kwargs: Any) -> Any:
            self.taken += 1
            if self.taken > 1:
                raise Full
            return super().submit(*args, **kwargs)

    tasks: list[asyncio.Task[None]] = []
    inner_has_ended, is_queued = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    async def left_over() -> None:
        await inner_has_ended.wait()
        loop.call_soon(is_queued.set)
        await sync_to_async(lambda: None)()

    async def inner() -> None:
        tasks.append(asyncio.create_task(left_over()))

    def function() -> str:
        async_to_sync(inner)()
        loop.call_soon_threadsafe(inner_has_ended.set)
        is_queued.wait()
        return "result"

    with TakesOne(1) as executor:
        async with ThreadSensitiveContext(executor=executor):
            assert await sync_to_async(function)() == "result"
            with pytest.raises(Full):
                await tasks[0]


@pytest.mark.asyncio
async def test_a_cancelled_call_that_is_still_queued_keeps_nothing_of_its_task() -> None:
    class Value:
        pass

    variable: contextvars.ContextVar[Value] = contextvars.ContextVar("variable")
    hold, dead = threading.Event(), []

    async def call() -> None:
        value = Value()
        dead.append(weakref.ref(value))
        variable.set(value)
        del value
        await sync_to_async(lambda: None)()

    busy = asyncio.create_task(sync_to_async(hold.wait)())
    queued = asyncio.create_task(call())
    await asyncio.sleep(0)
    queued.cancel()
    await asyncio.wait([queued])
    del queued
    await asyncio.sleep(0)
    gc.collect()
    assert dead[0]() is None
    hold.set()
    await busy


def test_a_call_that_ends_after_its_loop_keeps_nothing_of_it() -> None:
    hold, dead = threading.Event(), []

    async def main() -> None:
        dead.append(weakref.ref(asyncio.get_running_loop()))
        call = asyncio.create_task(sync_to_async(hold.wait)())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([call])

    async def until_the_thread_is_free() -> None:
        await sync_to_async(lambda: None)()

    asyncio.run(main())
    hold.set()
    asyncio.run(until_the_thread_is_free())
    gc.collect()
    assert dead[0]() is None


@pytest.mark.asyncio
async def test_a_call_on_another_kind_of_executor_leaves_no_reference_cycle() -> None:
    class Value:
        pass

    variable: contextvars.ContextVar[Value] = contextvars.ContextVar("variable")
    dead: list[weakref.ref[Value]] = []

    async def call(executor: Executor) -> None:
        value = Value()
        dead.append(weakref.ref(value))
        variable.set(value)
        del value
        await sync_to_async(lambda: None, thread_sensitive=False, executor=executor)()

    gc.collect()
    gc.disable()
    try:
        with ThreadPoolExecutor(1) as executor:
            await asyncio.create_task(call(executor))
        await asyncio.sleep(0)
        assert dead[0]() is None
    finally:
        gc.enable()
