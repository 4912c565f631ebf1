"""Web servers as child processes, for rows over real sockets.

    python -m tests.benchmarks.web_servers NAME DESCRIPTOR

serves a WSGI application on a listening socket that it inherits. All have one process; uvicorn
runs with httptools and asyncio's own event loop. Not for Windows, where sockets are not inherited
so, and gunicorn does not run.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.rows import OURS

ROOT = Path(__file__).parents[2]
ASGIREF = "asgiref"
A2WSGI = "a2wsgi"
GUNICORN = "gunicorn"

HELLO = b"Hello"
CHUNK = bytes(64 * 1024)
# Of gunicorn, as many as a2wsgi has by default.
THREADS = 10
SECONDS_TO_END = 20


@dataclass(frozen=True)
class Server:
    """A server that runs: its process, and where it listens."""

    process: subprocess.Popen[bytes]
    port: int

    def stop(self) -> None:
        """Tell it to end, as the end of this process would, too."""
        assert self.process.stdin is not None
        self.process.stdin.close()


@contextlib.contextmanager
def running(names: Iterable[str]) -> Iterator[dict[str, Server]]:
    """Run servers, each in a child process; all have ended afterwards."""
    with contextlib.ExitStack() as stack:
        servers = {name: stack.enter_context(_running(name)) for name in names}
        try:
            yield servers
        finally:
            for server in servers.values():
                server.stop()  # all at once, before the first is waited for


@contextlib.contextmanager
def _running(name: str) -> Iterator[Server]:
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        command = (sys.executable, "-m", "tests.benchmarks.web_servers", name)
        process = subprocess.Popen(
            (*command, str(listener.fileno())),
            cwd=ROOT,
            pass_fds=[listener.fileno()],
            stdin=subprocess.PIPE,
        )
        server = Server(process, listener.getsockname()[1])
    with process:
        try:
            yield server
            server.stop()
            process.wait(SECONDS_TO_END)
        finally:
            process.kill()


# In the child process


def application(environ: Any, start_response: Any) -> Iterable[bytes]:
    """Say hello, count the bytes of an upload, or send as many chunks as the query says."""
    if environ["PATH_INFO"] == "/upload":
        return _upload(environ, start_response)
    if environ["PATH_INFO"] == "/download":
        start_response("200 OK", [("Content-Type", "application/octet-stream")])
        return (CHUNK for _ in range(int(environ["QUERY_STRING"])))
    length = str(len(HELLO))
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", length)])
    return [HELLO]


def _upload(environ: Any, start_response: Any) -> Iterable[bytes]:
    body = environ["wsgi.input"]
    received = 0
    while block := body.read(len(CHUNK)):
        received += len(block)
    answer = str(received).encode()
    start_response("200 OK", [("Content-Length", str(len(answer)))])
    return [answer]


def _serve_with_uvicorn(adapted: Any, listener: socket.socket) -> None:
    import uvicorn

    config = uvicorn.Config(
        adapted,
        http="httptools",
        loop="asyncio",
        access_log=False,
        log_level="warning",
        # Or asgiref's adapter fails at the second request of a connection: uvicorn serves it in
        # the context in which the first one has been answered, that of a call that is over.
        reset_contextvars=True,
    )
    uvicorn.Server(config).run(sockets=[listener])


def _ours(listener: socket.socket) -> None:
    from asgi_wsgi import WsgiToAsgi

    _serve_with_uvicorn(WsgiToAsgi(application), listener)


def _asgiref(listener: socket.socket) -> None:
    from asgiref.wsgi import WsgiToAsgi

    _serve_with_uvicorn(WsgiToAsgi(application), listener)


def _a2wsgi(listener: socket.socket) -> None:
    from a2wsgi import WSGIMiddleware

    _serve_with_uvicorn(WSGIMiddleware(application), listener)


def _gunicorn(listener: socket.socket) -> None:
    from gunicorn.app.wsgiapp import run

    sys.argv = [
        "gunicorn",
        f"--bind=fd://{listener.fileno()}",
        "--worker-class=gthread",
        f"--threads={THREADS}",
        "--keep-alive=60",
        "--log-level=warning",
        "tests.benchmarks.web_servers:application",
    ]
    run()


SERVERS: dict[str, Callable[[socket.socket], None]] = {
    OURS: _ours,
    ASGIREF: _asgiref,
    A2WSGI: _a2wsgi,
    GUNICORN: _gunicorn,
}


def _end_with_parent() -> None:
    # Not `sys.stdin`, whose lock would be held while the interpreter ends.
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    SERVERS[sys.argv[1]](socket.socket(fileno=int(sys.argv[2])))
