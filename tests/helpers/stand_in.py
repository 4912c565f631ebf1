"""Child interpreters in which these packages stand in for asgiref, or do not."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from helpers.children import LIMIT_SECONDS, Ended

SOURCES = sorted(str(path) for path in Path(__file__).parents[2].glob("packages/*/src"))

# With `-S` nothing is found but this and the standard library: no asgiref either.
NO_SITE = f"import sys; sys.path += {SOURCES}\n"


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


def passes_without_asgiref(code: str) -> None:
    """Run code where asgiref is not installed."""
    passes(NO_SITE + textwrap.dedent(code), "-S")
