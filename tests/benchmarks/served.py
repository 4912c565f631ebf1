"""Rows over real sockets: uvicorn with WSGI adapters, and gunicorn, which needs none."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.benchmarks.http_load import Load, download, drive, fetch, has_wrk, upload
from tests.benchmarks.rows import (
    MEBIBYTES,
    MILLISECONDS,
    OURS,
    REQUESTS_PER_SECOND,
    Bar,
    Row,
    Sampler,
    Samplers,
    Sizes,
)
from tests.benchmarks.web_servers import A2WSGI, ASGIREF, CHUNK, GUNICORN, HELLO, Server, running

GROUP = "served"
PEERS = (ASGIREF, A2WSGI, GUNICORN)
# Of the same kind as what is measured, so that what is kept for all requests is no peak.
FIRST_CHUNKS = 64
# Less than one page cannot be seen.
PAGE = 4096

Transfer = Callable[[int, int], None]


def rows(sizes: Sizes) -> list[Row]:
    """All rows of this group."""
    if sys.platform == "win32":
        return []
    connections = sizes.connections if has_wrk() else ()
    found = [row for number in connections for row in _rows_of_hello(number, sizes)]
    if _can_see_peaks():
        found.append(_row_of_memory("upload", _upload, sizes.transfer_chunks))
        found.append(_row_of_memory("response", _download, sizes.transfer_chunks))
    return found


def left_out() -> str | None:
    """Say which rows are not there, and why; None if all are."""
    if sys.platform == "win32":
        return "all rows of `served`: not for Windows"
    if not has_wrk():
        return "rows of requests per second and of p99: wrk is not installed (apt-get install wrk)"
    return None


def _rows_of_hello(connections: int, sizes: Sizes) -> list[Row]:
    name = f"served hello, {connections} connection{'s' if connections > 1 else ''}"
    bars = tuple(Bar(peer) for peer in PEERS)
    return [
        Row(
            name,
            GROUP,
            lambda: _driven(connections, sizes.load_seconds, lambda load: load.seconds),
            bars,
            REQUESTS_PER_SECOND,
            share=0.06,
            number=1,
        ),
        Row(
            f"{name}, p99",
            GROUP,
            lambda: _driven(connections, sizes.load_seconds, lambda load: load.percentile_99),
            bars,
            MILLISECONDS,
            share=0.06,
            number=1,
        ),
    ]


def _row_of_memory(what: str, transfer: Transfer, chunks: int) -> Row:
    return Row(
        f"served {what} of {chunks * len(CHUNK) // 2**20} MiB, peak memory",
        GROUP,
        lambda: _peaks(transfer, chunks),
        (Bar(None, 4.0), Bar(ASGIREF), Bar(A2WSGI)),
        MEBIBYTES,
        share=0.05,
        number=1,
    )


# The variants of each row


@contextlib.contextmanager
def _driven(connections: int, seconds: int, cost: Callable[[Load], float]) -> Iterator[Samplers]:
    def sampler(port: int) -> Sampler:
        if (answer := fetch(port)) != HELLO:
            raise ValueError(f"the server has answered {answer!r}")
        return lambda number: number * cost(drive(port, connections, seconds))

    with running([OURS, *PEERS]) as servers:
        yield {name: sampler(server.port) for name, server in servers.items()}


@contextlib.contextmanager
def _peaks(transfer: Transfer, chunks: int) -> Iterator[Samplers]:
    def sampler(server: Server) -> Sampler:
        process = server.process.pid

        def sample(number: int) -> float:
            transfer(server.port, FIRST_CHUNKS)
            idle = _start_peak(process)
            for _ in range(number):
                transfer(server.port, chunks)
            return max(PAGE, _memory(process, "VmHWM") - idle) * number

        return sample

    with running([OURS, ASGIREF, A2WSGI]) as servers:
        yield {name: sampler(server) for name, server in servers.items()}


def _upload(port: int, chunks: int) -> None:
    received = int(upload(port, CHUNK, chunks))
    if received != chunks * len(CHUNK):
        raise ValueError(f"the application has received {received} bytes")


def _download(port: int, chunks: int) -> None:
    received = download(port, chunks)
    if received != chunks * len(CHUNK):
        raise ValueError(f"{received} bytes have come")


# The memory of a process, as Linux shows it


def _can_see_peaks() -> bool:
    return Path("/proc/self/clear_refs").exists()


def _start_peak(process: int) -> int:
    """Forget the peak of a process, and return what it has now, in bytes."""
    Path(f"/proc/{process}/clear_refs").write_text("5")  # see proc(5)
    return _memory(process, "VmRSS")


def _memory(process: int, name: str) -> int:
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0]) * 1024
    raise ValueError(f"the status of a process has no {name}")
