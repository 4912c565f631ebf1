"""Thousands of requests at once, of which most go wrong: nothing is left of them.

In all as many as five times the examples of the profile (see tests/conftest.py): 10,000 in `ci`.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import threading
import time
from collections.abc import Callable
from random import Random
from typing import Any

import psutil
import pytest
from helpers.faults import Application, Ledger, draw_plan, request
from helpers.server_threads import PATIENCE
from hypothesis import settings

from asgi_wsgi import WsgiToAsgi, _link

AT_ONCE = 40
WORKERS = 8
WARM_UP = 200


def half_of_the_requests() -> int:
    return 5 * settings.default.max_examples // 2


async def run(random: Random, count: int, ledger: Ledger, *, may_cancel: bool) -> None:
    """Send so many random requests, AT_ONCE at a time, and wait until all of it has ended."""
    adapter = WsgiToAsgi(Application(ledger), max_workers=WORKERS)
    plans = (draw_plan(random, may_cancel=may_cancel) for _ in range(count))

    async def client() -> None:
        for plan in plans:
            await request(adapter, plan, ledger)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(client())
    await asyncio.to_thread(ledger.wait_for_applications)
    # A task that ends only now, after its application, is none that is left.
    if others := asyncio.all_tasks() - {asyncio.current_task()}:
        _, left = await asyncio.wait(others, timeout=PATIENCE)
        assert not left


def run_and_find_nothing_left(
    seed: int, count: int, caplog: pytest.LogCaptureFixture, *, may_cancel: bool
) -> None:
    ledger = Ledger()
    errors: list[dict[str, Any]] = []
    with asyncio.Runner() as runner:
        runner.get_loop().set_exception_handler(lambda loop, context: errors.append(context))
        runner.run(run(Random(seed), count, ledger, may_cancel=may_cancel))
    logged = [record.getMessage() for record in caplog.records if record.levelno > logging.DEBUG]
    assert ledger.wrong == []
    assert errors == []
    assert logged == []
    assert len(ledger.closed) > count / 10
    assert set(ledger.closed) == {1}
    wait_until(lambda: not ledger.bytes_alive and not len(ledger.alive))


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait for threads that have closed their last application and are on their way back."""
    deadline = time.monotonic() + PATIENCE
    while not is_so() and time.monotonic() < deadline:
        gc.collect()
    assert is_so()


def open_files() -> int:
    process = psutil.Process()
    return process.num_handles() if sys.platform == "win32" else process.num_fds()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("may_cancel", [False, True], ids=["without", "with"])
def test_nothing_is_left_of_requests_that_go_wrong(
    may_cancel: bool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without and with cancelled requests, the errors of whose applications are logged."""
    # Of some plans, the server never returns from `send` of the last message.
    monkeypatch.setattr(_link, "FINISH_SECONDS", 0)
    if may_cancel:
        caplog.set_level(logging.CRITICAL + 1)
    threads = threading.active_count()
    run_and_find_nothing_left(1, WARM_UP, caplog, may_cancel=may_cancel)
    files = open_files()
    run_and_find_nothing_left(2, half_of_the_requests(), caplog, may_cancel=may_cancel)
    assert open_files() <= files
    wait_until(lambda: threading.active_count() <= threads)
