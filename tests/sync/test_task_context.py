"""`abandon_on_cancel=False`: the task waits for its function, which runs in its context."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import threading
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import pytest

from asgi_sync import ThreadSensitiveContext, async_to_sync, sync_to_async, was_cancelled

variable: contextvars.ContextVar[object] = contextvars.ContextVar("variable")

knows_its_context = pytest.mark.skipif(
    sys.version_info < (3, 12), reason="a task tells its context from Python 3.12 on"
)


def in_task_context(function: Callable[..., Any]) -> Callable[..., Coroutine[Any, Any, Any]]:
    return sync_to_async(function, abandon_on_cancel=False)


class Running:
    """A sync function that has begun and goes on until it is released."""

    def __init__(self) -> None:
        self.began, self.release, self.ended = (threading.Event() for _ in range(3))

    def __call__(self) -> str:
        self.began.set()
        self.release.wait()
        self.ended.set()
        return "result"

    async def until_begun(self) -> None:
        while not self.began.is_set():
            await asyncio.sleep(0)


@knows_its_context
@pytest.mark.asyncio
async def test_a_token_of_one_call_is_good_for_reset_in_another() -> None:
    variable.set("before")
    token = await in_task_context(variable.set)("changed")
    assert variable.get() == "changed"
    await in_task_context(variable.reset)(token)
    assert variable.get() == "before"


@knows_its_context
def test_it_is_in_the_main_task_too() -> None:
    async def main() -> object:
        token = await in_task_context(variable.set)("changed")
        await in_task_context(variable.reset)(token)
        return variable.get("unset")

    assert asyncio.run(main()) == "unset"


@knows_its_context
def test_it_is_below_async_to_sync_too() -> None:
    async def main() -> object:
        token = await in_task_context(variable.set)("changed")
        await in_task_context(variable.reset)(token)
        return variable.get("unset")

    assert async_to_sync(main)() == "unset"


@pytest.mark.asyncio
async def test_changes_are_there_afterwards_on_every_python() -> None:
    await in_task_context(variable.set)("changed")
    assert variable.get() == "changed"


@pytest.mark.asyncio
async def test_a_cancelled_task_waits_for_its_function_and_ends_cancelled() -> None:
    function = Running()
    task = asyncio.create_task(in_task_context(function)())
    await function.until_begun()
    task.cancel()
    for _ in range(5):
        await asyncio.sleep(0)
    assert not task.done()
    function.release.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert function.ended.is_set()
    assert task.cancelled()


@pytest.mark.asyncio
async def test_further_cancels_do_not_end_the_wait() -> None:
    function = Running()
    task = asyncio.create_task(in_task_context(function)())
    await function.until_begun()
    for _ in range(5):
        task.cancel()
        await asyncio.sleep(0)
    assert not task.done()
    function.release.set()
    await asyncio.wait([task])
    assert task.cancelled()
    assert task.cancelling() == 5


@pytest.mark.asyncio
async def test_a_function_that_has_not_begun_never_does() -> None:
    ran: list[str] = []
    async with ThreadSensitiveContext():
        first = Running()
        busy = asyncio.create_task(in_task_context(first)())
        await first.until_begun()
        queued = asyncio.create_task(in_task_context(ran.append)("ran"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        queued.cancel()
        # At once: it waits for nothing.
        await asyncio.wait([queued])
        assert queued.cancelled()
        first.release.set()
        await busy
        await in_task_context(lambda: None)()
    assert ran == []


@knows_its_context
@pytest.mark.asyncio
async def test_a_task_that_is_cancelled_before_it_has_submitted_submits_nothing() -> None:
    ran: list[str] = []
    task = asyncio.create_task(in_task_context(ran.append)("ran"))
    asyncio.get_running_loop().call_soon(task.cancel)
    await asyncio.wait([task])
    assert task.cancelled()
    await sync_to_async(lambda: None)()
    assert ran == []


@pytest.mark.asyncio
async def test_async_code_that_the_function_waits_for_is_cancelled_at_once() -> None:
    waiting, cancelled = asyncio.Event(), asyncio.Event()

    async def inner() -> None:
        waiting.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    task = asyncio.create_task(in_task_context(async_to_sync(inner))())
    await waiting.wait()
    task.cancel()
    await cancelled.wait()
    await asyncio.wait([task])
    assert task.cancelled()


@pytest.mark.asyncio
async def test_the_function_can_ask_whether_its_task_was_cancelled() -> None:
    began, answers = threading.Event(), []

    def function() -> None:
        answers.append(was_cancelled())
        began.set()
        while not was_cancelled():
            pass
        answers.append(was_cancelled())

    task = asyncio.create_task(in_task_context(function)())
    while not began.is_set():
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert answers == [False, True]


@pytest.mark.asyncio
async def test_a_task_with_a_time_out_is_not_lost() -> None:
    function = Running()

    timeouts: list[asyncio.Timeout] = []

    async def main() -> str:
        try:
            async with asyncio.timeout(None) as timeout:
                timeouts.append(timeout)
                await in_task_context(function)()
        except TimeoutError:
            return "timed out"
        return "not"

    task = asyncio.create_task(main())
    await function.until_begun()
    timeouts[0].reschedule(asyncio.get_running_loop().time())
    while not timeouts[0].expired():
        await asyncio.sleep(0)
    function.release.set()
    assert await task == "timed out"


@pytest.mark.asyncio
async def test_tasks_that_share_a_context_go_on_while_the_function_runs() -> None:
    """The hazard: a step of the other task that cannot enter the context is lost."""
    context, function, steps = contextvars.copy_context(), Running(), 0

    async def other() -> None:
        nonlocal steps
        await function.until_begun()
        for _ in range(20):
            steps += 1
            await asyncio.sleep(0)
        function.release.set()

    loop = asyncio.get_running_loop()
    first = loop.create_task(in_task_context(function)(), context=context)
    second = loop.create_task(other(), context=context)
    await asyncio.gather(first, second)
    assert steps == 20


@pytest.mark.asyncio
async def test_what_the_executor_raises_is_raised() -> None:
    class Refuses(Executor):
        def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:
            raise LookupError("refused")

    call = sync_to_async(print, thread_sensitive=False, executor=Refuses(), abandon_on_cancel=False)
    with pytest.raises(LookupError, match="refused"):
        await call()


@pytest.mark.asyncio
async def test_any_executor_will_do() -> None:
    with ThreadPoolExecutor(1) as executor:
        call = sync_to_async(
            threading.get_ident,
            thread_sensitive=False,
            executor=executor,
            abandon_on_cancel=False,
        )
        assert await call() == executor.submit(threading.get_ident).result()


@pytest.mark.asyncio
async def test_an_error_propagates() -> None:
    def fails() -> None:
        raise LookupError("an error")

    with pytest.raises(LookupError, match="an error"):
        await in_task_context(fails)()


@pytest.mark.asyncio
async def test_nothing_refers_to_the_arguments_afterwards() -> None:
    class Argument:
        pass

    async def call() -> weakref.ref[Argument]:
        argument = Argument()
        await in_task_context(lambda _: None)(argument)
        return weakref.ref(argument)

    gc.disable()
    try:
        assert (await call())() is None
    finally:
        gc.enable()


@pytest.mark.asyncio
async def test_random_cancels_lose_no_task() -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for number in range(300):
            task = asyncio.create_task(in_task_context(variable.set)(number))
            for _ in range(number % 7):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
    finally:
        sys.setswitchinterval(interval)
