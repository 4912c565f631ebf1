from __future__ import annotations

import subprocess
import sys

import pytest

import asgi_sync


def imported_by(statement: str) -> set[str]:
    """The modules of the package that a statement imports."""
    code = f"{statement}\nimport sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names = (name.removeprefix("asgi_sync.") for name in done.stdout.split() if "asgi_sync" in name)
    return set(names) - {"asgi_sync", "__about__"}


def test_importing_the_package_imports_nothing_of_it() -> None:
    assert imported_by("import asgi_sync") == set()


def test_a_name_that_is_used_is_imported_with_what_it_needs() -> None:
    assert imported_by("import asgi_sync; asgi_sync.Lineage") == {"_lineage"}
    assert imported_by("from asgi_sync import iscoroutinefunction") == {"_callables"}


def test_sync_to_async_does_without_what_runs_event_loops() -> None:
    imported = imported_by("from asgi_sync import sync_to_async")
    assert imported.isdisjoint({"_async_to_sync", "_driving", "_loop_pool", "_own_loop"})


def test_a_name_is_looked_up_once() -> None:
    assert asgi_sync.sync_to_async is vars(asgi_sync)["sync_to_async"]


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'asgi_sync' has no attribute 'missing'"):
        _ = asgi_sync.missing  # type: ignore[attr-defined]


def test_everything_is_listed() -> None:
    assert set(asgi_sync.__all__) <= set(dir(asgi_sync))
