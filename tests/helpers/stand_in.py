"""Child interpreters in which these packages stand in for asgiref, or do not."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path

from helpers.children import LIMIT_SECONDS, Ended

PACKAGES = ("asgi_local", "asgi_meta", "asgi_server", "asgi_sync", "asgi_wsgi")


def copy_each_alone(folder: Path) -> dict[str, Path]:
    """Copy our packages, each into a folder of its own, by the packages' names.

    Where they are installed from wheels, they share a folder with asgiref.
    """
    for name in PACKAGES:
        (package,) = importlib.import_module(name).__path__
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(package, folder / name / name, ignore=ignored)
    return {name: folder / name for name in PACKAGES}


def add_to_path(folders: Iterable[Path]) -> str:
    """Code for the start of a script that is run with `-S`.

    Nothing is found then but these and the standard library: no asgiref either.
    """
    return f"import sys; sys.path += {[str(folder) for folder in folders]}\n"


def python(*arguments: str | Path, cwd: Path | None = None, **environment: str) -> Ended:
    """Run an interpreter with these arguments, all warnings as errors, until it ends.

    It inherits no PYTHONPATH.
    """
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    child = subprocess.run(
        [sys.executable, "-W", "error", *map(str, arguments)],
        cwd=cwd,
        env=inherited | environment,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    return Ended(child.returncode, child.stdout, child.stderr)


def passes(code: str, *options: str, cwd: Path | None = None, **environment: str) -> None:
    """Run code whose assertions must hold."""
    ended = python(*options, "-c", textwrap.dedent(code), cwd=cwd, **environment)
    assert (ended.status, ended.err) == (0, ""), ended.err


def passes_without_asgiref(only_ours: str, code: str) -> None:
    """Run code where asgiref is not installed; `only_ours` is the fixture of that name."""
    passes(only_ours + textwrap.dedent(code), "-S")
