from __future__ import annotations

import queue
import threading
from concurrent.futures import Future
from typing import Any

import pytest

from asgi_sync import _workers
from asgi_sync._workers import Worker, Workers


@pytest.fixture
def workers() -> Any:
    workers = Workers()
    yield workers
    workers.stop()


def run_on(worker: Worker, function: Any) -> Any:
    result: Future[Any] = Future()
    assert worker.put(lambda: result.set_result(function()))
    return result.result()


def until_idle(workers: Workers, worker: Worker) -> None:
    """Return once a released worker can be leased again, or has gone."""
    while worker.thread.is_alive() and worker not in workers._idle:
        worker.thread.join(0.001)


def test_a_worker_runs_its_jobs_in_order(workers: Workers) -> None:
    worker, order = workers.lease("test"), []
    for number in range(100):
        worker.put(lambda number=number: order.append(number))  # type: ignore[misc]
    run_on(worker, lambda: None)
    assert order == list(range(100))


def test_a_leased_worker_has_its_holders_name_and_an_idle_one_says_so(workers: Workers) -> None:
    worker = workers.lease("what it is for")
    assert worker.thread.name == "what it is for"
    worker.release()
    until_idle(workers, worker)
    assert worker.thread.name == "asgi-sync idle worker"


def test_the_worker_that_became_idle_last_is_leased_first(workers: Workers) -> None:
    first, second = workers.lease("first"), workers.lease("second")
    for worker in (first, second):
        worker.release()
        until_idle(workers, worker)
    assert workers.lease("third") is second
    assert workers.lease("fourth") is first


def test_two_holders_never_have_the_same_worker(workers: Workers) -> None:
    assert len({workers.lease("test") for _ in range(20)}) == 20


def test_jobs_put_before_the_release_still_run(workers: Workers) -> None:
    worker, done = workers.lease("test"), threading.Event()
    worker.put(done.set)
    worker.release()
    assert done.wait(10)


def test_an_idle_worker_goes_after_a_while(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_workers, "IDLE_SECONDS", 0.001)
    worker = workers.lease("test")
    worker.release()
    worker.thread.join(10)
    assert not worker.thread.is_alive()
    assert not workers._idle
    assert not workers._all


def test_a_leased_worker_stays(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_workers, "IDLE_SECONDS", 0.001)
    worker = workers.lease("test")
    worker.thread.join(0.05)
    assert run_on(worker, lambda: "still there") == "still there"


def test_a_worker_that_is_leased_while_its_wait_times_out_goes_on(workers: Workers) -> None:
    """The race: the wait has timed out, and before the worker retires it is leased."""

    class LeasedOnTimeout(queue.SimpleQueue[Any]):
        def get(self, block: bool = True, timeout: float | None = None) -> Any:
            if leased.empty() and worker in workers._idle:
                leased.put(workers.lease("in the last moment"))
                raise queue.Empty
            return super().get()

    leased: queue.SimpleQueue[Worker] = queue.SimpleQueue()
    worker = Worker(workers)
    worker._orders = LeasedOnTimeout()
    workers._all[worker] = None
    worker.release()
    worker.thread.start()

    assert leased.get() is worker
    leased.put(worker)
    assert run_on(worker, lambda: "runs") == "runs"


def test_a_stopped_worker_accepts_nothing(workers: Workers) -> None:
    worker = workers.lease("test")
    workers.stop()
    assert not worker.put(lambda: None)
    assert not worker.thread.is_alive()


def test_stopping_ends_idle_and_leased_workers(workers: Workers) -> None:
    idle, leased = workers.lease("idle"), workers.lease("leased")
    idle.release()
    until_idle(workers, idle)
    workers.stop()
    assert not idle.thread.is_alive()
    assert not leased.thread.is_alive()


def test_stopping_waits_for_a_busy_worker_for_a_bounded_time(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_workers, "EXIT_SECONDS", 0.01)
    worker, release = workers.lease("busy"), threading.Event()
    worker.put(release.wait)  # type: ignore[arg-type]
    workers.stop()
    assert worker.thread.is_alive()
    release.set()


def test_a_worker_lets_go_of_a_job_that_it_has_done(workers: Workers) -> None:
    import weakref

    class Job:
        def __call__(self) -> None: ...

    worker, job = workers.lease("test"), Job()
    dead = weakref.ref(job)
    worker.put(job)
    del job
    run_on(worker, lambda: None)
    assert dead() is None
