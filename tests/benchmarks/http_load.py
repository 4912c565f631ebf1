"""HTTP/1.1 clients for rows over real sockets: many connections at once, or one large transfer.

The many are those of wrk (https://github.com/wg/wrk), which costs so little for each request that
what is measured is the server. Each connection sends its next request when it has the answer to the
last.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

TIMEOUT = 60
BLOCK = 256 * 1024
REPORT = Path(__file__).with_name("wrk_report.lua")


@dataclass(frozen=True)
class Load:
    """What a server took.

    Attributes:
        seconds: For one request, on average: all the time by all requests.
        percentile_99: The seconds that all but 1 % of the requests did not take.
    """

    seconds: float
    percentile_99: float


def has_wrk() -> bool:
    """Whether there is a wrk to drive a server with."""
    return shutil.which("wrk") is not None


def drive(port: int, connections: int, seconds: int) -> Load:
    """Send requests for `/` for so long, over so many connections that are kept alive."""
    command = (
        "wrk",
        "--threads=1",
        f"--connections={connections}",
        f"--duration={seconds}s",
        f"--timeout={TIMEOUT}s",
        f"--script={REPORT}",
        f"http://127.0.0.1:{port}/",
    )
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return parsed_report(done.stdout.splitlines()[-1])


def parsed_report(line: str) -> Load:
    """Return what one line of `wrk_report.lua` says; raises ValueError if a request has failed."""
    report = json.loads(line)
    if report["errors"] or not report["requests"]:
        raise ValueError(f"requests have failed: {line}")
    seconds = report["microseconds"] / 1e6 / report["requests"]
    return Load(seconds, report["percentile_99"] / 1e6)


def request_often(port: int, target: str, answer: bytes, requests: int, connections: int) -> None:
    """Send just so many requests, over connections that are kept alive; each has that answer."""

    def request_over_one(number: int) -> None:
        with contextlib.closing(_connection(port)) as connection:
            for _ in range(number):
                connection.request("GET", target)
                if (body := connection.getresponse().read()) != answer:
                    raise ValueError(f"the server has answered {body!r}")

    each, rest = divmod(requests, connections)
    with ThreadPoolExecutor(connections) as executor:
        # Taken, or what went wrong would not be raised.
        list(executor.map(request_over_one, [each + (n < rest) for n in range(connections)]))


def fetch(port: int) -> bytes:
    """Return what is answered to a request for `/`."""
    with _answer(port, "GET", "/") as answer:
        return answer.read()


def upload(port: int, chunk: bytes, chunks: int) -> bytes:
    """Send a body of known length, and return the body of the answer."""
    length = {"Content-Length": str(len(chunk) * chunks)}
    with _answer(port, "POST", "/upload", (chunk for _ in range(chunks)), length) as answer:
        return answer.read()


def download(port: int, chunks: int) -> int:
    """Ask for so many chunks, and return how many bytes have come."""
    received = 0
    with _answer(port, "GET", f"/download?{chunks}") as answer:
        while block := answer.read1(BLOCK):
            received += len(block)
    return received


@contextlib.contextmanager
def _answer(
    port: int,
    method: str,
    target: str,
    body: Iterable[bytes] | None = None,
    headers: dict[str, str] | None = None,
) -> Iterator[http.client.HTTPResponse]:
    with contextlib.closing(_connection(port)) as connection:
        connection.request(method, target, body, headers or {})
        answer = connection.getresponse()
        if answer.status != http.HTTPStatus.OK:
            raise ValueError(f"the server has answered with {answer.status}")
        yield answer


def _connection(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, TIMEOUT)
