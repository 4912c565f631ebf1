"""What frameworks, pools and monitoring agents take from asgiref's wrappers."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import time
import weakref
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any

import pytest

from asgi_sync import AsyncToSync, SyncToAsync, ThreadSensitiveContext, async_to_sync, sync_to_async

this_thread = sync_to_async(threading.current_thread)


@pytest.mark.parametrize("sensitive", [True, False])
@pytest.mark.asyncio
async def test_thread_sensitive_without_its_name_is_heeded_and_warned_of(sensitive: bool) -> None:
    with pytest.warns(DeprecationWarning, match=f"thread_sensitive={sensitive}") as warnings:
        call: Any = sync_to_async(threading.current_thread, sensitive)  # type: ignore[call-overload]
    assert warnings[0].filename == __file__
    assert (await call() is await this_thread()) is sensitive


@pytest.mark.asyncio
async def test_a_decorator_takes_thread_sensitive_without_its_name() -> None:
    with pytest.warns(DeprecationWarning, match="thread_sensitive=False"):
        decorate: Any = sync_to_async(None, False)  # type: ignore[call-overload]
    assert await decorate(threading.current_thread)() is not await this_thread()


@pytest.mark.parametrize("arguments", [(1,), (None,), (False, None)])
def test_an_argument_for_the_function_is_not_taken_for_thread_sensitive(arguments: Any) -> None:
    with pytest.raises(TypeError, match="the function alone without a name"):
        sync_to_async(print, *arguments)


@pytest.mark.asyncio
async def test_the_shared_executor_has_its_thread_where_thread_pools_have_theirs() -> None:
    thread = await this_thread()
    assert SyncToAsync.single_thread_executor._threads == {thread}  # type: ignore[attr-defined]


def test_an_executor_without_a_call_has_no_thread() -> None:
    executor: Any = type(SyncToAsync.single_thread_executor)("unused")  # type: ignore[call-arg]
    assert executor._threads == set()


def test_all_executors_of_thread_sensitive_code_can_be_collected_and_used() -> None:
    executors = {
        SyncToAsync.single_thread_executor,
        *AsyncToSync.loop_thread_executors.values(),
        *SyncToAsync.context_to_thread_executor.values(),
    }
    assert [executor.submit(lambda: 42).result() for executor in executors] == [42] * len(executors)


def test_an_executor_of_a_loop_cannot_be_set() -> None:
    with pytest.raises(TypeError):
        AsyncToSync.loop_thread_executors[object()] = None  # type: ignore[index]


class LeftInItsOwnWay(ThreadSensitiveContext):
    """As pools and patches leave asgiref's: without what the class itself would do."""

    async def __aexit__(self, *_: object) -> None:
        if not self.token:
            return
        SyncToAsync.context_to_thread_executor.pop(self, None)
        SyncToAsync.thread_sensitive_context.reset(self.token)


def test_a_context_that_is_left_in_its_own_way_has_a_thread_and_is_collected() -> None:
    async def request() -> tuple[threading.Thread, threading.Thread]:
        async with LeftInItsOwnWay() as context:
            contexts.append(weakref.ref(context))
            return await this_thread(), await this_thread()

    async def main() -> None:
        first, second = await asyncio.create_task(request())
        assert first is second
        assert first is not await this_thread()

    contexts: list[Any] = []
    asyncio.run(main())
    # The worker thread may just be about to let go of the last call, which it has published.
    deadline = time.monotonic() + 10
    while contexts[0]() is not None and time.monotonic() < deadline:
        gc.collect()
    assert contexts[0]() is None


def frames_of(error: BaseException) -> list[FrameType]:
    traceback = error.__traceback__
    frames = []
    while traceback is not None:
        frames.append(traceback.tb_frame)
        traceback = traceback.tb_next
    return frames


def fail() -> None:
    raise LookupError


async def fail_in_thread() -> None:
    await sync_to_async(fail)()


async def fail_in_any_thread() -> None:
    await sync_to_async(fail, thread_sensitive=False)()


async def fail_in_task_context() -> None:
    await sync_to_async(fail, abandon_on_cancel=False)()


async def fail_in_given_context() -> None:
    await sync_to_async(fail, context=contextvars.Context())()


async def fail_while_handling() -> None:
    try:
        raise KeyError
    except KeyError:
        await sync_to_async(async_to_sync(fail_in_thread))()


@pytest.mark.parametrize(
    "fails",
    [
        fail_in_thread,
        fail_in_any_thread,
        fail_in_task_context,
        fail_in_given_context,
        fail_while_handling,
    ],
)
@pytest.mark.parametrize("start", [asyncio.run, lambda coroutine: async_to_sync(into)(coroutine)])
def test_no_frame_of_the_bridge_is_shown_by_the_debug_page(
    fails: Callable[[], Coroutine[Any, Any, None]], start: Callable[[Any], None]
) -> None:
    """It leaves out the frames with a local variable of that name."""
    with pytest.raises(LookupError) as caught:
        start(fails())
    shown = [
        frame.f_code.co_qualname
        for frame in frames_of(caught.value)
        if frame.f_globals["__name__"].startswith("asgi_sync.")
        and "__traceback_hide__" not in frame.f_locals
    ]
    assert shown == []


async def into(coroutine: Coroutine[Any, Any, None]) -> None:
    await coroutine


def test_an_agent_hands_the_thread_handler_something_by_way_of_the_partial(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A keyword that the wrapped `__call__` adds is taken out again in the thread."""
    call, handle = SyncToAsync.__call__, SyncToAsync.thread_handler
    seen: list[Any] = []

    async def traced_call(self: Any, *args: Any, **kwargs: Any) -> Any:
        return await call(self, *args, **kwargs, _trace="the trace")

    def traced_handler(
        self: Any, loop: Any, exc_info: Any, task_context: Any, func: Any, *args: Any, **kwargs: Any
    ) -> Any:
        seen.append(args[0].keywords.pop("_trace"))
        return handle(self, loop, exc_info, task_context, func, *args, **kwargs)

    monkeypatch.setattr(SyncToAsync, "__call__", traced_call)
    monkeypatch.setattr(SyncToAsync, "thread_handler", traced_handler)

    async def main() -> Any:
        return await sync_to_async(lambda **keywords: keywords)(a=1)

    assert asyncio.run(main()) == {"a": 1}
    assert seen == ["the trace"]
