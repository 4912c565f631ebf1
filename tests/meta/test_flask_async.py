"""Flask's async views, handlers and hooks on these packages."""

from __future__ import annotations

import json
from typing import Any

import pytest
from helpers.children import run_python


@pytest.fixture(scope="module")
def found() -> Any:
    """What the application found, in a process in which asgiref is these packages."""
    code = "from helpers import flask_async_site; flask_async_site.main()"
    ended = run_python(code, "-m", "asgi_meta", "run")
    assert (ended.status, ended.err) == (0, "")
    return json.loads(ended.out)


def test_flask_uses_ours(found: Any) -> None:
    assert found["bridge"] == "asgi_sync._async_to_sync"


def test_an_async_view_waits_for_several_things_at_once(found: Any) -> None:
    assert found["gather"]["words"] == ["one", "two"]


def test_what_an_async_hook_sets_is_there_in_an_async_view(found: Any) -> None:
    assert found["gather"]["before"] == "before"
    assert found["gather"]["variable"] == "set before"
    assert found["after"] == "after"


def test_an_async_handler_handles_what_an_async_view_raises(found: Any) -> None:
    assert found["breaks"] == [404, "handled it"]


def test_sync_code_below_an_async_view_runs_in_the_thread_of_the_request(found: Any) -> None:
    assert found["threads"] == {"same": True, "path": "/threads"}


def test_so_it_does_behind_the_wsgi_adapter(found: Any) -> None:
    assert found["over_asgi"] == [{"same": True, "path": "/threads"}] * 10
