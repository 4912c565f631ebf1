"""Two threads at once, or a signal handler: what one does between any two steps of the other."""

from __future__ import annotations

import asyncio
import functools
import gc
import threading
from collections.abc import Callable
from typing import Any

import pytest
from helpers.interruptions import codes_of, instructions_of, interrupt_before

from asgi_sync import async_to_sync, sync_to_async
from asgi_sync._cancel_handle import CancelHandle
from asgi_sync._completions import Ending
from asgi_sync._driving import Drive
from asgi_sync._frames import BlockedCall, _making_executor
from asgi_sync.current_thread_executor import CurrentThreadExecutor, _OnFirstUse


class RecordingLoop:
    """Calls what it was given when it is told to."""

    def __init__(self) -> None:
        self._scheduled: list[Callable[[], object]] = []

    def call_soon_threadsafe(self, callback: Callable[..., object], *args: object) -> None:
        self._scheduled.append(functools.partial(callback, *args))

    def turn(self) -> None:
        while self._scheduled:
            self._scheduled.pop(0)()


class RecordingTask:
    """Counts how often it is cancelled."""

    def __init__(self) -> None:
        self.loop = RecordingLoop()
        self.cancels = 0

    def get_loop(self) -> RecordingLoop:
        return self.loop

    def cancel(self) -> None:
        self.cancels += 1


def test_a_cancel_in_the_midst_of_attach_refuses_the_task_or_cancels_it() -> None:
    code = codes_of(CancelHandle)
    new_task: Any = RecordingTask()
    steps = instructions_of(functools.partial(CancelHandle().attach, new_task), code)
    outcomes = set()
    for step in range(steps):
        handle, task, attached = CancelHandle(), RecordingTask(), list[bool]()

        def attach(
            handle: CancelHandle = handle, task: Any = task, attached: list[bool] = attached
        ) -> None:
            attached.append(handle.attach(task))

        interrupt_before(step, attach, code, handle.cancel)
        task.loop.turn()
        outcomes.add((attached[0], task.cancels))
    assert outcomes == {(False, 0), (True, 1)}


def cancels_with(interruption: Callable[[CancelHandle], object]) -> set[int]:
    """How often a task is cancelled, if that comes between any two steps of a cancel."""
    code = codes_of(CancelHandle)
    steps = instructions_of(CancelHandle().cancel, code)
    assert steps > 0
    found = set()
    for step in range(steps):
        handle, task = CancelHandle(), RecordingTask()
        attached: Any = task
        assert handle.attach(attached)
        interrupt_before(step, handle.cancel, code, functools.partial(interruption, handle))
        task.loop.turn()
        found.add(task.cancels)
    return found


def test_a_cancel_in_the_midst_of_another_is_passed_on_as_well() -> None:
    assert cancels_with(CancelHandle.cancel) == {2}


def test_a_detach_in_the_midst_of_a_cancel_leaves_the_task_alone() -> None:
    assert cancels_with(CancelHandle.detach) == {0}


def test_a_callback_added_in_the_midst_of_the_end_is_called_once() -> None:
    code = codes_of(Ending)
    for other_callbacks in range(3):
        for step in range(_steps_of_set(other_callbacks)):
            ending, called = _ending_with(other_callbacks), list[Ending]()
            add = functools.partial(ending.add_done_callback, called.append)
            interrupt_before(step, ending.set, code, add)
            assert called == [ending]


def test_an_end_in_the_midst_of_adding_a_callback_has_it_called_once() -> None:
    code = codes_of(Ending)
    called: list[Ending] = []
    steps = instructions_of(functools.partial(Ending().add_done_callback, called.append), code)
    assert steps > 0
    for step in range(steps):
        ending, called = Ending(), []
        add = functools.partial(ending.add_done_callback, called.append)
        interrupt_before(step, add, code, ending.set)
        assert called == [ending]


def test_an_end_in_the_midst_of_another_calls_each_callback_once() -> None:
    code = codes_of(Ending)
    for step in range(_steps_of_set(2)):
        ending, called = _ending_with(0), list[str]()
        ending.add_done_callback(lambda _, called=called: called.append("first"))
        ending.add_done_callback(lambda _, called=called: called.append("second"))
        interrupt_before(step, ending.set, code, ending.set)
        assert sorted(called) == ["first", "second"]


def _ending_with(callbacks: int) -> Ending:
    ending = Ending()
    for _ in range(callbacks):
        ending.add_done_callback(lambda _: None)
    return ending


def _steps_of_set(callbacks: int) -> int:
    steps = instructions_of(_ending_with(callbacks).set, codes_of(Ending))
    assert steps > 0
    return steps


def test_an_executor_that_is_asked_for_while_it_is_made_is_one_and_the_same() -> None:
    code = {CurrentThreadExecutor.__init__.__code__}
    steps = instructions_of(CurrentThreadExecutor, code)
    assert steps > 0
    for step in range(steps):
        record, seen = BlockedCall(None, "call", None), list[CurrentThreadExecutor]()

        def look(record: BlockedCall = record, seen: list[CurrentThreadExecutor] = seen) -> None:
            seen.append(record.executor)

        interrupt_before(step, look, code, look)
        assert len(seen) == 2
        assert seen[0] is seen[1]


def test_an_executor_that_another_thread_makes_as_a_drive_begins_asks_for_service() -> None:
    code = {BlockedCall.drive.__code__}

    def drive(record: BlockedCall, asked: list[bool]) -> None:
        def run_loop() -> None:
            submit = functools.partial(record.executor.submit, print)
            _in_another_thread(submit)

        record.drive(run_loop, lambda: asked.append(True))

    steps = instructions_of(lambda: drive(BlockedCall(None, "call", None), []), code)
    assert steps > 0
    for step in range(steps):
        record, asked = BlockedCall(None, "call", None), list[bool]()

        def make(record: BlockedCall = record) -> None:
            # Else the other thread would have to wait, which is as good.
            if _making_executor.acquire(blocking=False):
                _making_executor.release()
                assert record.executor

        interruption = functools.partial(_in_another_thread, make)
        interrupt_before(step, functools.partial(drive, record, asked), code, interruption)
        assert asked == [True], step


def _in_another_thread(function: Callable[[], object]) -> None:
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


@pytest.mark.parametrize("function", [_OnFirstUse.__init__, BlockedCall._close_executor])
def test_a_handler_that_waits_at_the_end_of_a_call_has_its_sync_code_run_in_its_thread(
    function: Any,
) -> None:
    call = async_to_sync(sync_to_async(threading.get_ident))
    threads: list[int] = []

    def handler() -> None:
        try:
            raise LookupError
        except LookupError:
            # While an error is handled, it is another thread that submits the sync code.
            threads.append(call())

    code = {function.__code__}
    steps = instructions_of(call, code)
    assert steps > 0
    for step in range(steps):
        interrupt_before(step, call, code, handler)
    assert threads == [threading.get_ident()] * steps


def test_what_a_handler_raises_as_a_call_ends_does_not_keep_its_loop_running(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class RaisedByHandlerError(Exception):
        pass

    def handler() -> None:
        raise RaisedByHandlerError

    code = {Drive.stop_if_nothing_is_undone.__code__}
    call = functools.partial(async_to_sync(asyncio.sleep), 0)
    steps = instructions_of(call, code)
    assert steps > 0
    for step in range(steps):
        interrupt_before(step, call, code, handler)
    # It came after the outcome was settled: asyncio reports it as an error of the task, when that
    # is collected, which is not to be in another test.
    gc.collect()
    assert {record.name for record in caplog.records} == {"asyncio"}
