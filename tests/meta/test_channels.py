"""Channels on these packages: consumers with a database and the in-memory layer, and the worker."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.children import interrupt_python_once_ready, run_python

ON_OURS = ("-m", "asgi_meta", "run")
OURS = {"bridge": "asgi_sync._sync_to_async", "server": "asgi_server._stateless"}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the child makes its database."""
    monkeypatch.chdir(tmp_path)


def lines(printed: str) -> list[Any]:
    return [json.loads(line) for line in printed.splitlines() if line.startswith("{")]


def test_consumers_that_use_the_database_hear_each_other() -> None:
    ended = run_python(
        """
        import asyncio
        from helpers import channels_site
        channels_site.prepare()
        asyncio.run(channels_site.talk())
        """,
        *ON_OURS,
    )
    assert (ended.status, ended.err) == (0, "")
    first = [{"what": "word 0", "number": 1}] * 2
    second = [{"what": "word 1", "number": 2}] * 2
    assert lines(ended.out) == [
        OURS,
        {"heard": first},
        {"heard": second},
        {"stored": ["word 0", "word 1"], "threads": 1, "on_the_loop": False},
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="no Ctrl-C for one process")
def test_the_worker_serves_both_kinds_of_consumers_until_ctrl_c() -> None:
    ended = interrupt_python_once_ready(
        """
        from helpers import channels_site
        channels_site.prepare()
        channels_site.work()
        """,
        *ON_OURS,
    )
    assert (ended.status, ended.err) == (0, "")
    assert lines(ended.out) == [OURS, {"sum": 55}, {"ended": "in good order", "threads": 1}]
