"""Calls that wait for a thread that waits for them are served, or refused (rule R8)."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from concurrent.futures import Future
from typing import Any

import pytest

from asgi_sync import ThreadSensitiveContext, _stalls, async_to_sync, sync_to_async
from asgi_sync._stalls import StallWatch

thread_of_sync_code = sync_to_async(threading.get_ident)
WOULD_DEADLOCK = "would deadlock: .*get_ident needs the thread on which .*busy"


@pytest.fixture(autouse=True)
def looks_are_frequent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_stalls, "LOOK_SECONDS", 0.01)


@pytest.fixture
def no_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what is seen at once, when the call is made, can help."""
    monkeypatch.setattr(StallWatch, "add", lambda *_: None)


class TestServed:
    """The thread is blocked in `async_to_sync`, and so can run the call."""

    @pytest.mark.usefixtures("no_watch")
    @pytest.mark.asyncio
    async def test_a_task_with_an_empty_context_is_served_by_the_thread_that_awaits_it(
        self,
    ) -> None:
        async def view() -> int:
            loop = asyncio.get_running_loop()
            return await contextvars.Context().run(loop.create_task, thread_of_sync_code())

        def busy() -> tuple[int, int]:
            return threading.get_ident(), async_to_sync(view)()

        own, served = await sync_to_async(busy)()
        assert own == served

    @pytest.mark.usefixtures("no_watch")
    @pytest.mark.parametrize("how", ["gather", "wait", "TaskGroup", "shield"])
    @pytest.mark.asyncio
    async def test_it_is_however_it_is_awaited(self, how: str) -> None:
        async def view() -> int:
            loop = asyncio.get_running_loop()
            if how == "TaskGroup":
                async with asyncio.TaskGroup() as group:
                    task = contextvars.Context().run(group.create_task, thread_of_sync_code())
                return task.result()
            task = contextvars.Context().run(loop.create_task, thread_of_sync_code())
            if how == "gather":
                await asyncio.gather(task, asyncio.sleep(0))
            elif how == "wait":
                await asyncio.wait([task])
            else:
                await asyncio.shield(task)
            return task.result()

        def busy() -> tuple[int, int]:
            return threading.get_ident(), async_to_sync(view)()

        own, served = await sync_to_async(busy)()
        assert own == served

    @pytest.mark.asyncio
    async def test_a_task_that_is_awaited_later_is_served_then(self) -> None:
        async def one_more_step(task: asyncio.Task[int]) -> int:
            return await task

        async def view() -> int:
            loop = asyncio.get_running_loop()
            task = contextvars.Context().run(loop.create_task, thread_of_sync_code())
            for _ in range(10):
                # Meanwhile the call is made, and nobody waits for it.
                await asyncio.sleep(0)
            return await asyncio.create_task(one_more_step(task))

        def busy() -> tuple[int, int]:
            return threading.get_ident(), async_to_sync(view)()

        own, served = await sync_to_async(busy)()
        assert own == served

    @pytest.mark.asyncio
    async def test_a_call_that_nobody_below_waits_for_runs_after_the_function(self) -> None:
        """What is not below it must not run inside of whatever it has open."""
        order: list[str] = []
        in_view, leave_view = asyncio.Event(), asyncio.Event()

        async def view() -> None:
            in_view.set()
            await leave_view.wait()

        def busy() -> None:
            async_to_sync(view)()
            order.append("busy")

        task = asyncio.create_task(sync_to_async(busy)())
        await in_view.wait()
        unrelated = asyncio.create_task(sync_to_async(order.append)("unrelated"))
        for _ in range(5):
            # Long enough for the watch to look at it.
            await asyncio.to_thread(threading.Event().wait, 0.01)
        leave_view.set()
        await asyncio.gather(task, unrelated)
        assert order == ["busy", "unrelated"]


class TestRefused:
    """The thread waits by means that do not let it serve: an error names both sides."""

    @pytest.mark.asyncio
    async def test_a_thread_that_is_joined_runs_its_own_loop(self) -> None:
        errors: list[BaseException] = []

        def run_loop() -> None:
            try:
                asyncio.run(thread_of_sync_code())
            except BaseException as error:
                errors.append(error)

        def busy() -> None:
            thread = threading.Thread(target=run_loop)
            thread.start()
            thread.join()

        await sync_to_async(busy)()
        with pytest.raises(RuntimeError, match=WOULD_DEADLOCK):
            raise errors[0]

    @pytest.mark.parametrize("context_is_inherited", [True, False])
    @pytest.mark.parametrize("in_a_context", [True, False])
    @pytest.mark.asyncio
    async def test_the_result_of_a_coroutine_is_waited_for(
        self, context_is_inherited: bool, in_a_context: bool
    ) -> None:
        loop = asyncio.get_running_loop()

        def busy() -> int:
            context = contextvars.copy_context() if context_is_inherited else contextvars.Context()
            future = context.run(asyncio.run_coroutine_threadsafe, thread_of_sync_code(), loop)
            return future.result()

        async def main() -> None:
            with pytest.raises(RuntimeError, match=WOULD_DEADLOCK):
                await sync_to_async(busy)()

        if in_a_context and context_is_inherited:
            async with ThreadSensitiveContext():
                await main()
        else:
            await main()

    @pytest.mark.asyncio
    async def test_the_function_that_waits_has_not_begun_when_the_call_is_made(self) -> None:
        loop, started = asyncio.get_running_loop(), Future[Future[int]]()

        def busy() -> int:
            return started.result().result()

        async def main() -> None:
            function = asyncio.create_task(sync_to_async(busy)())
            # Both are queued in one turn of the loop, before the thread can wake up.
            starter = asyncio.create_task(start())
            with pytest.raises(RuntimeError, match=WOULD_DEADLOCK):
                await function
            await starter

        async def start() -> None:
            started.set_result(asyncio.run_coroutine_threadsafe(thread_of_sync_code(), loop))

        await main()

    @pytest.mark.asyncio
    async def test_the_executor_of_the_function_is_watched_already(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A call behind another one, both from below the function, comes before."""
        # So long that the first look comes after both.
        monkeypatch.setattr(_stalls, "LOOK_SECONDS", 0.3)
        loop = asyncio.get_running_loop()

        async def two_calls() -> None:
            hold = threading.Event()
            first = asyncio.create_task(sync_to_async(hold.wait)())
            await asyncio.sleep(0)
            behind = asyncio.create_task(thread_of_sync_code())
            await asyncio.sleep(0)
            hold.set()
            await asyncio.gather(first, behind)

        def busy() -> int:
            async_to_sync(two_calls)()
            return asyncio.run_coroutine_threadsafe(thread_of_sync_code(), loop).result()

        with pytest.raises(RuntimeError, match=WOULD_DEADLOCK):
            await sync_to_async(busy)()

    @pytest.mark.asyncio
    async def test_two_contexts_wait_for_each_others_thread(self) -> None:
        """The threads of both are blocked in the bridge, each for a call that needs the other."""
        loop = asyncio.get_running_loop()
        both_run = threading.Barrier(2)
        contexts: list[contextvars.Context] = []

        def busy(other: int) -> int:
            both_run.wait()
            call = contexts[other].run(thread_of_sync_code)
            return contexts[other].run(asyncio.run_coroutine_threadsafe, call, loop).result()

        async def request(other: int, entered: asyncio.Barrier) -> int:
            async with ThreadSensitiveContext():
                contexts.append(contextvars.copy_context())
                await entered.wait()
                return await sync_to_async(busy)(other)

        entered = asyncio.Barrier(2)
        results = await asyncio.gather(
            request(1, entered), request(0, entered), return_exceptions=True
        )
        refused = [result for result in results if isinstance(result, RuntimeError)]
        assert refused
        assert all("would deadlock" in str(error) for error in refused)


class TestLeftAlone:
    """Nothing is refused that can still make progress."""

    def test_a_call_behind_a_function_that_waits_for_another_one_is_not_refused(self) -> None:
        """The thread waits for both in the end, but only one keeps it from going on."""

        async def main() -> list[object]:
            loop = asyncio.get_running_loop()

            def busy() -> str:
                future = asyncio.run_coroutine_threadsafe(thread_of_sync_code(), loop)
                with pytest.raises(RuntimeError, match="would deadlock"):
                    future.result()
                return "refused"

            return list(await asyncio.gather(sync_to_async(busy)(), thread_of_sync_code()))

        assert async_to_sync(main)() == ["refused", threading.get_ident()]

    @pytest.mark.asyncio
    async def test_code_that_a_function_has_started_and_does_not_wait_for(self) -> None:
        loop, release = asyncio.get_running_loop(), threading.Event()
        started: list[Future[int]] = []

        def busy() -> int:
            started.append(asyncio.run_coroutine_threadsafe(thread_of_sync_code(), loop))
            release.wait(0.1)
            return threading.get_ident()

        own = await sync_to_async(busy)()
        assert await asyncio.wrap_future(started[0]) == own

    @pytest.mark.asyncio
    async def test_a_wait_with_a_time_out(self) -> None:
        loop = asyncio.get_running_loop()
        started: list[Future[int]] = []

        def busy() -> int:
            future = asyncio.run_coroutine_threadsafe(thread_of_sync_code(), loop)
            started.append(future)
            with pytest.raises(TimeoutError):
                future.result(timeout=0.1)
            return threading.get_ident()

        own = await sync_to_async(busy)()
        assert await asyncio.wrap_future(started[0]) == own

    @pytest.mark.asyncio
    async def test_after_an_error_of_an_executor_calls_go_on_as_before(self) -> None:
        """No flag can be left behind, as there is none."""

        class Broken:
            def submit(self, *args: Any) -> Any:
                raise RuntimeError("cannot schedule new futures after shutdown")

        broken = sync_to_async(print, thread_sensitive=False, executor=Broken())  # type: ignore[arg-type]
        with pytest.raises(RuntimeError, match="after shutdown"):
            await broken()
        assert await thread_of_sync_code()

    @pytest.mark.asyncio
    async def test_nothing_is_watched_any_more_when_no_call_waits(self) -> None:
        await asyncio.gather(*(thread_of_sync_code() for _ in range(20)))
        while _stalls.stall_watch._is_watching:
            await asyncio.sleep(0)
        assert not _stalls.stall_watch._watched
