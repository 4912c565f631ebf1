"""Calls whose parent's event loop ends just as they are made, and that of slow ones."""

from __future__ import annotations

import asyncio
import gc
import signal
import threading
import weakref
from asyncio import AbstractEventLoop
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from asgi_sync import (
    AsyncSingleThreadContext,
    _parent_loop,
    async_to_sync,
    current_thread_executor,
    sync_to_async,
)
from asgi_sync._async_side import AsyncSide
from asgi_sync._parent_loop import CallOnParentLoop


async def running_loop() -> AbstractEventLoop:
    return asyncio.get_running_loop()


class Orphan:
    """A sync function whose task ends first, and which then does what it was made for."""

    def __init__(self, function: Callable[[], object], *, thread_sensitive: bool = False) -> None:
        self._function = function
        self._thread_sensitive = thread_sensitive
        self._has_started = threading.Event()
        self._may_go_on = threading.Event()
        self.outcome: Future[Any] = Future()

    def _run(self) -> None:
        self._has_started.set()
        self._may_go_on.wait()
        try:
            self.outcome.set_result(self._function())
        except BaseException as error:
            self.outcome.set_exception(error)

    async def be_left(self) -> None:
        """Start it, and cancel the task that waits for it."""
        call = asyncio.create_task(
            sync_to_async(self._run, thread_sensitive=self._thread_sensitive)()
        )
        while not self._has_started.is_set():
            await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([call])

    def go_on(self) -> None:
        self._may_go_on.set()


class LatePost:
    """Holds the post of a call to an event loop, whose thread may wait for that moment."""

    def __init__(self, loop: AbstractEventLoop, hold: Callable[[], object]) -> None:
        self.is_due, self.is_done = threading.Event(), threading.Event()
        self._post: Any = loop.call_soon_threadsafe
        self._hold = hold
        loop.call_soon_threadsafe = self._hold_and_post  # type: ignore[method-assign]

    def _hold_and_post(self, callback: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(getattr(callback, "__self__", None), CallOnParentLoop):
            return self._post(callback, *args, **kwargs)
        self.is_due.set()
        self._hold()
        try:
            return self._post(callback, *args, **kwargs)
        finally:
            self.is_done.set()


def stop_once_scheduled(loop: AbstractEventLoop) -> None:
    """Have an asyncio loop stop when it has made the task of a call, before its first step."""

    def make_task(loop: AbstractEventLoop, coroutine: Any, **kwargs: Any) -> Any:
        if coroutine.cr_code is AsyncSide.run.__code__:
            loop.stop()
        return asyncio.Task(coroutine, loop=loop, **kwargs)

    loop.set_task_factory(make_task)


def errors_of_asyncio(caplog: pytest.LogCaptureFixture) -> list[str]:
    # In debug mode it warns of what takes long, too.
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    return [record.message for record in errors if record.name == "asyncio"]


# A loop that has stopped


@pytest.mark.each_loop_kind
def test_a_call_that_is_posted_to_a_loop_that_has_stopped_runs_on_another_and_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loops: list[AbstractEventLoop] = []
    has_stopped, has_begun, has_run_again = (threading.Event() for _ in range(3))

    async def begin() -> None:
        loops.append(asyncio.get_running_loop())
        has_begun.set()
        has_run_again.wait()

    async def main() -> None:
        post = LatePost(asyncio.get_running_loop(), has_stopped.wait)
        await orphan.be_left()
        orphan.go_on()
        post.is_due.wait()

    orphan = Orphan(async_to_sync(begin))
    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    has_stopped.set()
    has_begun.wait()
    # What was posted is run now, at the same time, and the loop closed in the next turn.
    loop.call_soon(loop.stop)
    loop.run_forever()
    has_run_again.set()
    orphan.outcome.result()
    loop.close()
    assert len(loops) == 1
    assert loop not in loops
    assert errors_of_asyncio(caplog) == []


@pytest.mark.each_loop_kind
def test_a_call_that_is_posted_to_a_loop_that_asyncio_run_then_closes_runs_on_another() -> None:
    is_about_to_close = threading.Event()
    loops: list[AbstractEventLoop] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loops.append(loop)
        post, close = LatePost(loop, is_about_to_close.wait), loop.close

        def close_after_the_post() -> None:
            is_about_to_close.set()
            post.is_done.wait()
            close()

        loop.close = close_after_the_post  # type: ignore[method-assign]
        await orphan.be_left()
        orphan.go_on()
        post.is_due.wait()

    orphan = Orphan(async_to_sync(running_loop))
    asyncio.run(main())
    assert orphan.outcome.result() not in loops


# An eager task begins at once; uvloop stops a turn later.
@pytest.mark.each_loop_kind(but=("eager", "uvloop"))
def test_a_call_that_was_scheduled_when_its_loop_closed_runs_on_another_and_leaves_no_trace(
    caplog: pytest.LogCaptureFixture,
) -> None:
    orphan = Orphan(async_to_sync(running_loop))
    loop = asyncio.new_event_loop()
    loop.run_until_complete(orphan.be_left())
    stop_once_scheduled(loop)
    orphan.go_on()
    loop.run_forever()
    loop.close()
    assert orphan.outcome.result() is not loop
    gc.collect()
    assert errors_of_asyncio(caplog) == []


@pytest.mark.each_loop_kind(but=("eager", "uvloop"))
def test_a_call_that_was_scheduled_when_its_loop_stopped_runs_on_another_and_once() -> None:
    loops: list[AbstractEventLoop] = []
    has_begun, has_run_again = threading.Event(), threading.Event()

    async def begin() -> str:
        loops.append(asyncio.get_running_loop())
        has_begun.set()
        has_run_again.wait()
        return "result"

    orphan = Orphan(async_to_sync(begin))
    loop = asyncio.new_event_loop()
    loop.run_until_complete(orphan.be_left())
    stop_once_scheduled(loop)
    orphan.go_on()
    loop.run_forever()
    has_begun.wait()
    (left,) = asyncio.all_tasks(loop)
    loop.run_until_complete(left)
    has_run_again.set()
    assert orphan.outcome.result() == "result"
    loop.close()
    assert len(loops) == 1
    assert loop not in loops


@pytest.mark.each_loop_kind(but=("eager", "uvloop"))
def test_a_call_that_was_scheduled_on_a_loop_that_never_runs_again_leaves_no_warning(
    caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    orphan = Orphan(async_to_sync(running_loop))
    loop = asyncio.new_event_loop()
    loop.run_until_complete(orphan.be_left())
    stop_once_scheduled(loop)
    orphan.go_on()
    loop.run_forever()
    assert orphan.outcome.result() is not loop
    loop.close()
    del loop
    gc.collect()
    assert [str(warning.message) for warning in recwarn] == []
    assert errors_of_asyncio(caplog) == []


def test_a_call_that_was_taken_back_leaves_nothing_on_the_loop_that_it_was_posted_to() -> None:
    class Argument:
        pass

    async def take(argument: Argument) -> None: ...

    def call() -> weakref.ref[Argument]:
        argument = Argument()
        async_to_sync(take)(argument)
        return weakref.ref(argument)

    has_stopped = threading.Event()

    async def main() -> None:
        post = LatePost(asyncio.get_running_loop(), has_stopped.wait)
        await orphan.be_left()
        orphan.go_on()
        post.is_due.wait()

    orphan = Orphan(call)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    has_stopped.set()
    try:
        assert orphan.outcome.result()() is None
    finally:
        loop.close()


def test_a_call_in_a_single_thread_context_that_misses_one_call_runs_in_its_loop_after_it() -> None:
    has_stopped = threading.Event()

    async def main() -> AbstractEventLoop:
        loop = asyncio.get_running_loop()
        post = LatePost(loop, has_stopped.wait)
        await orphan.be_left()
        orphan.go_on()
        post.is_due.wait()
        return loop

    orphan = Orphan(async_to_sync(running_loop))
    with AsyncSingleThreadContext():
        loop = async_to_sync(main)()
        has_stopped.set()
        assert orphan.outcome.result() is loop


def test_a_call_that_was_moved_to_another_loop_is_cancelled_there() -> None:
    has_stopped, begun = threading.Event(), threading.Event()
    ended_on: list[AbstractEventLoop] = []

    async def wait_for_ever() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended_on.append(asyncio.get_running_loop())

    async def main() -> asyncio.Task[None]:
        post = LatePost(asyncio.get_running_loop(), has_stopped.wait)
        waits = sync_to_async(async_to_sync(wait_for_ever), thread_sensitive=False)
        task = asyncio.create_task(waits())
        while not post.is_due.is_set():
            await asyncio.sleep(0)
        return task

    async def cancel(task: asyncio.Task[None]) -> None:
        task.cancel()
        await asyncio.wait([task])

    loop = asyncio.new_event_loop()
    task = loop.run_until_complete(main())
    has_stopped.set()
    begun.wait()
    loop.run_until_complete(cancel(task))
    loop.close()
    assert task.cancelled()
    assert len(ended_on) == 1
    assert loop not in ended_on


def test_what_a_signal_handler_raises_ends_a_call_that_has_not_begun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class OwnError(Exception):
        pass

    has_stopped, begun = threading.Event(), threading.Event()
    find, looks = _parent_loop.parent_loop, iter([False, True])

    def interrupted_look(*args: Any) -> Any:
        if next(looks, False):
            raise OwnError
        return find(*args)

    async def begin() -> None:
        begun.set()

    async def main() -> None:
        post = LatePost(asyncio.get_running_loop(), has_stopped.wait)
        await orphan.be_left()
        orphan.go_on()
        post.is_due.wait()

    monkeypatch.setattr(_parent_loop, "parent_loop", interrupted_look)
    orphan = Orphan(async_to_sync(begin))
    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    has_stopped.set()
    with pytest.raises(OwnError):
        orphan.outcome.result()
    loop.close()
    assert not begun.is_set()


# A loop that goes on


@pytest.mark.each_loop_kind
@pytest.mark.asyncio
async def test_a_loop_that_is_only_slow_is_not_left(monkeypatch: pytest.MonkeyPatch) -> None:
    has_waited = threading.Event()
    find, looks = _parent_loop.parent_loop, iter(range(5))

    def noted_look(*args: Any) -> Any:
        if next(looks, None) is None:
            has_waited.set()
        return find(*args)

    monkeypatch.setattr(_parent_loop, "parent_loop", noted_look)
    orphan = Orphan(async_to_sync(running_loop))
    await orphan.be_left()
    orphan.go_on()
    # The loop stands still here, while the other thread looks again and again.
    has_waited.wait()
    assert await asyncio.wrap_future(orphan.outcome) is asyncio.get_running_loop()


def test_looks_at_a_call_that_has_begun_are_far_between(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop may stand still between two `run_until_complete` calls."""
    monkeypatch.setattr(current_thread_executor, "IDLE_CHECK_SECONDS", 3600)
    has_looked, begun = threading.Event(), threading.Event()
    look = CallOnParentLoop.__call__

    def noted_look(call: CallOnParentLoop) -> None:
        look(call)
        assert call.seconds == 3600
        has_looked.set()

    monkeypatch.setattr(CallOnParentLoop, "__call__", noted_look)

    async def begin() -> AbstractEventLoop:
        begun.set()
        while not has_looked.is_set():
            await asyncio.sleep(0)
        return asyncio.get_running_loop()

    async def main() -> asyncio.Task[AbstractEventLoop]:
        task = asyncio.create_task(sync_to_async(async_to_sync(begin), thread_sensitive=False)())
        while not begun.is_set():
            await asyncio.sleep(0)
        return task

    loop = asyncio.new_event_loop()
    task = loop.run_until_complete(main())
    has_looked.wait()
    assert loop.run_until_complete(task) is loop
    loop.close()


# The loop of a call of the bridge


@pytest.mark.each_loop_kind
def test_a_call_that_comes_in_the_last_turn_of_the_clean_up_is_no_error() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        post = LatePost(loop, lambda: None)
        shut_down = loop.shutdown_default_executor

        async def shut_down_after_the_post() -> None:
            await shut_down()
            orphan.go_on()
            post.is_done.wait()

        loop.shutdown_default_executor = shut_down_after_the_post  # type: ignore[method-assign]
        await orphan.be_left()

    orphan = Orphan(async_to_sync(running_loop))
    async_to_sync(main)()
    assert isinstance(orphan.outcome.result(), AbstractEventLoop)


@pytest.mark.each_loop_kind
def test_an_orphan_on_the_thread_that_its_loop_is_driven_for_has_a_loop_of_its_own() -> None:
    """Nobody runs the other loop until the orphan has ended."""
    outer: list[AbstractEventLoop] = []

    def function() -> AbstractEventLoop:
        while outer[0].is_running():
            pass
        return async_to_sync(running_loop)()

    async def main() -> None:
        outer.append(asyncio.get_running_loop())
        await orphan.be_left()
        orphan.go_on()

    orphan = Orphan(function, thread_sensitive=True)
    async_to_sync(main)()
    assert orphan.outcome.result() not in outer


def test_async_code_that_only_its_own_waiting_thread_could_go_on_with_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(current_thread_executor, "IDLE_CHECK_SECONDS", 0.01)
    begun = threading.Event()

    async def never_resumed() -> None:
        begun.set()
        await asyncio.Event().wait()

    async def main() -> None:
        await orphan.be_left()
        orphan.go_on()
        while not begun.is_set():
            await asyncio.sleep(0)

    orphan = Orphan(async_to_sync(never_resumed), thread_sensitive=True)
    async_to_sync(main)()
    with pytest.raises(RuntimeError, match=r"never_resumed.*stopped before it was done"):
        orphan.outcome.result()


def test_ctrl_c_ends_a_call_that_has_not_begun_when_its_loop_stops() -> None:
    begun = threading.Event()

    async def begin() -> None:
        begun.set()

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def interrupt_once_stopped() -> None:
            while loop.is_running():
                pass
            signal.raise_signal(signal.SIGINT)

        post = LatePost(loop, interrupt_once_stopped)
        await orphan.be_left()
        orphan.go_on()
        post.is_due.wait()

    orphan = Orphan(async_to_sync(begin), thread_sensitive=True)
    async_to_sync(main)()
    with pytest.raises(KeyboardInterrupt):
        orphan.outcome.result()
    assert not begun.is_set()
