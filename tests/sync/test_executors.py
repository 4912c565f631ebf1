from __future__ import annotations

import functools
import gc
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeAlias

import pytest

from asgi_sync import _bounded_executor, _serial_executor
from asgi_sync._bounded_executor import BoundedExecutor
from asgi_sync._serial_executor import SerialExecutor
from asgi_sync._thread_limits import call_in_place, lend_place
from asgi_sync._workers import Worker, Workers


@pytest.fixture(autouse=True)
def workers(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Workers of the test's own, so that what others do does not show."""
    workers = Workers()
    monkeypatch.setattr(_serial_executor, "workers", workers)
    monkeypatch.setattr(_bounded_executor, "workers", workers)
    yield workers
    workers.stop()


NoThreads: TypeAlias = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def no_thread_can_be_started(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> NoThreads:
    def cannot(name: str) -> None:
        raise RuntimeError("can't start new thread")

    @contextmanager
    def for_a_while() -> Iterator[None]:
        with monkeypatch.context() as patch:
            patch.setattr(workers, "lease", cannot)
            yield

    return for_a_while


@contextmanager
def thread_is_blocked() -> Iterator[None]:
    """While this thread waits for async code."""
    counter = lend_place()
    assert counter is not None
    try:
        yield
    finally:
        call_in_place(counter)


def _until_set(event: threading.Event) -> None:
    event.wait()


def until_free(workers: Workers) -> None:
    """Return once no worker is leased."""
    for worker in list(workers._all):
        while worker.thread.is_alive() and worker not in workers._idle:
            worker.thread.join(0.001)


class TestSerialExecutor:
    def test_calls_run_in_order_on_one_thread(self) -> None:
        executor, order = SerialExecutor("test"), []
        futures = [executor.submit(order.append, number) for number in range(100)]
        futures[-1].result()
        assert order == list(range(100))
        assert len({executor.submit(threading.get_ident).result() for _ in range(10)}) == 1

    def test_it_has_no_thread_before_the_first_call(self, workers: Workers) -> None:
        executor = SerialExecutor("test")
        assert not workers._all
        executor.submit(print, end="").result()
        assert len(workers._all) == 1

    def test_after_the_release_the_thread_goes_back_once_the_calls_are_done(
        self, workers: Workers
    ) -> None:
        executor, hold = SerialExecutor("test"), threading.Event()
        first, second = executor.submit(hold.wait), executor.submit(lambda: "second")
        executor.release()
        assert not workers._idle
        hold.set()
        assert (first.result(), second.result()) == (True, "second")
        until_free(workers)
        assert len(workers._idle) == 1

    def test_calls_after_the_release_still_run_one_at_a_time(self) -> None:
        executor, running = SerialExecutor("test"), []
        executor.release()

        def alone() -> None:
            running.append(1)
            assert running == [1]
            running.pop()

        for future in [executor.submit(alone) for _ in range(100)]:
            future.result()

    def test_the_thread_of_an_executor_that_nobody_has_any_more_goes_back(
        self, workers: Workers
    ) -> None:
        executor = SerialExecutor("test")
        executor.submit(print, end="").result()
        del executor
        gc.collect()
        until_free(workers)
        assert len(workers._idle) == 1

    def test_shutdown_waits_for_calls_and_refuses_further_ones(self) -> None:
        executor = SerialExecutor("test")
        future = executor.submit(lambda: "done")
        executor.shutdown()
        assert future.done()
        with pytest.raises(RuntimeError, match="after shutdown"):
            executor.submit(print)

    def test_shutdown_can_cancel_what_has_not_started(self) -> None:
        executor, started, hold = SerialExecutor("test"), threading.Event(), threading.Event()

        def first() -> None:
            started.set()
            hold.wait()

        running, waiting = executor.submit(first), executor.submit(print)
        started.wait()
        executor.shutdown(wait=False, cancel_futures=True)
        hold.set()
        running.result()
        with pytest.raises(CancelledError):
            waiting.result()

    def test_where_no_thread_can_be_started_nothing_is_left_waiting(
        self, no_thread_can_be_started: NoThreads
    ) -> None:
        executor, ran = SerialExecutor("test"), []

        with (
            no_thread_can_be_started(),
            pytest.raises(RuntimeError, match="can't start new thread"),
        ):
            executor.submit(ran.append, "first")
        executor.submit(ran.append, "second").result()
        assert ran == ["second"]


class TestBoundedExecutor:
    def test_it_runs_as_many_calls_at_once_as_allowed_and_no_more(self) -> None:
        executor = BoundedExecutor(3, "test")
        all_running, hold = threading.Barrier(4), threading.Event()

        def work() -> None:
            all_running.wait()
            hold.wait()

        futures = [executor.submit(work) for _ in range(3)]
        all_running.wait()
        waiting = executor.submit(lambda: "ran")
        assert not waiting.done()
        hold.set()
        for future in futures:
            future.result()
        assert waiting.result() == "ran"

    def test_waiting_calls_run_first_come_first_served(self) -> None:
        executor, order, hold = BoundedExecutor(1, "test"), [], threading.Event()
        executor.submit(hold.wait)
        futures = [executor.submit(order.append, number) for number in range(50)]
        hold.set()
        futures[-1].result()
        assert order == list(range(50))

    def test_a_call_that_is_blocked_in_the_bridge_makes_room_for_another(self) -> None:
        executor, release = BoundedExecutor(1, "test"), Future[str]()

        def blocked() -> str:
            with thread_is_blocked():
                return release.result()

        first = executor.submit(blocked)
        executor.submit(release.set_result, "released").result()
        assert first.result() == "released"

    def test_the_room_is_given_back(self, workers: Workers) -> None:
        executor, release = BoundedExecutor(1, "test"), threading.Event()
        running: list[int] = []

        def blocked() -> None:
            with thread_is_blocked():
                release.wait()

        def alone() -> None:
            running.append(1)
            assert running == [1]
            running.pop()

        futures: list[Future[Any]] = [executor.submit(blocked) for _ in range(5)]
        futures += [executor.submit(alone) for _ in range(50)]
        release.set()
        futures += [executor.submit(alone) for _ in range(50)]
        for future in futures:
            future.result()
        until_free(workers)
        assert executor._running == executor._blocked == 0

    def test_its_threads_go_back_when_there_is_nothing_to_do(self, workers: Workers) -> None:
        executor = BoundedExecutor(4, "test")
        for future in [executor.submit(lambda: None) for _ in range(20)]:
            future.result()
        until_free(workers)
        assert len(workers._idle) == len(workers._all)

    def test_many_calls_at_once_wake_one_thread_until_it_comes(
        self, workers: Workers, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        executor, may_come, lease = BoundedExecutor(4, "test"), threading.Event(), workers.lease
        leased: list[Worker] = []

        def lease_slow_worker(name: str) -> Worker:
            leased.append(worker := lease(name))
            worker.put(functools.partial(_until_set, may_come))
            return worker

        monkeypatch.setattr(workers, "lease", lease_slow_worker)
        futures = [executor.submit(int) for _ in range(20)]
        assert len(leased) == 1
        may_come.set()
        assert [future.result() for future in futures] == [0] * 20

    def test_a_thread_that_comes_and_cannot_start_the_next_runs_all_calls(
        self, workers: Workers, no_thread_can_be_started: NoThreads
    ) -> None:
        executor, may_come = BoundedExecutor(4, "test"), threading.Event()
        slow = workers.lease("slow to come")
        slow.put(functools.partial(_until_set, may_come))
        slow.release()
        futures = [executor.submit(int) for _ in range(20)]
        with no_thread_can_be_started():
            may_come.set()
            assert [future.result() for future in futures] == [0] * 20

    def test_where_no_thread_can_be_started_the_call_is_refused_and_forgotten(
        self, no_thread_can_be_started: NoThreads
    ) -> None:
        executor, ran = BoundedExecutor(1, "test"), []

        with (
            no_thread_can_be_started(),
            pytest.raises(RuntimeError, match="can't start new thread"),
        ):
            executor.submit(ran.append, "first")
        executor.submit(ran.append, "second").result()
        assert ran == ["second"]

    def test_a_bound_below_one_is_refused(self) -> None:
        with pytest.raises(ValueError, match="at least 1, not 0"):
            BoundedExecutor(0, "test")

    def test_a_call_is_not_left_to_threads_that_are_all_blocked(
        self, no_thread_can_be_started: NoThreads
    ) -> None:
        executor, blocked, release = BoundedExecutor(1, "test"), threading.Event(), Future[str]()

        def blocks() -> str:
            with thread_is_blocked():
                blocked.set()
                return release.result()

        first = executor.submit(blocks)
        blocked.wait()

        with (
            no_thread_can_be_started(),
            pytest.raises(RuntimeError, match="can't start new thread"),
        ):
            executor.submit(release.set_result, "never")
        release.set_result("released")
        assert first.result() == "released"
