"""Threads that servers run in: an error of a server, or one that does not end, fails the test."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

# Far more than anything that is waited for takes, and less than the limit of a test: seconds.
PATIENCE = 20


@contextlib.contextmanager
def thread_of(serve: Callable[[], object]) -> Iterator[None]:
    """Run a server in a thread, which has ended, and without an error, afterwards."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            serve()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="server", daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join(PATIENCE)
    assert not thread.is_alive(), "the server does not end"
    if errors:
        raise errors[0]


@contextlib.contextmanager
def event_loop_of(
    serve: Callable[[asyncio.Event], Coroutine[Any, Any, object]],
) -> Iterator[asyncio.AbstractEventLoop]:
    """Run a server on an event loop in a thread; the event that it is given tells it to end."""
    stopped = asyncio.Event()
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        with thread_of(lambda: runner.run(serve(stopped))):
            try:
                yield loop
            finally:
                loop.call_soon_threadsafe(stopped.set)
