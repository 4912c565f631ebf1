"""ApplicationCommunicator, section by section.

The applications under test; making one and the start; then its methods: receive_output,
receive_nothing, wait_receiving, send_input, wait, stop; the block; and its collection.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import gc
import threading
import weakref
from typing import Any

import pytest
from helpers.loop_kinds import LOOP_KINDS

from asgi_server.testing import ApplicationCancelledError, ApplicationCommunicator
from asgi_server.validation import ProtocolViolationError

pytestmark = pytest.mark.usefixtures("quiet_asyncio")

SCOPE = {"type": "test"}
SOON = 0.001  # a time-out that has to run out

language = contextvars.ContextVar("language", default="en")


# The applications under test


async def echo(scope: Any, receive: Any, send: Any) -> None:
    while True:
        await send(await receive())


async def return_at_once(scope: Any, receive: Any, send: Any) -> None:
    pass


async def fail_at_once(scope: Any, receive: Any, send: Any) -> None:
    raise ValueError("broken")


async def cancel_itself(scope: Any, receive: Any, send: Any) -> None:
    raise asyncio.CancelledError


async def send_then_fail(scope: Any, receive: Any, send: Any) -> None:
    await send("first")
    await send("second")
    raise ValueError("broken")


async def ended(communicator: ApplicationCommunicator) -> ApplicationCommunicator:
    await asyncio.wait([communicator.future])
    return communicator


# Making one, and the start of the application


def test_what_is_no_application_is_refused() -> None:
    with pytest.raises(TypeError, match="None is not an ASGI application"):
        ApplicationCommunicator(None, SCOPE)  # type: ignore[arg-type]
    gc.collect()  # `__del__` of what was not made would warn


def test_communicator_made_without_a_loop_binds_to_the_loop_of_its_first_use() -> None:
    communicator = ApplicationCommunicator(echo, SCOPE)

    async def use() -> None:
        await communicator.send_input("hello")
        assert await communicator.receive_output() == "hello"
        assert communicator.future.get_loop() is asyncio.get_running_loop()
        communicator.stop()

    asyncio.run(use())


def test_first_use_without_a_loop_raises_and_leaves_nothing() -> None:
    communicator = ApplicationCommunicator(echo, SCOPE)

    with pytest.raises(RuntimeError, match="no running event loop"):
        _ = communicator.future
    gc.collect()  # a coroutine that nobody awaits would warn


@pytest.mark.asyncio
async def test_application_is_called_with_the_very_scope_once_it_is_used() -> None:
    scopes: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)

    communicator = ApplicationCommunicator(application, SCOPE)
    await asyncio.sleep(0)
    assert scopes == []

    await communicator.wait()
    assert scopes == [SCOPE]
    assert scopes[0] is communicator.scope is SCOPE


@pytest.mark.asyncio
async def test_double_callable_application_is_run() -> None:
    class Application:
        def __init__(self, scope: Any) -> None:
            self.scope = scope

        async def __call__(self, receive: Any, send: Any) -> None:
            await send([self.scope, await receive()])

    communicator = ApplicationCommunicator(Application, SCOPE)
    await communicator.send_input("hello")

    assert await communicator.receive_output() == [SCOPE, "hello"]


@pytest.mark.asyncio
async def test_application_runs_in_an_empty_context_of_its_own() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send((language.get(), len(contextvars.copy_context())))
        language.set("fr")

    token = language.set("de")
    communicator = ApplicationCommunicator(application, SCOPE)

    assert await communicator.receive_output() == ("en", 0)
    await communicator.wait()
    assert language.get() == "de"
    language.reset(token)


@pytest.mark.asyncio
async def test_application_runs_in_the_context_that_is_given() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send(language.get())

    token = language.set("de")
    communicator = ApplicationCommunicator(application, SCOPE, context=contextvars.copy_context())
    language.reset(token)

    assert await communicator.receive_output() == "de"


@pytest.mark.parametrize("kind", LOOP_KINDS)
def test_communicator_runs_on_every_kind_of_event_loop(kind: str) -> None:
    async def use() -> None:
        communicator = ApplicationCommunicator(echo, SCOPE)
        await communicator.send_input("hello")
        assert await communicator.receive_output() == "hello"
        assert await communicator.receive_nothing(timeout=SOON)
        await communicator.wait(timeout=SOON)

    with asyncio.Runner(loop_factory=LOOP_KINDS[kind]) as runner:
        runner.run(use())


def test_use_on_a_second_event_loop_is_an_error_and_no_hang() -> None:
    communicator = ApplicationCommunicator(echo, SCOPE)
    with asyncio.Runner() as first, asyncio.Runner() as second:
        first.run(communicator.send_input("hello"))
        for use in (
            communicator.receive_output(),
            communicator.receive_nothing(),
            communicator.wait_receiving(),
            communicator.send_input("hello"),
            communicator.wait(),
        ):
            with pytest.raises(RuntimeError, match="started on another event loop"):
                second.run(use)
        assert first.run(communicator.receive_output()) == "hello"
        first.run(communicator.wait(timeout=SOON))


@pytest.mark.asyncio
async def test_future_is_the_task_and_holds_the_result() -> None:
    async def answer(scope: Any, receive: Any, send: Any) -> int:
        return 42

    communicator = ApplicationCommunicator(answer, SCOPE)
    await communicator.wait()

    assert communicator.future.result() == 42


@pytest.mark.asyncio
async def test_queues_show_what_was_not_received() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send("out")

    communicator = ApplicationCommunicator(application, SCOPE)
    await communicator.send_input("in")
    await communicator.wait()

    assert communicator.input_queue.get_nowait() == "in"
    assert communicator.output_queue.get_nowait() == "out"


# receive_output


@pytest.mark.asyncio
async def test_messages_are_received_in_order() -> None:
    communicator = ApplicationCommunicator(echo, SCOPE)
    for number in range(3):
        await communicator.send_input(number)

    assert [await communicator.receive_output() for _ in range(3)] == [0, 1, 2]
    communicator.stop()


@pytest.mark.parametrize("timeout", [0, SOON])
@pytest.mark.asyncio
async def test_receive_that_times_out_leaves_the_application_and_the_test_alone(
    timeout: float,
) -> None:
    communicator = ApplicationCommunicator(echo, SCOPE)
    this_task = asyncio.current_task()
    assert this_task is not None

    with pytest.raises(TimeoutError):
        await communicator.receive_output(timeout)

    assert this_task.cancelling() == 0
    assert not communicator.future.done()
    await communicator.send_input("still there?")
    assert await communicator.receive_output() == "still there?"
    communicator.stop()


@pytest.mark.asyncio
async def test_time_out_says_where_the_application_waits_or_that_it_has_ended() -> None:
    async def never_ends(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.get_running_loop().create_future()

    communicator = ApplicationCommunicator(never_ends, SCOPE)
    with pytest.raises(
        TimeoutError, match=r"nothing within 0.001 s.*test_testing.py:\d+, in never"
    ):
        await communicator.receive_output(SOON)
    communicator.stop()
    with pytest.raises(TimeoutError, match="it has ended"):
        await (await ended(ApplicationCommunicator(return_at_once, SCOPE))).receive_output(SOON)


@pytest.mark.asyncio
async def test_time_out_error_of_the_application_is_not_that_of_the_wait() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        raise TimeoutError("of the application")

    communicator = ApplicationCommunicator(application, SCOPE)
    with pytest.raises(TimeoutError, match="of the application"):
        await communicator.receive_output()


@pytest.mark.asyncio
async def test_application_that_sends_without_end_does_not_keep_the_loop_from_a_time_out() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        while True:
            await send("more")

    communicator = ApplicationCommunicator(application, SCOPE)
    await communicator.wait(timeout=SOON)
    assert communicator.future.cancelled()


@pytest.mark.asyncio
async def test_cancelled_receive_leaves_the_application_alone_and_loses_no_message() -> None:
    communicator = ApplicationCommunicator(echo, SCOPE)
    receiving = asyncio.create_task(communicator.receive_output(timeout=None))
    await asyncio.sleep(0)
    await communicator.send_input("hello")
    while communicator.output_queue.empty():
        await asyncio.sleep(0)
    receiving.cancel()  # it has been woken for the message, and has not run yet
    await asyncio.wait([receiving])

    assert receiving.cancelled()
    assert await communicator.receive_output() == "hello"
    communicator.stop()


@pytest.mark.asyncio
async def test_output_sent_before_a_failure_is_received_before_it_is_raised() -> None:
    communicator = await ended(ApplicationCommunicator(send_then_fail, SCOPE))

    assert await communicator.receive_output() == "first"
    assert await communicator.receive_output() == "second"
    for _ in range(2):
        with pytest.raises(ValueError, match="broken"):
            await communicator.receive_output()


@pytest.mark.asyncio
async def test_output_is_kept_when_wait_has_raised_the_failure() -> None:
    communicator = ApplicationCommunicator(send_then_fail, SCOPE)
    with pytest.raises(ValueError, match="broken"):
        await communicator.wait()

    assert await communicator.receive_output() == "first"


@pytest.mark.asyncio
async def test_failure_ends_a_receive_at_once() -> None:
    communicator = ApplicationCommunicator(fail_at_once, SCOPE)

    with pytest.raises(ValueError, match="broken"):
        await communicator.receive_output(timeout=None)


@pytest.mark.asyncio
async def test_failure_raised_again_has_the_same_traceback_down_to_the_application() -> None:
    communicator = await ended(ApplicationCommunicator(fail_at_once, SCOPE))
    lengths = set()
    for _ in range(3):
        with pytest.raises(ValueError, match="broken") as caught:
            await communicator.receive_output()
        lengths.add(len(caught.traceback))
        assert caught.traceback[-1].name == "fail_at_once"

    assert len(lengths) == 1


@pytest.mark.asyncio
async def test_task_of_the_application_may_send_after_its_return() -> None:
    may_send = asyncio.Event()
    tasks: list[asyncio.Task[None]] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        async def send_later() -> None:
            await may_send.wait()
            await send("late")

        tasks.append(asyncio.create_task(send_later()))

    communicator = await ended(ApplicationCommunicator(application, SCOPE))
    receiving = asyncio.create_task(communicator.receive_output(timeout=None))
    await asyncio.sleep(0)
    may_send.set()

    assert await receiving == "late"
    await asyncio.wait(tasks)


@pytest.mark.asyncio
async def test_two_receivers_get_a_message_each() -> None:
    communicator = ApplicationCommunicator(echo, SCOPE)
    receivers = [asyncio.create_task(communicator.receive_output(timeout=None)) for _ in range(2)]
    await asyncio.sleep(0)
    for number in range(2):
        await communicator.send_input(number)
        await asyncio.sleep(0)

    assert sorted(await asyncio.gather(*receivers)) == [0, 1]
    communicator.stop()


# receive_nothing


@pytest.mark.asyncio
async def test_receive_nothing_is_true_when_time_runs_out_and_leaves_the_application() -> None:
    communicator = ApplicationCommunicator(echo, SCOPE)

    assert await communicator.receive_nothing(timeout=SOON, interval=SOON) is True
    assert not communicator.future.done()
    communicator.stop()


@pytest.mark.asyncio
async def test_receive_nothing_is_false_as_soon_as_there_is_output_which_stays() -> None:
    communicator = ApplicationCommunicator(echo, SCOPE)
    await communicator.send_input("hello")

    assert await communicator.receive_nothing(timeout=3600) is False
    assert await communicator.receive_output() == "hello"
    communicator.stop()


@pytest.mark.asyncio
async def test_receive_nothing_is_false_before_a_failure_is_raised() -> None:
    communicator = await ended(ApplicationCommunicator(send_then_fail, SCOPE))

    assert await communicator.receive_nothing() is False
    for _ in range(2):
        await communicator.receive_output()
    with pytest.raises(ValueError, match="broken"):
        await communicator.receive_nothing()


@pytest.mark.asyncio
async def test_failure_during_receive_nothing_is_raised_by_the_next_call() -> None:
    communicator = ApplicationCommunicator(fail_at_once, SCOPE)

    assert await communicator.receive_nothing(timeout=3600) is True
    with pytest.raises(ValueError, match="broken"):
        await communicator.send_input("hello")


# wait_receiving


@pytest.mark.asyncio
async def test_application_that_asks_for_more_has_sent_its_answer_or_none() -> None:
    async def answer_questions(scope: Any, receive: Any, send: Any) -> None:
        while True:
            message = await receive()
            await asyncio.sleep(0)
            if message.endswith("?"):
                await send("yes")

    communicator = ApplicationCommunicator(answer_questions, SCOPE)
    await communicator.send_input("no question")
    await communicator.wait_receiving()
    assert await communicator.receive_nothing(timeout=0) is True

    await communicator.send_input("a question?")
    await communicator.wait_receiving()
    assert await communicator.receive_nothing(timeout=0) is False
    communicator.stop()


@pytest.mark.parametrize("application", [return_at_once, fail_at_once])
@pytest.mark.asyncio
async def test_application_that_ends_is_not_waited_for(application: Any) -> None:
    communicator = ApplicationCommunicator(application, SCOPE)
    await communicator.wait_receiving(timeout=None)
    communicator.stop(exceptions=False)


@pytest.mark.asyncio
async def test_application_that_does_neither_times_out() -> None:
    async def never_asks_again(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await asyncio.get_running_loop().create_future()

    communicator = ApplicationCommunicator(never_asks_again, SCOPE)
    await communicator.send_input("hello")
    with pytest.raises(TimeoutError, match=r"has not asked for input.*in never_asks_again"):
        await communicator.wait_receiving(timeout=SOON)
    communicator.stop()


# send_input


@pytest.mark.asyncio
async def test_send_input_raises_the_failure_of_the_application() -> None:
    communicator = await ended(ApplicationCommunicator(fail_at_once, SCOPE))

    with pytest.raises(ValueError, match="broken"):
        await communicator.send_input("hello")


@pytest.mark.asyncio
async def test_send_input_to_an_application_that_has_returned_does_nothing() -> None:
    communicator = await ended(ApplicationCommunicator(return_at_once, SCOPE))

    await communicator.send_input("hello")


# wait: ended, failed, cancelled


@pytest.mark.asyncio
async def test_wait_returns_when_the_application_has_returned() -> None:
    communicator = ApplicationCommunicator(return_at_once, SCOPE)

    assert await communicator.wait(timeout=None) is None
    assert await communicator.wait() is None


@pytest.mark.asyncio
async def test_wait_raises_what_the_application_raises() -> None:
    communicator = ApplicationCommunicator(fail_at_once, SCOPE)

    for _ in range(2):
        with pytest.raises(ValueError, match="broken"):
            await communicator.wait()


@pytest.mark.asyncio
async def test_wait_that_times_out_cancels_the_application_and_waits_for_its_clean_up() -> None:
    cleaned_up: list[bool] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        try:
            await receive()
        finally:
            await asyncio.sleep(0)
            cleaned_up.append(True)

    communicator = ApplicationCommunicator(application, SCOPE)

    assert await communicator.wait(timeout=SOON) is None
    assert communicator.future.cancelled()
    assert cleaned_up == [True]
    assert await communicator.wait() is None


@pytest.mark.asyncio
async def test_wait_raises_the_failure_of_a_clean_up() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        try:
            await receive()
        finally:
            raise ValueError("cannot clean up")

    communicator = ApplicationCommunicator(application, SCOPE)

    with pytest.raises(ValueError, match="cannot clean up"):
        await communicator.wait(timeout=SOON)


@pytest.mark.asyncio
async def test_cancelled_wait_raises_cancelled_error_and_leaves_the_application() -> None:
    communicator = ApplicationCommunicator(echo, SCOPE)
    waiting = asyncio.create_task(communicator.wait(timeout=None))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])

    assert waiting.cancelled()
    await communicator.send_input("still there?")
    assert await communicator.receive_output() == "still there?"
    communicator.stop()


@pytest.mark.asyncio
async def test_application_cancelled_by_somebody_else_is_an_error_everywhere() -> None:
    communicator = await ended(ApplicationCommunicator(cancel_itself, SCOPE))

    with pytest.raises(ApplicationCancelledError):
        await communicator.wait()
    with pytest.raises(ApplicationCancelledError):
        await communicator.receive_output()
    with pytest.raises(ApplicationCancelledError):
        await communicator.receive_nothing()
    with pytest.raises(ApplicationCancelledError):
        await communicator.send_input("hello")
    with pytest.raises(ApplicationCancelledError):
        communicator.stop()


def test_application_cancelled_error_is_not_a_cancellation_of_the_test() -> None:
    assert issubclass(ApplicationCancelledError, RuntimeError)
    assert not issubclass(ApplicationCancelledError, asyncio.CancelledError)


# stop


@pytest.mark.asyncio
async def test_stop_cancels_the_application_and_wait_then_returns() -> None:
    communicator = ApplicationCommunicator(echo, SCOPE)
    assert await communicator.receive_nothing(timeout=SOON)
    communicator.stop()

    assert await communicator.wait() is None
    assert communicator.future.cancelled()
    communicator.stop()


def test_stop_of_an_application_that_was_not_started_does_nothing() -> None:
    ApplicationCommunicator(echo, SCOPE).stop()


@pytest.mark.asyncio
async def test_stop_raises_the_failure_of_the_application() -> None:
    communicator = await ended(ApplicationCommunicator(fail_at_once, SCOPE))

    with pytest.raises(ValueError, match="broken"):
        communicator.stop()


@pytest.mark.asyncio
async def test_failure_that_is_not_wanted_is_not_logged_either() -> None:
    contexts: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: contexts.append(context))
    communicator = await ended(ApplicationCommunicator(fail_at_once, SCOPE))

    communicator.stop(exceptions=False)
    del communicator
    gc.collect()
    assert contexts == []


@pytest.mark.asyncio
async def test_failure_that_nobody_has_asked_for_is_logged_by_the_loop() -> None:
    contexts: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: contexts.append(context))
    communicator = await ended(ApplicationCommunicator(fail_at_once, SCOPE))

    del communicator
    gc.collect()
    assert [str(context["exception"]) for context in contexts] == ["broken"]


def test_stop_after_the_loop_has_been_closed_does_nothing() -> None:
    loop = asyncio.new_event_loop()
    # Left pending: that is reported when the task is collected, to the loop's own handler.
    loop.set_exception_handler(lambda loop, context: None)

    async def never_ends(scope: Any, receive: Any, send: Any) -> None:
        while True:
            await asyncio.sleep(0)

    communicator = ApplicationCommunicator(never_ends, SCOPE)

    async def start() -> None:
        await communicator.send_input("hello")

    loop.run_until_complete(start())
    loop.close()

    communicator.stop()
    assert not communicator.future.done()
    communicator.future.get_coro().close()  # type: ignore[union-attr]


# The block


@pytest.mark.asyncio
async def test_block_ends_with_the_application_cancelled() -> None:
    async with ApplicationCommunicator(echo, SCOPE) as communicator:
        await communicator.send_input("hello")
        assert await communicator.receive_output() == "hello"
    assert communicator.future.cancelled()


@pytest.mark.asyncio
async def test_block_raises_the_failure_that_the_test_has_not_seen() -> None:
    with pytest.raises(ValueError, match="broken"):
        async with ApplicationCommunicator(fail_at_once, SCOPE) as communicator:
            await asyncio.wait([communicator.future])
    async with ApplicationCommunicator(fail_at_once, SCOPE) as communicator:
        with pytest.raises(ValueError, match="broken"):
            await communicator.wait()


@pytest.mark.asyncio
async def test_block_that_raises_notes_the_failure_of_the_application() -> None:
    with pytest.raises(AssertionError, match="of the test") as caught:
        async with ApplicationCommunicator(fail_at_once, SCOPE) as communicator:
            await asyncio.wait([communicator.future])
            raise AssertionError("of the test")
    assert caught.value.__notes__[0].endswith("ValueError: broken")


@pytest.mark.asyncio
async def test_block_waits_for_the_clean_up_also_when_it_is_cancelled() -> None:
    steps: list[str] = []
    cleans_up = asyncio.Event()
    may_end = asyncio.Event()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        try:
            await receive()
        finally:
            cleans_up.set()
            try:
                await may_end.wait()
            finally:
                await asyncio.sleep(0)
                steps.append("application")

    async def test() -> None:
        try:
            async with ApplicationCommunicator(application, SCOPE) as communicator:
                await communicator.wait_receiving()
        finally:
            steps.append("test")

    testing = asyncio.create_task(test())
    await cleans_up.wait()
    testing.cancel()
    await asyncio.wait([testing])
    assert testing.cancelled()
    assert steps == ["application", "test"]


# Validation


@pytest.mark.asyncio
async def test_validation_is_off_unless_it_is_asked_for() -> None:
    wrong = {"type": "http.response.start"}

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send(wrong)

    scope = {"type": "lifespan", "asgi": {"version": "3.0"}}
    assert await ApplicationCommunicator(application, scope).receive_output() == wrong
    with pytest.raises(ProtocolViolationError):
        await ApplicationCommunicator(application, scope, validate=True).receive_output()


# Collection


@pytest.mark.asyncio
async def test_dropped_communicator_is_collected_and_cancels_the_application() -> None:
    communicator = ApplicationCommunicator(echo, SCOPE)
    application = communicator.future
    await asyncio.sleep(0)
    reference = weakref.ref(communicator)
    del communicator

    assert reference() is None
    await asyncio.wait([application])
    assert application.cancelled()


def test_communicator_that_is_collected_in_another_thread_cancels_on_the_loop() -> None:
    communicators = [ApplicationCommunicator(echo, SCOPE)]
    started = threading.Event()

    async def run() -> bool:
        application = communicators[0].future
        started.set()
        await asyncio.wait([application])
        return application.cancelled()

    with concurrent.futures.ThreadPoolExecutor() as threads:
        # The debug mode finds calls of an event loop from other threads.
        running = threads.submit(asyncio.run, run(), debug=True)
        assert started.wait(timeout=30)
        communicators.clear()
        assert running.result(timeout=30)
