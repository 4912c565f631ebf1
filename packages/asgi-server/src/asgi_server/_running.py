"""One server in an event loop of its own, with signals, and an end in bounded time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from types import FrameType
from typing import Any

__all__ = ["run_with_signals"]

logger = logging.getLogger("asgi_server")

_DEFAULT_HANDLERS = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
}


def run_with_signals(
    serve: Callable[[], Coroutine[Any, Any, None]],
    stop: Callable[[bool], None],
    grace_period: float,
) -> int | None:
    """Run `serve()` on a new event loop, and return the first signal that came, if any.

    Not by `asyncio.run()`, which waits without end for a task that ignores its cancellation.

    Args:
        serve: Ends soon when it is told to stop, or cancelled.
        stop: Told whether everything is to end at once. Runs in a signal handler.
        grace_period: Seconds that tasks have which `serve()` has left behind.
    """
    # It makes the loop as asyncio.run() does, and closes it.
    runner = asyncio.Runner()
    loop = runner.get_loop()
    try:
        with _handling_signals(loop, stop) as received:
            serving = loop.create_task(serve(), name="arun")
            try:
                loop.run_until_complete(serving)
            finally:
                # A KeyboardInterrupt or SystemExit, of any task, has stopped the loop: perhaps
                # not the only one, as what is cancelled then may raise one too.
                while not serving.done():
                    stop(True)
                    with contextlib.suppress(KeyboardInterrupt, SystemExit):
                        loop.run_until_complete(asyncio.wait([serving]))
                _end_tasks(loop, grace_period)
    finally:
        if asyncio.all_tasks(loop):
            # Runner.close() would wait for them.
            asyncio.set_event_loop(None)
            loop.close()
        else:
            runner.close()
    return received[0] if received else None


def _end_tasks(loop: asyncio.AbstractEventLoop, grace_period: float) -> None:
    tasks = asyncio.all_tasks(loop)
    if not tasks:
        return
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.wait(tasks, timeout=grace_period))
    for task in asyncio.all_tasks(loop):
        logger.error("Left behind, as it ignores its cancellation: %r", task)


@contextlib.contextmanager
def _handling_signals(
    loop: asyncio.AbstractEventLoop, stop: Callable[[bool], None]
) -> Iterator[list[int]]:
    """Have SIGINT and SIGTERM stop the server, then end it at once, then raise.

    Yields the list of those that came.

    Nothing in another thread than the main one, where Python allows no handlers. A handler that
    the program has set itself is left: it may call `stop()`.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return

    def handle(number: int, frame: FrameType | None) -> None:
        received.append(number)
        if len(received) > 2:
            # The event loop has not ended: it may be in code that does not return.
            raise KeyboardInterrupt
        stop(len(received) == 2)

    previous = {
        number: signal.getsignal(number)
        for number, default in _DEFAULT_HANDLERS.items()
        if signal.getsignal(number) is default
    }
    for number in previous:
        # A signal that comes just before the loop waits would be seen when it has waited. The
        # loop's own way to handle signals wakes it, by a pipe; yet what is called that way is not
        # called while other code runs on and on. So both are used. On Windows, the loop always
        # has such a pipe.
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, _do_nothing)
        signal.signal(number, handle)
    try:
        yield received
    finally:
        for number, handler in previous.items():
            with contextlib.suppress(NotImplementedError):
                loop.remove_signal_handler(number)
            signal.signal(number, handler)


def _do_nothing() -> None:
    pass
