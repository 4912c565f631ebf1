from __future__ import annotations

import asyncio
import contextvars
import copy
import functools
import gc
import inspect
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import pytest

from asgi_sync import (
    SyncToAsync,
    ThreadSensitiveContext,
    async_to_sync,
    iscoroutinefunction,
    sync_to_async,
)

pytestmark = pytest.mark.each_loop_kind


async def an_async_function() -> None: ...


class AsyncCallable:
    async def __call__(self) -> None: ...


@pytest.mark.parametrize(
    "not_sync",
    [
        an_async_function,
        functools.partial(an_async_function),
        AsyncCallable(),
        functools.partial(AsyncCallable()),
        sync_to_async(print),
        "not callable",
    ],
)
def test_what_is_not_a_sync_callable_is_refused(not_sync: Any) -> None:
    with pytest.raises(TypeError, match="sync_to_async can only be applied to sync functions"):
        sync_to_async(not_sync)


def test_an_executor_for_a_thread_sensitive_function_is_refused() -> None:
    with (
        ThreadPoolExecutor() as executor,
        pytest.raises(TypeError, match="executor must not be set when thread_sensitive is True"),
    ):
        sync_to_async(print, executor=executor)


def test_an_executor_that_cannot_submit_is_refused() -> None:
    with pytest.raises(TypeError, match=r"concurrent\.futures\.Executor, not 3"):
        sync_to_async(print, thread_sensitive=False, executor=3)  # type: ignore[call-overload]


@pytest.mark.asyncio
async def test_arguments_and_result_are_passed_through() -> None:
    def work(*args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    names = {"context": 1, "task_context": 2, "loop": 3, "func": 4, "self": 5, "executor": 6}
    assert await sync_to_async(work)(7, **names) == ((7,), names)


@pytest.mark.asyncio
async def test_as_a_decorator_without_arguments() -> None:
    @sync_to_async
    def work() -> str:
        return "done"

    assert await work() == "done"


@pytest.mark.asyncio
async def test_as_a_decorator_with_arguments() -> None:
    @sync_to_async(thread_sensitive=False)
    def work() -> str:
        return threading.current_thread().name

    assert await work() == "asgi-sync worker"


class Thing:
    @sync_to_async
    def method(self, argument: int) -> tuple[Thing, int]:
        return self, argument

    @SyncToAsync
    def made_by_the_class(self, argument: int) -> tuple[Thing, int]:
        return self, argument


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["method", "made_by_the_class"])
async def test_a_decorated_method_binds_to_its_instance(name: str) -> None:
    thing = Thing()
    assert await getattr(thing, name)(1) == (thing, 1)
    assert getattr(thing, name) == getattr(thing, name)


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["method", "made_by_the_class"])
async def test_a_decorated_method_works_when_accessed_on_its_class(name: str) -> None:
    thing = Thing()
    assert await getattr(Thing, name)(thing, 1) == (thing, 1)


def test_the_wrapper_looks_like_the_function() -> None:
    def work(first: int, second: str = "") -> None:
        """Does it."""

    work.marker = "kept"  # type: ignore[attr-defined]
    wrapper: Any = sync_to_async(work)
    assert (wrapper.__name__, wrapper.__doc__, wrapper.marker) == ("work", "Does it.", "kept")
    assert inspect.signature(wrapper) == inspect.signature(work)
    assert wrapper.__wrapped__ is work
    assert wrapper.func is work


def test_the_functions_own_attributes_do_not_replace_the_wrappers() -> None:
    def work() -> None: ...

    work.context = work.func = work._executor = "the function's own"  # type: ignore[attr-defined]
    wrapper: Any = sync_to_async(work)
    assert wrapper.context is None
    assert wrapper.func is work
    assert wrapper._executor is None


def test_a_wrapped_bound_method_keeps_its_instance() -> None:
    things: list[int] = []
    wrapper: Any = sync_to_async(things.append)
    assert wrapper.__self__ is things


@pytest.mark.parametrize("wrapper", [sync_to_async(print), Thing().method, Thing.method])
def test_the_wrapper_is_known_as_a_coroutine_function(wrapper: Any) -> None:
    assert iscoroutinefunction(wrapper)


def test_the_wrapper_can_be_weakly_referenced_and_takes_attributes() -> None:
    wrapper: Any = sync_to_async(print)
    wrapper.anything = 1
    assert weakref.ref(wrapper)() is wrapper


class AnyExecutor(Executor):
    """Has `submit()` alone, and counts."""

    def __init__(self) -> None:
        self.submitted = 0

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.submitted += 1
        future: Future[Any] = Future()
        thread = threading.Thread(
            target=lambda: future.set_result(fn(*args, **kwargs)), name="any executor"
        )
        thread.start()
        return future


@pytest.mark.asyncio
async def test_a_given_executor_is_used_once_a_call() -> None:
    executor = AnyExecutor()

    @sync_to_async(thread_sensitive=False, executor=executor)
    def name() -> str:
        return threading.current_thread().name

    assert await name() == "any executor"
    assert executor.submitted == 1


@pytest.mark.asyncio
async def test_an_error_of_the_executor_is_raised_and_nothing_is_left_in_the_way() -> None:
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    with pytest.raises(RuntimeError, match="shutdown"):
        await sync_to_async(print, thread_sensitive=False, executor=executor)()
    assert await sync_to_async(lambda: "fine")() == "fine"


@pytest.mark.asyncio
async def test_the_shared_executor_may_be_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadPoolExecutor(1, thread_name_prefix="replaced") as executor:
        monkeypatch.setattr(SyncToAsync, "single_thread_executor", executor)
        name = await sync_to_async(lambda: threading.current_thread().name)()
    assert name.startswith("replaced")


@pytest.mark.asyncio
async def test_sync_code_sees_no_running_loop() -> None:
    for thread_sensitive in (True, False):
        with pytest.raises(RuntimeError, match="no running event loop"):
            await sync_to_async(asyncio.get_running_loop, thread_sensitive=thread_sensitive)()


@pytest.mark.asyncio
async def test_an_asynchronous_iterator_made_of_sync_code_ends() -> None:
    class Numbers:
        def __init__(self) -> None:
            self._left = [1, 2]

        def __aiter__(self) -> Numbers:
            return self

        @sync_to_async
        def __anext__(self) -> int:
            if not self._left:
                raise StopAsyncIteration
            return self._left.pop()

    assert [number async for number in Numbers()] == [2, 1]


@pytest.mark.asyncio
async def test_calls_that_are_not_thread_sensitive_run_at_the_same_time() -> None:
    barrier = threading.Barrier(4)
    call = sync_to_async(barrier.wait, thread_sensitive=False)
    assert sorted(await asyncio.gather(call(), call(), call(), call())) == [0, 1, 2, 3]


@pytest.mark.asyncio
async def test_more_calls_that_need_each_other_than_there_are_threads() -> None:
    async def innermost() -> str:
        return await sync_to_async(lambda: "done", thread_sensitive=False)()

    call = sync_to_async(async_to_sync(innermost), thread_sensitive=False)
    assert set(await asyncio.gather(*(call() for _ in range(100)))) == {"done"}


@pytest.mark.asyncio
async def test_code_that_uses_the_loops_default_executor_cannot_be_starved() -> None:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(1))

    async def uses_the_default_executor() -> str:
        return await loop.run_in_executor(None, lambda: "done")

    call = sync_to_async(async_to_sync(uses_the_default_executor), thread_sensitive=False)
    assert await call() == "done"
    await loop.shutdown_default_executor()


@pytest.mark.asyncio
async def test_asyncio_run_inside_sensitive_code_gets_a_thread_of_its_own() -> None:
    thread_of_sync_code = sync_to_async(threading.get_ident)

    async def separate_program() -> tuple[int, int]:
        return await thread_of_sync_code(), await thread_of_sync_code()

    def runs_a_loop() -> tuple[int, tuple[int, int]]:
        return threading.get_ident(), asyncio.run(separate_program())

    own, (first, second) = await sync_to_async(runs_a_loop)()
    assert first == second != own


@pytest.mark.asyncio
async def test_nothing_refers_to_arguments_result_or_context_after_a_call() -> None:
    class Thing:
        pass

    variable: contextvars.ContextVar[Thing] = contextvars.ContextVar("variable")

    def call_with(argument: Thing) -> Thing:
        variable.set(Thing())
        dead.append(weakref.ref(variable.get()))
        return argument

    async def request() -> None:
        argument = Thing()
        dead.append(weakref.ref(argument))
        result = await sync_to_async(call_with)(argument)
        assert result is argument

    dead: list[weakref.ref[Thing]] = []
    gc.collect()
    gc.disable()
    try:
        await asyncio.create_task(request())
        # The worker lets go of a job before it takes the next one.
        await sync_to_async(lambda: None)()
        await sync_to_async(lambda: None)()
        assert [ref() for ref in dead] == [None, None]
    finally:
        gc.enable()


class OwnError(Exception):
    """Unlike the built-in ones, it can be weakly referenced."""


@pytest.mark.asyncio
async def test_an_error_leaves_no_reference_cycle() -> None:
    def fails() -> None:
        raise OwnError

    with ThreadPoolExecutor(1) as executor:
        wrap = functools.partial(sync_to_async, thread_sensitive=False, executor=executor)
        gc.collect()
        gc.disable()
        try:
            for wrapper in (sync_to_async, wrap):
                try:
                    await wrapper(fails)()
                except OwnError as error:
                    dead = weakref.ref(error)
                # The worker lets go of a job before it takes the next one.
                await wrapper(lambda: None)()
                await wrapper(lambda: None)()
                assert dead() is None
        finally:
            gc.enable()


@pytest.mark.asyncio
async def test_a_task_that_starts_its_own_successor_keeps_no_chain_of_records() -> None:
    from asgi_sync._frames import chain, innermost

    async def generation(number: int) -> int:
        await sync_to_async(lambda: None)()
        if number == 0:
            return len(list(chain(innermost.get())))
        tasks: list[asyncio.Task[int]] = []

        async def start_the_next() -> None:
            tasks.append(asyncio.create_task(generation(number - 1)))

        await sync_to_async(async_to_sync(start_the_next))()
        return await tasks[0]

    assert await generation(20) <= 3


@pytest.mark.asyncio
async def test_nor_do_tasks_whose_successor_asks_for_a_thread_while_they_still_run() -> None:
    from asgi_sync._frames import chain, innermost

    lengths: list[int] = []
    tasks: list[asyncio.Task[None]] = []
    has_asked = threading.Event()

    async def generation(number: int) -> None:
        lengths.append(len(list(chain(innermost.get()))))
        asyncio.get_running_loop().call_soon(has_asked.set)
        await sync_to_async(leave_successor)(number)

    async def spawn(number: int) -> None:
        has_asked.clear()
        tasks.append(asyncio.create_task(generation(number)))

    def leave_successor(number: int) -> None:
        if number:
            async_to_sync(spawn)(number - 1)
            has_asked.wait()

    await generation(20)
    while tasks:
        await tasks.pop()
    assert max(lengths) <= 4


def test_the_attributes_that_code_for_asgiref_reads() -> None:
    assert not hasattr(SyncToAsync.threadlocal, "main_event_loop")
    assert SyncToAsync.deadlock_context.get(False) is False

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def below() -> asyncio.AbstractEventLoop:
            return SyncToAsync.threadlocal.main_event_loop

        assert await sync_to_async(below)() is loop
        assert SyncToAsync.thread_sensitive_context.get(None) is None
        async with ThreadSensitiveContext() as context:
            assert SyncToAsync.thread_sensitive_context.get() is context

    asyncio.run(main())


@pytest.mark.asyncio
async def test_a_context_that_was_set_by_hand_has_its_own_thread() -> None:
    thread_of_sync_code = sync_to_async(threading.get_ident)
    shared = await thread_of_sync_code()
    context = ThreadSensitiveContext()
    token = SyncToAsync.thread_sensitive_context.set(context)
    try:
        own = await thread_of_sync_code()
        assert own != shared
        assert await thread_of_sync_code() == own
        assert context in SyncToAsync.context_to_thread_executor
    finally:
        SyncToAsync.thread_sensitive_context.reset(token)
    assert await thread_of_sync_code() == shared


def test_a_wrapper_can_be_copied() -> None:
    wrapper = sync_to_async(print)
    assert copy.copy(wrapper).func is print  # type: ignore[attr-defined]


class _Receipt:
    """As much of a future as the bridge asks of an executor."""

    def __init__(self) -> None:
        self.is_cancelled = False

    def add_done_callback(self, callback: object) -> None:
        """It is never dropped."""

    def cancel(self) -> None:
        self.is_cancelled = True


class _GivesReceipts(Executor):
    """Runs what it is given when it is told to."""

    def __init__(self) -> None:
        self.submitted: list[Callable[[], object]] = []
        self.receipts: list[_Receipt] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        self.submitted.append(functools.partial(fn, *args, **kwargs))
        self.receipts.append(_Receipt())
        return self.receipts[-1]


@pytest.mark.asyncio
async def test_of_what_an_executor_returns_the_bridge_takes_no_outcome() -> None:
    executor = _GivesReceipts()
    call = sync_to_async(lambda: "result", thread_sensitive=False, executor=executor)
    task = asyncio.create_task(call())
    await asyncio.sleep(0)
    await asyncio.to_thread(executor.submitted[0])
    assert await task == "result"


@pytest.mark.asyncio
async def test_what_an_executor_returns_is_cancelled_with_the_task() -> None:
    executor = _GivesReceipts()
    task = asyncio.create_task(
        sync_to_async(lambda: "result", thread_sensitive=False, executor=executor)()
    )
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert executor.receipts[0].is_cancelled
