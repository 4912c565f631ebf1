from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import threading
import warnings
import weakref
from collections.abc import Awaitable
from typing import Any

import pytest

from asgi_sync import (
    AsyncSingleThreadContext,
    AsyncToSync,
    async_to_sync,
    iscoroutinefunction,
    sync_to_async,
)
from asgi_sync._workers import workers

pytestmark = pytest.mark.each_loop_kind


async def echo(*args: Any, **kwargs: Any) -> Any:
    return args, kwargs


def test_arguments_and_result_are_passed_through() -> None:
    names = {"context": 1, "task_context": 2, "loop": 3, "awaitable": 4, "self": 5}
    assert async_to_sync(echo)(7, **names) == ((7,), names)


def test_as_a_decorator_without_and_with_arguments() -> None:
    @async_to_sync
    async def plain() -> int:
        return 1

    @async_to_sync(force_new_loop=True)
    async def configured() -> int:
        return 2

    assert (plain(), configured()) == (1, 2)


class Thing:
    @async_to_sync
    async def method(self, argument: int) -> tuple[Thing, int]:
        return self, argument

    @AsyncToSync
    async def made_by_the_class(self, argument: int) -> tuple[Thing, int]:
        return self, argument


@pytest.mark.parametrize("name", ["method", "made_by_the_class"])
def test_a_decorated_method_binds_to_its_instance(name: str) -> None:
    thing = Thing()
    assert getattr(thing, name)(1) == (thing, 1)


@pytest.mark.parametrize("name", ["method", "made_by_the_class"])
def test_a_decorated_method_works_when_accessed_on_its_class(name: str) -> None:
    thing = Thing()
    assert getattr(Thing, name)(thing, 1) == (thing, 1)


def test_the_wrapper_looks_like_the_function() -> None:
    async def work(first: int, second: str = "") -> None:
        """Does it."""

    wrapper: Any = async_to_sync(work)
    assert (wrapper.__name__, wrapper.__doc__) == ("work", "Does it.")
    assert inspect.signature(wrapper) == inspect.signature(work)
    assert wrapper.awaitable is work


@pytest.mark.parametrize("wrapped", [echo, sync_to_async(print)])
def test_the_wrapper_is_not_taken_for_a_coroutine_function(wrapped: Any) -> None:
    wrapper = async_to_sync(wrapped)
    assert not iscoroutinefunction(wrapper)
    assert not inspect.iscoroutinefunction(wrapper)


def test_what_is_not_marked_async_gets_a_warning_and_works() -> None:
    def returns_an_awaitable() -> Awaitable[str]:
        return asyncio.sleep(0, "done")

    with pytest.warns(UserWarning, match="non-async-marked callable"):
        wrapper = async_to_sync(returns_an_awaitable)
    assert wrapper() == "done"


@pytest.mark.parametrize("wrap", [async_to_sync, AsyncToSync, async_to_sync(force_new_loop=True)])
def test_the_warning_names_the_line_that_passed_the_callable(wrap: Any) -> None:
    with pytest.warns(UserWarning, match="non-async-marked callable") as caught:
        wrap(lambda: asyncio.sleep(0))
    assert caught[0].filename == __file__


def test_stop_async_iteration_is_passed_on() -> None:
    async def numbers() -> Any:
        yield 1

    async def following() -> Any:
        return await anext(iterator)

    with AsyncSingleThreadContext():
        iterator = numbers()
        assert async_to_sync(following)() == 1
        with pytest.raises(StopAsyncIteration):
            async_to_sync(following)()


def test_partials_and_instances_of_async_callables_get_no_warning() -> None:
    class Callable:
        async def __call__(self) -> int:
            return 1

    assert async_to_sync(Callable())() == 1
    assert async_to_sync(functools.partial(Callable()))() == 1
    assert async_to_sync(functools.partial(echo, 1))(2) == ((1, 2), {})


def test_a_result_that_cannot_be_awaited_is_a_type_error() -> None:
    with pytest.warns(UserWarning, match="non-async-marked"):
        wrapper = async_to_sync(lambda: 3)  # type: ignore[arg-type,return-value]
    # As Python says it, in other words from 3.14 on.
    with pytest.raises(TypeError, match=r"can't be (used in 'await' expression|awaited)"):
        wrapper()


def test_wrong_arguments_are_an_error_before_anything_starts() -> None:
    async def work(required: int) -> None: ...

    with pytest.raises(TypeError, match="required"):
        async_to_sync(work)()  # type: ignore[call-arg]


@pytest.mark.parametrize("error", [LookupError("it"), SystemExit(3), asyncio.CancelledError("it")])
def test_what_the_coroutine_raises_is_raised(error: BaseException) -> None:
    async def fails() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        async_to_sync(fails)()
    assert caught.value is error


@pytest.mark.asyncio
async def test_system_exit_in_a_coroutine_does_not_end_the_parents_loop() -> None:
    async def exits() -> None:
        raise SystemExit(3)

    def below() -> str:
        with pytest.raises(SystemExit):
            async_to_sync(exits)()
        return "went on"

    assert await sync_to_async(below)() == "went on"


def test_tasks_left_behind_are_cancelled_before_the_call_returns() -> None:
    cancelled: list[str] = []

    async def left_behind() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append("left behind")

    async def main() -> None:
        tasks.append(asyncio.create_task(left_behind()))
        await asyncio.sleep(0)

    tasks: list[asyncio.Task[None]] = []
    async_to_sync(main)()
    assert cancelled == ["left behind"]


def test_asynchronous_generators_left_open_are_closed_before_the_call_returns() -> None:
    closed: list[str] = []

    async def numbers() -> Any:
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            closed.append("numbers")

    generator = numbers()

    async def main() -> Any:
        return await anext(generator)

    assert async_to_sync(main)() == 1
    assert closed == ["numbers"]


# From Python 3.14 on all that has to do with policies warns of its removal.
@pytest.mark.filterwarnings("ignore:.*olicy.*deprecated:DeprecationWarning")
def test_the_event_loop_policy_in_force_makes_the_loop() -> None:
    made: list[asyncio.AbstractEventLoop] = []

    class Policy(asyncio.DefaultEventLoopPolicy):
        def new_event_loop(self) -> asyncio.AbstractEventLoop:
            loop = super().new_event_loop()
            made.append(loop)
            return loop

    async def running_loop() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    before = asyncio.get_event_loop_policy()
    asyncio.set_event_loop_policy(Policy())
    try:
        assert async_to_sync(running_loop)() in made
    finally:
        asyncio.set_event_loop_policy(before)


def test_the_callers_event_loop_setting_is_not_touched() -> None:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        async_to_sync(asyncio.sleep)(0)
        assert asyncio.get_event_loop() is loop
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def test_a_call_that_needs_no_sync_code_starts_no_thread() -> None:
    async def where() -> tuple[int, int]:
        await asyncio.sleep(0)
        return threading.get_ident(), threading.active_count()

    threads = threading.active_count()
    assert async_to_sync(where)() == (threading.get_ident(), threads)


def test_where_no_thread_can_be_started_the_error_is_raised_and_the_coroutine_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def cannot(name: str) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(workers, "lease", cannot)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RuntimeError, match="can't start new thread"):
            async_to_sync(sync_to_async(print))()
        gc.collect()


def test_nothing_refers_to_arguments_or_result_after_a_call() -> None:
    class Thing:
        pass

    async def work(argument: Thing) -> Thing:
        return argument

    gc.collect()
    gc.disable()
    try:
        argument = Thing()
        dead = weakref.ref(argument)
        assert async_to_sync(work)(argument) is argument
        del argument
        # The worker lets go of a job before it takes the next one.
        async_to_sync(asyncio.sleep)(0)
        async_to_sync(asyncio.sleep)(0)
        assert dead() is None
    finally:
        gc.enable()


class OwnError(Exception):
    """Unlike the built-in ones, it can be weakly referenced."""


def test_an_error_leaves_no_reference_cycle() -> None:
    async def fails() -> None:
        raise OwnError

    gc.collect()
    gc.disable()
    try:
        try:
            async_to_sync(fails)()
        except OwnError as error:
            dead = weakref.ref(error)
        async_to_sync(asyncio.sleep)(0)
        async_to_sync(asyncio.sleep)(0)
        assert dead() is None
    finally:
        gc.enable()


def test_a_call_after_one_with_a_new_loop_runs_on_the_parents_loop() -> None:
    async def running_loop() -> asyncio.AbstractEventLoop:
        await sync_to_async(lambda: None)()
        return asyncio.get_running_loop()

    def below() -> tuple[Any, Any]:
        return async_to_sync(running_loop, force_new_loop=True)(), async_to_sync(running_loop)()

    async def main() -> None:
        other, parent = await sync_to_async(below)()
        assert parent is asyncio.get_running_loop()
        assert other is not parent

    asyncio.run(main())


def test_the_executor_of_the_blocked_thread_is_where_code_for_asgiref_reads_it() -> None:
    async def main() -> int:
        executor = AsyncToSync.executors.current
        return await asyncio.wrap_future(executor.submit(threading.get_ident))

    assert not hasattr(AsyncToSync.executors, "current")
    assert async_to_sync(main)() == threading.get_ident()


def test_a_thread_that_was_given_a_context_only_has_a_loop_of_its_own() -> None:
    async def running_loop() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    async def main() -> bool:
        loop = await asyncio.to_thread(async_to_sync(running_loop))
        return loop is asyncio.get_running_loop()

    assert async_to_sync(main)() is False
