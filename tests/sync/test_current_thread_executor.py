from __future__ import annotations

import threading
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Any

import pytest

from asgi_sync import CurrentThreadExecutor


def in_another_thread(function: Any, *args: Any) -> Any:
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(function, *args).result()


def test_calls_run_in_the_thread_that_waits() -> None:
    executor, done = CurrentThreadExecutor(), Future[None]()
    ran_in: list[int] = []

    def other_thread() -> None:
        executor.submit(lambda: ran_in.append(threading.get_ident())).result()
        done.set_result(None)

    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(other_thread)
        executor.run_until_future(done)
        ended.result()
    assert ran_in == [threading.get_ident()]


def test_submitting_from_its_own_thread_is_refused() -> None:
    with pytest.raises(RuntimeError, match="cannot submit onto CurrentThreadExecutor from its own"):
        CurrentThreadExecutor(None).submit(print)


def test_running_it_in_another_thread_is_refused() -> None:
    executor = CurrentThreadExecutor()
    with pytest.raises(RuntimeError, match="only be run by the thread that made it"):
        in_another_thread(executor.run_until_future, Future())


def test_after_the_wait_it_refuses_calls() -> None:
    executor, done = CurrentThreadExecutor(), Future[None]()
    done.set_result(None)
    executor.run_until_future(done)
    with pytest.raises(RuntimeError, match="already quit or is broken"):
        in_another_thread(executor.submit, print)


def test_after_the_wait_calls_go_to_the_executor_that_takes_over() -> None:
    outer, inner_done, outer_done = CurrentThreadExecutor(), Future[None](), Future[None]()
    inner = CurrentThreadExecutor(outer)
    inner_done.set_result(None)
    late = []

    # One call is left over when the inner one ends, another one comes afterwards.
    in_another_thread(lambda: late.append(inner.submit(lambda: "left over")))
    inner.run_until_future(inner_done)
    in_another_thread(lambda: late.append(inner.submit(lambda: "late")))
    late[1].add_done_callback(lambda _: outer_done.set_result(None))
    outer.run_until_future(outer_done)

    assert [future.result() for future in late] == ["left over", "late"]


def test_what_is_left_over_with_nobody_to_take_over_is_cancelled() -> None:
    executor, done = CurrentThreadExecutor(), Future[None]()
    done.set_result(None)
    future: Future[None] = in_another_thread(executor.submit, print)
    executor.run_until_future(done)
    with pytest.raises(CancelledError):
        future.result()


def test_a_call_that_was_cancelled_before_does_not_run() -> None:
    executor, done, ran = CurrentThreadExecutor(), Future[None](), []

    def other_thread() -> None:
        executor.submit(ran.append, "cancelled").cancel()
        executor.submit(ran.append, "not cancelled")
        executor.submit(done.set_result, None)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(other_thread).result()
        executor.run_until_future(done)
    assert ran == ["not cancelled"]


def test_an_error_of_a_call_is_the_callers_not_the_waiters() -> None:
    executor, done = CurrentThreadExecutor(), Future[None]()

    def fails() -> None:
        raise LookupError

    def other_thread() -> BaseException | None:
        error = executor.submit(fails).exception()
        done.set_result(None)
        return error

    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(other_thread)
        executor.run_until_future(done)
        assert isinstance(ended.result(), LookupError)
