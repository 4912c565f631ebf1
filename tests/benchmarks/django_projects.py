"""Rows of Django on asgiref and on these packages, which cannot be in one process: in process, in a
child for each of the two, and the project of the examples, served by uvicorn.
"""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.benchmarks.django_hello import HELLO, KINDS, USUAL
from tests.benchmarks.http_load import Load, drive, fetch, has_wrk, request_often
from tests.benchmarks.rows import (
    MILLISECONDS,
    OURS,
    REQUESTS_PER_SECOND,
    Bar,
    Row,
    Sampler,
    Samplers,
    Sizes,
    Unit,
)

GROUP = "django"
ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "packages" / "asgi-meta" / "examples" / "django_project"

ASGIREF = "asgiref"
RUN: dict[str, tuple[str, ...]] = {OURS: ("-m", "asgi_meta", "run"), ASGIREF: ()}
BRIDGES = {OURS: "asgi_sync._sync_to_async", ASGIREF: "asgiref.sync"}

AT_ONCE = 16
ACCOUNTS = b'{"ann": 100000, "bob": 100000}'
SECONDS_TO_END = 20
SECONDS_TO_START = 30


def rows(sizes: Sizes) -> list[Row]:
    """All rows of this group."""
    found = [_row_of_hello(kind, sizes) for kind in KINDS]
    for number in sizes.connections if has_wrk() else ():
        found += _rows_of_requests(number, sizes)
    return [*found, *_rows_of_what_stays(sizes.all_calls)]


def _row_of_hello(kind: str, sizes: Sizes) -> Row:
    bar = Bar(ASGIREF) if kind == USUAL else Bar(ASGIREF, 0.6)
    return Row(
        f"Django hello, {kind}",
        GROUP,
        lambda: _timed(kind),
        (bar,),
        share=0.4,
        # A process that has not run for a while is slow at first, asgiref's more than ours: not
        # the few requests that there is time for in a repeat of the usual length.
        number=sizes.requests_in_process,
    )


def _rows_of_requests(connections: int, sizes: Sizes) -> list[Row]:
    name = f"Django project, {connections} connection{'s' if connections > 1 else ''}"

    def row(what: str, unit: Unit, cost: Callable[[Load], float]) -> Row:
        return Row(
            f"{name}{what}",
            GROUP,
            lambda: _driven(connections, sizes.load_seconds, cost),
            (Bar(ASGIREF),),
            unit,
            share=0.1,
            number=1,
        )

    return [
        row("", REQUESTS_PER_SECOND, lambda load: load.seconds),
        row(", p99", MILLISECONDS, lambda load: load.percentile_99),
    ]


def _rows_of_what_stays(requests: int) -> list[Row]:
    def row(what: str, unit: Unit, *bars: Bar) -> Row:
        names = [OURS, *(bar.peer for bar in bars if bar.peer)]
        return Row(
            f"Django project, {what} after {requests:,} requests",
            GROUP,
            lambda: _left(what, requests, names),
            bars,
            unit,
            share=0,
            number=1,
        )

    return [
        # A connection has at most one request that runs, and one that is closing its response.
        row("threads", Unit("threads", 1), Bar(None, 1 + 2 * AT_ONCE), Bar(ASGIREF)),
        row("open files", Unit("files", 1), Bar(ASGIREF)),
        row("open databases", Unit("files", 1), Bar(None, 0)),
    ]


# In process: a child for each library, told by turns to make requests


@contextlib.contextmanager
def _timed(kind: str) -> Iterator[Samplers]:
    with contextlib.ExitStack() as stack:
        # All started before the first is waited for.
        children = {name: stack.enter_context(_child(name, kind)) for name in (OURS, ASGIREF)}
        yield {name: _asking(name, process) for name, process in children.items()}


@contextlib.contextmanager
def _child(name: str, kind: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, *RUN[name], "-m", "tests.benchmarks.django_hello", kind]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        yield process


def _asking(name: str, process: subprocess.Popen[str]) -> Sampler:
    assert process.stdin is not None
    assert process.stdout is not None
    questions, answers = process.stdin, process.stdout
    bridge = answers.readline().strip()
    if bridge != BRIDGES[name]:
        raise ValueError(f"the bridge of {name} comes from {bridge!r}")

    def sample(number: int) -> float:
        questions.write(f"{number}\n")
        return float(answers.readline())

    return sample


# Over sockets: the project, with a database of its own


@dataclass(frozen=True)
class _Server:
    process: psutil.Process
    port: int
    database: Path


@contextlib.contextmanager
def _driven(connections: int, seconds: int, cost: Callable[[Load], float]) -> Iterator[Samplers]:
    def sampler(server: _Server) -> Sampler:
        if (answer := fetch(server.port)) != HELLO:
            raise ValueError(f"the server has answered {answer!r}")
        return lambda number: number * cost(drive(server.port, connections, seconds))

    with contextlib.ExitStack() as stack:
        yield {name: sampler(stack.enter_context(_server(name))) for name in (OURS, ASGIREF)}


@contextlib.contextmanager
def _left(what: str, requests: int, names: list[str]) -> Iterator[Samplers]:
    def sampler(name: str) -> Sampler:
        left = _left_after(requests, name)[what]
        return lambda number: left * number

    yield {name: sampler(name) for name in names}


@functools.cache
def _left_after(requests: int, name: str) -> dict[str, int]:
    """What a server holds after so many requests that use the database.

    Once in a run: what stays does not depend on what else the machine does.
    """
    with _server(name) as server:
        request_often(server.port, "/accounts", ACCOUNTS, requests, AT_ONCE)
        end = time.monotonic() + SECONDS_TO_END
        # The client has its answer before the server has closed what it was made with.
        while (databases := _open_databases(server)) and time.monotonic() < end:
            time.sleep(0.01)
        return {
            "threads": server.process.num_threads(),
            "open files": server.process.num_fds(),
            "open databases": databases,
        }


def _open_databases(server: _Server) -> int:
    return sum(file.path == str(server.database) for file in server.process.open_files())


@contextlib.contextmanager
def _server(name: str) -> Iterator[_Server]:
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder).resolve() / "bank.sqlite3"
        database.write_bytes(_new_database())
        port = _free_port()
        serve = (
            # Not `--fd`: uvicorn takes such a socket for a Unix one, and so does not tell it to
            # send at once. Then each answer waits for the client's system, for 40 ms.
            *("-m", "uvicorn", "project.asgi:application", f"--port={port}", "--backlog=1024"),
            *("--http=httptools", "--loop=asyncio", "--lifespan=off"),
            *("--no-access-log", "--log-level=warning"),
        )
        process = subprocess.Popen(
            [sys.executable, *RUN[name], *serve], cwd=PROJECT, env=_environment(database)
        )
        with process:
            try:
                _wait_listening(port, process)
                yield _Server(psutil.Process(process.pid), port, database)
                process.terminate()
                process.wait(SECONDS_TO_END)
            finally:
                process.kill()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def _wait_listening(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + SECONDS_TO_START
    while process.poll() is None and time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.01)
        else:
            return
    raise RuntimeError(f"the server does not listen on port {port}; its status is {process.poll()}")


@functools.cache
def _new_database() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "bank.sqlite3"
        migrate = [sys.executable, "manage.py", "migrate", "--verbosity=0"]
        subprocess.run(migrate, cwd=PROJECT, env=_environment(database), check=True)
        return database.read_bytes()


def _environment(database: Path) -> dict[str, str]:
    return {**os.environ, "BANK_DATABASE": str(database)}
