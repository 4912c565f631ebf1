"""The threads of an adapter: when they start, which one is taken, when they end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from helpers.wsgi_applications import PATIENCE, patiently

from asgi_wsgi import _pool
from asgi_wsgi._pool import ThreadPool, free_this_thread


class Calls:
    """Calls on a pool, each of which notes its thread and may be made to wait."""

    def __init__(self, pool: ThreadPool) -> None:
        self.pool = pool
        self.threads: list[threading.Thread] = []
        self.goes_on = threading.Event()
        self._changed = threading.Condition()

    def note(self, *, waits: bool = False, before_end: Callable[[], None] | None = None) -> None:
        with self._changed:
            self.threads.append(threading.current_thread())
            self._changed.notify_all()
        if waits:
            patiently(self.goes_on)()
        if before_end is not None:
            before_end()

    def wait_for(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.threads) >= count, PATIENCE)


@pytest.fixture
def calls() -> Iterator[Calls]:
    pool = ThreadPool(2)
    calls = Calls(pool)
    yield calls
    calls.goes_on.set()
    pool.close()


def wait_idle(pool: ThreadPool, count: int) -> None:
    ready = threading.Event()
    while len(pool._threads.idle) < count:
        ready.wait(0.001)


def test_no_thread_is_started_while_one_is_idle(calls: Calls) -> None:
    for number in range(3):
        calls.pool.submit(calls.note)
        calls.wait_for(number + 1)
        wait_idle(calls.pool, 1)
    assert len(set(calls.threads)) == 1


def test_thread_that_is_about_to_be_free_gets_the_next_call(calls: Calls) -> None:
    """As when a response is complete: its request has yet to end, and the next one comes."""

    def before_end() -> None:
        free_this_thread()
        calls.pool.submit(calls.note)

    calls.pool.submit(calls.note, before_end=before_end)
    calls.wait_for(2)
    assert calls.threads[0] is calls.threads[1]


def test_call_that_finds_all_threads_busy_waits(calls: Calls) -> None:
    for _ in range(3):
        calls.pool.submit(calls.note, waits=True)
    calls.wait_for(2)
    assert len(calls.pool._threads.waiting) == 1
    calls.goes_on.set()
    calls.wait_for(3)
    assert len(set(calls.threads)) == 2


def test_call_that_was_cancelled_before_its_turn_is_not_made(calls: Calls) -> None:
    for _ in range(2):
        calls.pool.submit(calls.note, waits=True)
    called: list[int] = []
    waiting = calls.pool.submit(called.append, 1)
    assert waiting.cancel()
    assert not waiting.cancel()
    calls.goes_on.set()
    wait_idle(calls.pool, 2)
    assert called == []


def test_nested_call_gets_a_thread_more_for_as_long_as_it_needs_it(calls: Calls) -> None:
    for _ in range(2):
        calls.pool.submit(calls.note, waits=True)
    calls.wait_for(2)
    calls.pool.nested.submit(calls.note)
    calls.wait_for(3)
    calls.threads[2].join(PATIENCE)
    assert not calls.threads[2].is_alive()
    assert len(calls.pool._threads.all) == 2


def test_idle_thread_ends_after_a_while(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pool, "IDLE_SECONDS", 0.01)
    calls.pool.submit(calls.note)
    calls.wait_for(1)
    calls.threads[0].join(PATIENCE)
    assert not calls.threads[0].is_alive()
    assert calls.pool._threads.all == set()


def test_idle_thread_that_is_given_a_call_at_the_last_moment_makes_it(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its wait is over, and meanwhile somebody has taken it out of the idle ones."""

    class Unlucky(list[Any]):
        def remove(self, worker: Any) -> None:
            assert worker is self.pop()
            worker.jobs.put(_pool._Job(calls.note))
            raise ValueError

    monkeypatch.setattr(_pool, "IDLE_SECONDS", 0.01)
    calls.pool._threads.idle = Unlucky()
    calls.pool.submit(calls.note)
    calls.wait_for(2)
    assert calls.threads[0] is calls.threads[1]
    calls.pool._threads.idle = []


def test_call_that_comes_while_the_last_thread_ends_is_made(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its wait is over, and it has just left the idle ones."""
    calls.pool = ThreadPool(1)
    submits = threading.Thread(target=calls.pool.submit, args=(calls.note,))

    class Unlucky(list[Any]):
        def remove(self, worker: Any) -> None:
            super().remove(worker)
            if submits.ident is None:
                submits.start()
                submits.join(0.1)  # it may have to wait for the thread that is here

    monkeypatch.setattr(_pool, "IDLE_SECONDS", 0.01)
    calls.pool._threads.idle = Unlucky()
    calls.pool.submit(calls.note)
    calls.wait_for(2)
    calls.pool.close()


def test_closed_pool_ends_its_idle_threads_at_once_and_the_others_after_their_call(
    calls: Calls,
) -> None:
    calls.pool.submit(calls.note, waits=True)
    calls.pool.submit(calls.note)
    calls.wait_for(2)
    wait_idle(calls.pool, 1)
    calls.pool.close()
    busy = next(thread for thread in calls.threads if calls.threads.index(thread) == 0)
    calls.threads[1].join(PATIENCE)
    assert not calls.threads[1].is_alive()
    assert busy.is_alive()
    calls.goes_on.set()
    busy.join(PATIENCE)
    assert not busy.is_alive()


def test_call_that_raises_does_not_cost_the_thread(
    calls: Calls, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise LookupError

    calls.pool = ThreadPool(1)
    calls.pool.submit(fail)
    calls.pool.submit(calls.note)
    calls.wait_for(1)
    calls.pool.close()
    assert "A worker thread's job failed" in caplog.text


def test_call_without_any_thread_is_refused_where_none_can_be_started(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        calls.pool.submit(calls.note)


def test_call_waits_for_the_threads_there_are_where_none_can_be_started(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: Any) -> None:
        raise RuntimeError("can't start new thread")

    calls.pool.submit(calls.note, waits=True)
    calls.wait_for(1)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    calls.pool.submit(calls.note)
    calls.goes_on.set()
    calls.wait_for(2)
    assert calls.threads[0] is calls.threads[1]


def test_many_threads_may_submit(calls: Calls) -> None:
    with ThreadPoolExecutor(8) as others:
        for _ in range(400):
            others.submit(calls.pool.submit, calls.note)
    calls.wait_for(400)
    assert len(set(calls.threads)) <= 2
