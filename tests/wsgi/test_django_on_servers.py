"""A Django site under WSGI, behind the adapter and a server; see `helpers/django_site.py`."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from helpers.asgi_servers import HYPERCORN_HTTP2, UVICORN_HTTPTOOLS, ServerKind
from helpers.server_threads import PATIENCE

TESTS = Path(__file__).parents[1]


class Site:
    """The site, its client, and the requests that have finished."""

    def __init__(self, kind: ServerKind, process: subprocess.Popen[str]) -> None:
        self._process = process
        url = self._next_line()
        self.client = httpx.Client(
            base_url=url, timeout=PATIENCE, http1=not kind.is_http2, http2=kind.is_http2
        )

    def assert_finished(self, *paths: str) -> None:
        """Wait for Django's `request_finished`, which must be those of these requests."""
        finished = [self._next_line() for _ in paths]
        assert sorted(finished) == sorted(f"finished {path}" for path in paths)

    def _next_line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().rstrip("\n")


@pytest.fixture(scope="module", params=[UVICORN_HTTPTOOLS, HYPERCORN_HTTP2], ids=str)
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    kind: ServerKind = request.param
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "helpers.django_site", kind.name],
        cwd=TESTS,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        # A site that is silent would block the test that reads what it prints.
        killer = threading.Timer(2 * PATIENCE, process.kill)
        killer.start()
        try:
            site = Site(kind, process)
            with site.client:
                yield site
            process.communicate(timeout=PATIENCE)
        finally:
            killer.cancel()
            process.kill()
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("size", "kind"), [(1_000, "InMemoryUploadedFile"), (1_000_000, "TemporaryUploadedFile")]
)
def test_file_upload_within_and_beyond_the_memory_limit(site: Site, size: int, kind: str) -> None:
    content = bytes(range(250)) * (size // 250)
    answer = site.client.post("/upload", data={"title": "Spring"}, files={"file": content})
    digest = hashlib.sha256(content).hexdigest()
    assert answer.json() == {"title": "Spring", "kind": kind, "size": size, "digest": digest}
    site.assert_finished("/upload")


def test_raw_body(site: Site) -> None:
    content = bytes(range(250)) * 4_000
    answer = site.client.post("/body", content=content)
    assert answer.text == hashlib.sha256(content).hexdigest()
    site.assert_finished("/body")


def test_streaming_response_arrives_as_it_is_made(site: Site) -> None:
    with site.client.stream("GET", "/stream") as answer:
        lines = answer.iter_lines()
        assert next(lines) == "first"
        assert site.client.get("/go_on").text == "gone on"
        assert list(lines) == ["second"]
    site.assert_finished("/go_on", "/stream")


def test_request_finishes_where_the_client_leaves(site: Site) -> None:
    other = httpx.Client(base_url=site.client.base_url, timeout=PATIENCE)
    with other as client, client.stream("GET", "/forever") as answer:
        assert next(answer.iter_raw())
    site.assert_finished("/forever")


def test_file_response(site: Site) -> None:
    answer = site.client.get("/own_source")
    assert answer.content == (TESTS / "helpers" / "django_site.py").read_bytes()
    site.assert_finished("/own_source")


def test_error_of_a_view_is_djangos_own_page(site: Site) -> None:
    answer = site.client.get("/broken")
    assert answer.status_code == 500
    assert "Server Error" in answer.text
    site.assert_finished("/broken")
