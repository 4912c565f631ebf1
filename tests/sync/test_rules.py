"""The contract of asgi-sync, rule by rule; the rules are in the README's table.

R1   thread-sensitive code of one program runs in one thread
R2   async_to_sync refuses a thread with a running event loop
R3   async_to_sync runs on the parent's event loop where there is one
R4   a thread blocked in async_to_sync serves what comes from below it
R5   context variables flow both ways, by identity
R6   sys.exc_info() of the caller is visible in the callee
R7   cancellation reaches async code below, and leaks nothing
R8   what cannot make progress raises RuntimeError
R9   thread_handler may be overridden
R10  KeyboardInterrupt cancels the coroutine, lets it clean up, then propagates:
     test_interrupts.py
R11  fork and interpreter exit leave nothing that waits: test_fork.py, test_exit.py
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from asgi_sync import (
    SyncToAsync,
    ThreadSensitiveContext,
    async_to_sync,
    current_thread_executor,
    sync_to_async,
)

pytestmark = pytest.mark.each_loop_kind

this_thread = threading.get_ident
thread_of_sync_code = sync_to_async(threading.get_ident)
variable: contextvars.ContextVar[object] = contextvars.ContextVar("variable")


async def directly() -> int:
    return await thread_of_sync_code()


async def in_a_task() -> int:
    return await asyncio.create_task(thread_of_sync_code())


async def in_gather() -> int:
    (thread,) = await asyncio.gather(thread_of_sync_code())
    return thread


async def in_wait_for() -> int:
    return await asyncio.wait_for(thread_of_sync_code(), 30)


async def in_a_task_group() -> int:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(thread_of_sync_code())
    return task.result()


async def in_a_callback() -> int:
    loop = asyncio.get_running_loop()
    task: asyncio.Future[asyncio.Task[int]] = loop.create_future()
    loop.call_later(0, lambda: task.set_result(loop.create_task(thread_of_sync_code())))
    return await (await task)


WAYS_TO_CALL = [directly, in_a_task, in_gather, in_wait_for, in_a_task_group, in_a_callback]
each_way_to_call = pytest.mark.parametrize("call", WAYS_TO_CALL, ids=lambda way: way.__name__)
Way = Callable[[], Coroutine[Any, Any, int]]


# R1: one thread


@each_way_to_call
def test_r1_below_sync_code_sensitive_code_runs_in_the_outermost_callers_thread(call: Way) -> None:
    assert async_to_sync(call)() == this_thread()


@each_way_to_call
def test_r1_a_context_below_sync_code_changes_nothing(call: Way) -> None:
    async def main() -> int:
        async with ThreadSensitiveContext():
            return await call()

    assert async_to_sync(main)() == this_thread()


@each_way_to_call
@pytest.mark.asyncio
async def test_r1_below_async_code_sensitive_code_shares_one_worker_thread(call: Way) -> None:
    thread = await call()

    assert thread != this_thread()
    assert thread == await thread_of_sync_code()


@each_way_to_call
@pytest.mark.asyncio
async def test_r1_in_a_context_sensitive_code_has_the_contexts_own_thread(call: Way) -> None:
    shared = await thread_of_sync_code()
    async with ThreadSensitiveContext():
        thread = await call()
        assert thread not in (shared, this_thread())
        assert thread == await thread_of_sync_code()


@pytest.mark.asyncio
async def test_r1_two_contexts_at_the_same_time_never_share_a_thread() -> None:
    both_inside = asyncio.Barrier(2)

    async def request() -> int:
        async with ThreadSensitiveContext():
            thread = await thread_of_sync_code()
            await both_inside.wait()
            return thread

    first, second = await asyncio.gather(request(), request())
    assert first != second


@pytest.mark.asyncio
async def test_r1_sensitive_calls_run_one_at_a_time_in_the_order_of_the_calls() -> None:
    running: list[int] = []
    order: list[int] = []

    def work(number: int) -> None:
        running.append(number)
        assert running == [number]
        order.append(number)
        running.remove(number)

    await asyncio.gather(*(sync_to_async(work)(number) for number in range(50)))
    assert order == list(range(50))


# R2: no blocking of a running event loop


@pytest.mark.asyncio
async def test_r2_under_a_running_loop_the_call_fails_and_makes_no_coroutine() -> None:
    made: list[str] = []

    async def never() -> None:
        made.append("a coroutine that ran")

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with pytest.raises(RuntimeError, match="same thread as an async event loop"):
            async_to_sync(never)()
        gc.collect()

    assert not seen
    assert not made


# R3: which event loop


async def running_loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


@pytest.mark.parametrize("thread_sensitive", [True, False])
@pytest.mark.asyncio
async def test_r3_below_sync_to_async_the_parents_loop_is_used(thread_sensitive: bool) -> None:
    call = sync_to_async(async_to_sync(running_loop), thread_sensitive=thread_sensitive)
    assert await call() is asyncio.get_running_loop()


@pytest.mark.asyncio
async def test_r3_force_new_loop_uses_another() -> None:
    call = sync_to_async(async_to_sync(running_loop, force_new_loop=True))
    loop = await call()
    assert loop is not asyncio.get_running_loop()
    assert not loop.is_running()


def test_r3_from_plain_sync_code_a_call_has_a_loop_of_its_own_while_it_lasts() -> None:
    with ThreadPoolExecutor(2) as threads:
        both = threading.Barrier(2)

        async def meet() -> asyncio.AbstractEventLoop:
            both.wait()
            return asyncio.get_running_loop()

        first, second = (threads.submit(async_to_sync(meet)) for _ in range(2))
        assert first.result() is not second.result()


def test_r3_a_parent_loop_that_has_stopped_is_not_used() -> None:
    loop_has_stopped = threading.Event()
    found: Future[asyncio.AbstractEventLoop] = Future()

    def outlives_the_loop() -> None:
        loop_has_stopped.wait()
        found.set_result(async_to_sync(running_loop)())

    async def start_and_leave() -> None:
        asyncio.get_running_loop().create_task(
            sync_to_async(outlives_the_loop, thread_sensitive=False)()
        )
        await asyncio.sleep(0)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(start_and_leave())
    loop_has_stopped.set()
    try:
        assert found.result() is not loop
    finally:
        loop.run_until_complete(asyncio.gather(*asyncio.all_tasks(loop)))
        loop.close()


# R4: a blocked thread serves


@each_way_to_call
@pytest.mark.parametrize("thread_sensitive", [True, False])
@pytest.mark.asyncio
async def test_r4_a_thread_blocked_below_the_loop_serves(call: Way, thread_sensitive: bool) -> None:
    def middle() -> tuple[int, int]:
        return this_thread(), async_to_sync(call)()

    async with ThreadSensitiveContext():
        blocked, served = await sync_to_async(middle, thread_sensitive=thread_sensitive)()
    assert blocked == served


def test_r4_a_task_that_outlives_the_inner_call_is_served_by_the_next_one_out() -> None:
    tasks: list[asyncio.Task[int]] = []
    inner_has_ended = asyncio.Event()

    async def later() -> int:
        await inner_has_ended.wait()
        return await thread_of_sync_code()

    async def inner() -> None:
        tasks.append(asyncio.create_task(later()))

    async def outer() -> int:
        await sync_to_async(async_to_sync(inner))()
        inner_has_ended.set()
        return await tasks[0]

    assert async_to_sync(outer)() == this_thread()


def test_r4_work_left_over_by_the_inner_call_goes_up() -> None:
    tasks: list[asyncio.Task[int]] = []

    async def inner() -> None:
        # Submitted by a task that the inner call does not wait for.
        tasks.append(asyncio.create_task(thread_of_sync_code()))
        await asyncio.sleep(0)

    async def outer() -> int:
        await sync_to_async(async_to_sync(inner))()
        return await tasks[0]

    for _ in range(20):
        tasks.clear()
        assert async_to_sync(outer)() == this_thread()


@pytest.mark.asyncio
async def test_r4_work_left_over_by_a_thread_that_waits_no_more_goes_to_the_shared_one() -> None:
    tasks: list[asyncio.Task[int]] = []

    def blocks_its_thread() -> None:
        submitted.wait()

    async def inner() -> None:
        # The waiting thread serves the first call; the second is left when the wait ends.
        tasks.append(asyncio.create_task(sync_to_async(blocks_its_thread)()))
        tasks.append(asyncio.create_task(thread_of_sync_code()))
        asyncio.get_running_loop().call_soon(submitted.set)

    submitted = threading.Event()
    await sync_to_async(async_to_sync(inner), thread_sensitive=False)()
    await tasks[0]
    assert await tasks[1] == await thread_of_sync_code()


@pytest.mark.asyncio
async def test_r4_a_task_that_outlives_everything_it_descends_from_still_finds_a_thread() -> None:
    all_have_ended = asyncio.Event()

    async def later() -> int:
        await all_have_ended.wait()
        return await thread_of_sync_code()

    async def view() -> asyncio.Task[int]:
        return asyncio.create_task(later())

    async with ThreadSensitiveContext():
        in_context = await sync_to_async(async_to_sync(view))()
    outside = await sync_to_async(async_to_sync(view))()
    all_have_ended.set()

    assert await outside == await thread_of_sync_code()
    assert await in_context != this_thread()


def test_r4_a_task_with_an_empty_context_finds_the_thread_its_loop_is_driven_for() -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        empty = contextvars.Context()
        return await empty.run(loop.create_task, thread_of_sync_code())

    assert async_to_sync(main)() == this_thread()


def test_r4_cleanup_of_tasks_left_behind_is_served_too() -> None:
    cleaned_up_in: list[int] = []

    async def left_behind() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned_up_in.append(await thread_of_sync_code())

    async def main() -> None:
        main.task = asyncio.create_task(left_behind())  # type: ignore[attr-defined]
        await asyncio.sleep(0)

    async_to_sync(main)()
    assert cleaned_up_in == [this_thread()]


# R5: context variables


class NeverEqual:
    def __eq__(self, other: object) -> bool:
        raise AssertionError("compared by equality")

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize("thread_sensitive", [True, False])
@pytest.mark.asyncio
async def test_r5_sync_code_sees_variables_and_its_changes_come_back(
    thread_sensitive: bool,
) -> None:
    def change() -> object:
        before = variable.get()
        variable.set("changed")
        return before

    variable.set("set")
    assert await sync_to_async(change, thread_sensitive=thread_sensitive)() == "set"
    assert variable.get() == "changed"


def test_r5_async_code_sees_variables_and_its_changes_come_back() -> None:
    async def change() -> object:
        before = variable.get()
        variable.set("changed")
        return before

    variable.set("set")
    assert async_to_sync(change)() == "set"
    assert variable.get() == "changed"


@pytest.mark.asyncio
async def test_r5_values_are_told_apart_by_identity() -> None:
    first, second = NeverEqual(), NeverEqual()
    variable.set(first)
    await sync_to_async(variable.set)(second)
    assert variable.get() is second


def test_r5_changes_come_back_with_an_error_too() -> None:
    async def change_and_fail() -> None:
        variable.set("changed")
        raise LookupError

    with pytest.raises(LookupError):
        async_to_sync(change_and_fail)()
    assert variable.get() == "changed"


@pytest.mark.asyncio
async def test_r5_a_given_context_is_used_and_nothing_is_copied_back() -> None:
    context = contextvars.copy_context()
    context.run(variable.set, "in the context")
    variable.set("in the task")

    def change() -> object:
        before = variable.get()
        variable.set("changed")
        return before

    assert await sync_to_async(change, context=context)() == "in the context"
    assert variable.get() == "in the task"
    assert context[variable] == "changed"


def test_r5_changes_cross_any_number_of_layers() -> None:
    def innermost() -> None:
        assert variable.get() == 1
        variable.set(2)

    async def middle() -> None:
        await sync_to_async(innermost)()
        assert variable.get() == 2

    async def outer() -> None:
        await sync_to_async(async_to_sync(middle))()
        assert variable.get() == 2

    variable.set(1)
    async_to_sync(outer)()
    assert variable.get() == 2


# May take over a second: the result and the context are published by one thread and read by
# another, and only many crossings at a tiny switch interval show if the order is wrong.
@pytest.mark.asyncio
async def test_r5_a_result_is_never_there_before_its_context() -> None:
    async def inner(number: int) -> None:
        variable.set(number)

    def outer(number: int) -> bool:
        async_to_sync(inner)(number)
        return variable.get() == number

    call = sync_to_async(outer)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        lost = [number for number in range(1500) if not await call(number)]
    finally:
        sys.setswitchinterval(interval)
    assert not lost


# R6: the handled exception


class FalsyError(Exception):
    def __bool__(self) -> bool:
        return False


@pytest.mark.parametrize("error", [KeyError("handled"), FalsyError()])
@pytest.mark.asyncio
async def test_r6_sync_code_sees_the_exception_that_its_caller_handles(error: Exception) -> None:
    try:
        raise error
    except Exception:
        seen = await sync_to_async(lambda: sys.exc_info()[1])()
    assert seen is error
    assert await sync_to_async(lambda: sys.exc_info()[1])() is None


@pytest.mark.parametrize("error", [KeyError("handled"), FalsyError()])
def test_r6_async_code_sees_the_exception_that_its_caller_handles(error: Exception) -> None:
    async def handled() -> BaseException | None:
        return sys.exc_info()[1]

    try:
        raise error
    except Exception:
        seen = async_to_sync(handled)()
    assert seen is error
    assert async_to_sync(handled)() is None


@pytest.mark.asyncio
async def test_r6_the_exception_is_not_changed_by_crossing() -> None:
    def traceback_length(error: BaseException) -> int:
        frames, traceback = 0, error.__traceback__
        while traceback is not None:
            frames, traceback = frames + 1, traceback.tb_next
        return frames

    def there_and_back() -> None:
        async_to_sync(asyncio.sleep)(0)

    error = KeyError("handled")
    try:
        raise error
    except KeyError:
        before = traceback_length(error)
        for _ in range(20):
            await sync_to_async(there_and_back)()
        after = traceback_length(error)
    assert after == before
    assert error.__context__ is None


# R7: cancellation


@pytest.mark.asyncio
async def test_r7_async_code_below_the_sync_function_is_cancelled_and_cleans_up_first() -> None:
    inside, events = asyncio.Event(), []

    async def view() -> None:
        inside.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            events.append("view has cleaned up")

    task = asyncio.create_task(sync_to_async(async_to_sync(view))())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    events.append("task has ended")
    assert events == ["view has cleaned up", "task has ended"]


@pytest.mark.asyncio
async def test_r7_the_task_ends_cancelled_even_if_the_async_code_swallows_it() -> None:
    inside = asyncio.Event()

    async def view() -> str:
        inside.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "swallowed"
        raise AssertionError

    task = asyncio.create_task(sync_to_async(async_to_sync(view))())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


@pytest.mark.asyncio
async def test_r7_further_cancels_are_passed_on_while_the_async_code_cleans_up() -> None:
    inside, cleaning, cancels = asyncio.Event(), asyncio.Event(), []

    async def view() -> None:
        inside.set()
        for attempt in range(3):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancels.append(attempt)
                cleaning.set()

    task = asyncio.create_task(sync_to_async(async_to_sync(view))())
    await inside.wait()
    for _ in range(3):
        cleaning.clear()
        task.cancel()
        await cleaning.wait()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cancels == [0, 1, 2]


@pytest.mark.asyncio
async def test_r7_async_code_on_a_loop_of_its_own_is_cancelled_there() -> None:
    loop, inside, ended_in = asyncio.get_running_loop(), asyncio.Event(), []

    async def view() -> None:
        loop.call_soon_threadsafe(inside.set)
        try:
            await asyncio.Event().wait()
        finally:
            ended_in.append(asyncio.get_running_loop())

    task = asyncio.create_task(sync_to_async(async_to_sync(view, force_new_loop=True))())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended_in[0] is not loop


@pytest.mark.asyncio
async def test_r7_a_function_that_has_not_started_never_starts() -> None:
    release, started = threading.Event(), []
    async with ThreadSensitiveContext():
        first = asyncio.create_task(sync_to_async(release.wait)())
        await asyncio.sleep(0)
        second = asyncio.create_task(sync_to_async(started.append)("second"))
        await asyncio.sleep(0)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        release.set()
        await first
        await sync_to_async(started.append)("third")
    assert started == ["third"]


@pytest.mark.asyncio
async def test_r7_a_busy_function_is_left_to_finish_and_its_result_is_dropped() -> None:
    loop, inside = asyncio.get_running_loop(), asyncio.Event()
    release, finished = threading.Event(), threading.Event()

    def busy() -> None:
        loop.call_soon_threadsafe(inside.set)
        release.wait()
        variable.set("by a call whose caller has gone")
        finished.set()

    variable.set("mine")
    task = asyncio.create_task(sync_to_async(busy, thread_sensitive=False)())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not finished.is_set()
    release.set()
    await sync_to_async(finished.wait, thread_sensitive=False)()
    assert variable.get() == "mine"


@pytest.mark.asyncio
async def test_r7_an_error_that_nobody_can_take_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loop, inside, release = asyncio.get_running_loop(), asyncio.Event(), threading.Event()
    unhandled: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: unhandled.append(context))

    def fails() -> None:
        loop.call_soon_threadsafe(inside.set)
        release.wait()
        raise LookupError("too late")

    async with ThreadSensitiveContext():
        task = asyncio.create_task(sync_to_async(fails)())
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        release.set()
        await sync_to_async(lambda: None)()

    (record,) = [record for record in caplog.records if record.name == "asgi_sync"]
    assert record.levelno == logging.ERROR
    assert "fails" in record.getMessage()
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], LookupError)
    assert not unhandled


@pytest.mark.asyncio
async def test_r7_the_second_async_call_of_a_function_is_cancelled_like_the_first() -> None:
    inside, cancelled = asyncio.Event(), []

    async def first() -> None:
        await thread_of_sync_code()

    async def second() -> None:
        inside.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append("second")
            raise

    def both() -> None:
        async_to_sync(first)()
        async_to_sync(second)()

    task = asyncio.create_task(sync_to_async(both)())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cancelled == ["second"]


# R8: no silent hang


@pytest.mark.asyncio
async def test_r8_a_call_whose_thread_is_busy_with_its_own_ancestor_is_refused() -> None:
    loop = asyncio.get_running_loop()

    def waits_for_what_needs_its_thread() -> None:
        asyncio.run_coroutine_threadsafe(thread_of_sync_code(), loop).result()

    with pytest.raises(RuntimeError, match=r"would deadlock.*waits_for_what_needs_its_thread"):
        await sync_to_async(waits_for_what_needs_its_thread)()


def test_r8_a_parent_loop_that_stops_while_a_thread_waits_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(current_thread_executor, "IDLE_CHECK_SECONDS", 0.01)
    waiting, outcome = threading.Event(), Future[BaseException]()

    async def never_resumed() -> None:
        waiting.set()
        await asyncio.Event().wait()

    def caller() -> None:
        try:
            async_to_sync(never_resumed)()
        except RuntimeError as error:
            outcome.set_result(error)

    async def main() -> None:
        asyncio.get_running_loop().create_task(sync_to_async(caller, thread_sensitive=False)())
        while not waiting.is_set():
            await asyncio.sleep(0)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    try:
        assert "never_resumed" in str(outcome.result())
        assert "caller" in str(outcome.result())
        assert "stopped" in str(outcome.result())
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.gather(*asyncio.all_tasks(loop), return_exceptions=True))
        loop.close()


@pytest.mark.asyncio
async def test_r8_stop_iteration_becomes_an_error_that_a_coroutine_can_raise() -> None:
    with pytest.raises(RuntimeError, match="<lambda> raised StopIteration") as caught:
        await sync_to_async(lambda: next(iter([])))()
    assert isinstance(caught.value.__cause__, StopIteration)


def test_r8_stop_iteration_from_a_coroutine_is_an_error_too() -> None:
    async def stops() -> None:
        raise StopIteration

    with pytest.raises(RuntimeError, match="StopIteration"):
        async_to_sync(stops)()


@pytest.mark.asyncio
async def test_r8_a_call_that_an_executor_drops_is_an_error() -> None:
    release = threading.Event()
    with ThreadPoolExecutor(1) as executor:
        first = asyncio.create_task(
            sync_to_async(release.wait, thread_sensitive=False, executor=executor)()
        )
        dropped = asyncio.create_task(
            sync_to_async(print, thread_sensitive=False, executor=executor)()
        )
        await asyncio.sleep(0)
        executor.shutdown(wait=False, cancel_futures=True)
        with pytest.raises(RuntimeError, match="dropped the call of print"):
            await dropped
        release.set()
        await first


# R9: thread_handler


@pytest.mark.asyncio
async def test_r9_an_override_runs_around_the_call_in_its_thread_and_gets_the_partial() -> None:
    seen: list[Any] = []

    class Watched(SyncToAsync[Any, Any]):
        def thread_handler(self, loop: Any, *args: Any, **kwargs: Any) -> Any:
            seen.append((loop, this_thread(), args[3]))
            try:
                return super().thread_handler(loop, *args, **kwargs)
            finally:
                seen.append("after")

    def work(first: int, *, second: int) -> tuple[int, int]:
        seen.append("work")
        return this_thread(), first + second

    thread, total = await Watched(work)(1, second=2)
    (loop, handler_thread, call), *rest = seen
    assert total == 3
    assert loop is asyncio.get_running_loop()
    assert handler_thread == thread
    assert isinstance(call, functools.partial)
    assert (call.func, call.args, call.keywords) == (work, (1,), {"second": 2})
    assert rest == ["work", "after"]
