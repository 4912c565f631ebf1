"""uvicorn in a thread of this process, on a port that is free."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from demo import interrupts

HOST = "127.0.0.1"

# How long requests that still run may go on when the server stops. A guess: after an
# interruption somebody waits for it.
GRACE_SECONDS = 1


class RunningServer:
    """A server in a thread of its own, whose event loop runs there."""

    def __init__(self, application: Callable[..., Any], listener: socket.socket) -> None:
        host, port = listener.getsockname()
        self.url = f"http://{host}:{port}"
        self.address = (host, port)
        self.ended = threading.Event()
        self._listener = listener
        self._uvicorn = uvicorn.Server(
            uvicorn.Config(
                application,
                lifespan="on",
                ws="none",
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )
        # A daemon, for the one case in which stop() does not get to wait for it: Ctrl-C while
        # the thread is being started.
        self._thread = threading.Thread(target=self._run, name="server's event loop", daemon=True)

    def start(self) -> None:
        """Start the thread. A client need not wait: the listener queues connections already."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the server and wait until it has."""
        logging.getLogger("uvicorn.error").addFilter(_tells_more_than_a_stop)
        self._uvicorn.should_exit = True
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        # However the server ends, clients must see it: a listener that stays open would let
        # them wait for an answer.
        with self._listener:
            try:
                self._uvicorn.run(sockets=[self._listener])
            finally:
                self.ended.set()


def _tells_more_than_a_stop(record: logging.LogRecord) -> bool:
    """Whether a record is about more than requests that were cancelled as the server stopped."""
    cancelled = record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError)
    return not cancelled and not str(record.msg).startswith("Cancel %s running task")


def listen(port: int) -> socket.socket:
    """Return a listening socket on a port, or for 0 on one that is free.

    Raises OSError if the port is in use.
    """
    listener = socket.create_server((HOST, port))
    # Inherited by no child process, and ready for an event loop.
    listener.setblocking(False)
    return listener


@contextmanager
def running(application: Callable[..., Any], listener: socket.socket) -> Iterator[RunningServer]:
    """Serve an application while the code inside runs."""
    server = RunningServer(application, listener)
    try:
        server.start()
        yield server
    finally:
        interrupts.heed_none()
        server.stop()


class CollectedLog(logging.Handler):
    """Keeps the warnings and errors of all loggers, for the account to look at."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def errors(self) -> list[BaseException]:
        """The exceptions that were logged as errors."""
        logged = [record.exc_info[1] for record in self.records if record.exc_info]
        return [error for error in logged if error is not None]


@contextmanager
def collected_log() -> Iterator[CollectedLog]:
    """Collect what is logged, instead of printing it."""
    log = CollectedLog()
    logging.getLogger().addHandler(log)
    try:
        yield log
    finally:
        logging.getLogger().removeHandler(log)
