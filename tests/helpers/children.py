"""Child interpreters for what would take the test process down with it, or hang it."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import threading
from dataclasses import dataclass

# Far more than any child needs, and less than the limit of a test.
LIMIT_SECONDS = 20


@dataclass(frozen=True)
class Ended:
    """How a child ended, and what it printed."""

    status: int
    out: str
    err: str


def run_python(code: str, *options: str) -> Ended:
    """Run a script in a child interpreter with all warnings as errors, until it ends."""
    child = subprocess.run(
        _command(code, options), capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False
    )
    return Ended(child.returncode, child.stdout, child.stderr)


def interrupt_python_once_ready(code: str, *options: str, times: int = 1) -> Ended:
    """Run a script, and send it SIGINT each time it prints a line that says ready."""
    child = subprocess.Popen(
        _command(code, options), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
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
                child.send_signal(signal.SIGINT)
        _, err = child.communicate()
    finally:
        killer.cancel()
        child.stdout.close() if child.stdout else None
    return Ended(child.returncode, "".join(lines), err)


def _command(code: str, options: tuple[str, ...]) -> list[str]:
    return [sys.executable, "-W", "error", "-u", *options, "-c", textwrap.dedent(code)]
