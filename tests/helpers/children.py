"""Child interpreters for what would take the test process down with it, or hang it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from dataclasses import dataclass
from pathlib import Path

import psutil

# Far more than any child needs, and less than the limit of a test.
LIMIT_SECONDS = 20

# Children find these helpers, too. From Python 3.12 on, forking with threads is warned of; here
# that is the point.
_ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
# A shell has what it starts in the background ignore SIGINT, and so would their children.
_HEED_SIGINT = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
_WARNINGS = ["-W", "error", "-W", "ignore:This process:DeprecationWarning"]


@dataclass(frozen=True)
class Ended:
    """How a child ended, and what it printed."""

    status: int
    out: str
    err: str


def run_python(code: str, *options: str) -> Ended:
    """Run a script in a child interpreter with all warnings as errors, until it ends."""
    child = subprocess.run(
        _command(code, options),
        env=_ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    return Ended(child.returncode, child.stdout, child.stderr)


def interrupt_python_once_ready(
    code: str, *options: str, times: int = 1, is_busy: bool = False
) -> Ended:
    """Run a script, and send it SIGINT each time it prints a line that says ready.

    Not before its main thread is blocked, unless it `is_busy`.
    """
    child = subprocess.Popen(
        _command(_HEED_SIGINT + textwrap.dedent(code), options),
        env=_ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    killer = threading.Timer(LIMIT_SECONDS, child.kill)
    killer.start()
    lines = []
    try:
        assert child.stdout is not None
        for line in child.stdout:
            lines.append(line)
            if line == "ready\n" and times:
                times -= 1
                if not is_busy:
                    _wait_until_blocked(child.pid)
                child.send_signal(signal.SIGINT)
        _, err = child.communicate()
    finally:
        killer.cancel()
        child.stdout.close() if child.stdout else None
    return Ended(child.returncode, "".join(lines), err)


def _wait_until_blocked(pid: int) -> None:
    """Wait until the main thread of a process sleeps, in one sleep for two looks in a row.

    A signal that comes in the last moment before a thread waits in `select` is seen only after
    that, by any Python program. Such a moment is neither sleep nor two looks long.
    """
    process = psutil.Process(pid)
    before = None
    while (now := process.num_ctx_switches()) != before or (
        # Elsewhere a process counts as running while it sleeps.
        sys.platform == "linux" and process.status() != psutil.STATUS_SLEEPING
    ):
        before = now


def _command(code: str, options: tuple[str, ...]) -> list[str]:
    return [sys.executable, *_WARNINGS, "-u", *options, "-c", textwrap.dedent(code)]
