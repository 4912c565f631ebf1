"""WhiteNoise under every server: whole files, ranges, conditional requests."""

from __future__ import annotations

import os
from pathlib import Path
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
import whitenoise
from helpers.served import Served

CONTENT = bytes(range(256)) * 2_000
MODIFIED = 1_700_000_000
MODIFIED_TEXT = "Tue, 14 Nov 2023 22:13:20 GMT"


def not_found(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    start_response("404 Not Found", [("Content-Type", "text/plain")])
    return [b"no such file"]


@pytest.fixture(params=[True, False], ids=["validated", "as it is"])
def site(served: Served, tmp_path: Path, request: pytest.FixtureRequest) -> Served:
    """Files, once inside of wsgiref's validator, and once with `wsgi.file_wrapper` untouched."""
    (tmp_path / "empty.txt").touch()
    file = tmp_path / "photo.bin"
    file.write_bytes(CONTENT)
    os.utime(file, (MODIFIED, MODIFIED))
    application = whitenoise.WhiteNoise(not_found, root=tmp_path, prefix="static/")
    served.serve(application, validated=request.param)
    return served


def test_whole_file(site: Served) -> None:
    answer = site.client.get("/static/photo.bin")
    assert answer.content == CONTENT
    assert answer.headers["content-length"] == str(len(CONTENT))
    assert answer.headers["last-modified"] == MODIFIED_TEXT


def test_empty_file(site: Served) -> None:
    answer = site.client.get("/static/empty.txt")
    assert (answer.status_code, answer.content) == (200, b"")


def test_head_of_a_file(site: Served) -> None:
    answer = site.client.head("/static/photo.bin")
    assert (answer.headers["content-length"], answer.content) == (str(len(CONTENT)), b"")


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("bytes=0-9", CONTENT[:10]),
        ("bytes=100000-300000", CONTENT[100_000:300_001]),
        ("bytes=-5", CONTENT[-5:]),
        ("bytes=511000-", CONTENT[511_000:]),
    ],
)
def test_range_of_a_file(site: Served, wanted: str, found: bytes) -> None:
    answer = site.client.get("/static/photo.bin", headers={"Range": wanted})
    assert (answer.status_code, answer.content) == (206, found)
    assert answer.headers["content-range"].endswith(f"/{len(CONTENT)}")


@pytest.mark.parametrize("site", [False], indirect=True, ids=["as it is"])
def test_range_behind_the_end_is_refused(site: Served) -> None:
    """Not inside of the validator, which wants a Content-Type that WhiteNoise does not send."""
    answer = site.client.get("/static/photo.bin", headers={"Range": "bytes=9999999-"})
    assert (answer.status_code, answer.content) == (416, b"")


def test_file_that_the_client_has_is_not_sent(site: Served) -> None:
    headers = {"If-Modified-Since": MODIFIED_TEXT}
    answer = site.client.get("/static/photo.bin", headers=headers)
    assert (answer.status_code, answer.content) == (304, b"")


def test_file_that_has_changed_is_sent(site: Served) -> None:
    headers = {"If-Modified-Since": "Mon, 13 Nov 2023 22:13:20 GMT"}
    answer = site.client.get("/static/photo.bin", headers=headers)
    assert (answer.status_code, answer.content) == (200, CONTENT)


def test_what_is_no_file_goes_to_the_application(site: Served) -> None:
    answer = site.client.get("/other")
    assert (answer.status_code, answer.content) == (404, b"no such file")
