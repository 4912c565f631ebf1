"""Programs that are run until they end."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from releasing.errors import CommandError

T = TypeVar("T")

# Enough for the summary of a test run; the rest is on the screen if it was shown.
_LINES_OF_OUTPUT = 60


def isolated_environment() -> dict[str, str]:
    """The environment without settings of the caller's interpreter, pip or uv.

    What is built and installed for publication must not depend on them.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "PYTHON", "UV_"))}
    # Nor on a virtual environment that is active, such as hatch's own.
    kept.pop("VIRTUAL_ENV", None)
    return kept | {"PIP_CONFIG_FILE": os.devnull, "UV_NO_CONFIG": "1"}


def run(
    *command: str | Path, cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> str:
    """Run a program and return what it printed.

    Raises:
        CommandError: It failed.
    """
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode:
        raise _error(command, done.returncode, done.stdout + done.stderr)
    return done.stdout


def at_once(*calls: Callable[[], T]) -> list[T]:
    """Make calls that wait for programs at the same time, and return what they return.

    If several fail, the error is that of the first of them.
    """
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


def run_shown(
    command: Sequence[str | Path], cwd: Path, environment: Mapping[str, str] | None = None
) -> None:
    """Run a program that takes long, its output on the screen.

    Raises:
        CommandError: It failed.
    """
    done = subprocess.run(command, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise _error(command, done.returncode, "")


def _error(command: Sequence[str | Path], status: int, output: str) -> CommandError:
    written = shlex.join(map(str, command))
    end = "\n".join(output.strip().splitlines()[-_LINES_OF_OUTPUT:])
    return CommandError(
        f"`{written}` failed with exit code {status}" + (f":\n{end}" if end else "")
    )
