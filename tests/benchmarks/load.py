"""What the machine has to do besides, and how much of it the rows may use."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

# Ends when its standard input does: also where this process is killed, and cannot end it.
BUSY = """
import os, signal, sys, threading

def exit_with_parent():
    sys.stdin.buffer.read()
    os._exit(0)

signal.signal(signal.SIGINT, signal.SIG_IGN)
threading.Thread(target=exit_with_parent, daemon=True).start()
print("busy", flush=True)
while True:
    pass
"""


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def busy_cores(count: int) -> Iterator[list[int]]:
    """Keep `count` processes busy, and yield their ids; all have ended afterwards."""
    with contextlib.ExitStack() as stack:
        processes = []
        for _ in range(count):
            process = subprocess.Popen(
                (sys.executable, "-I", "-c", BUSY), stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            stack.enter_context(process)  # waits for the end
            stack.callback(process.kill)
            processes.append(process)
        for process in processes:
            assert process.stdout is not None
            process.stdout.readline()
        yield [process.pid for process in processes]


@contextlib.contextmanager
def one_core() -> Iterator[None]:
    """Keep this process, with the threads and processes that it starts, on one core.

    To wake a thread on another core takes several times as long as to go on with one on the
    same core. Which of the two it is changes with what else runs, from one repeat to the next:
    this leaves it out, and with it most of the noise of rows that use threads.
    """
    if not hasattr(os, "sched_setaffinity"):
        raise SystemExit("--load one-core: this system cannot keep a process on one core")
    usual = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(usual)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, usual)


@contextlib.contextmanager
def under(load: str) -> Iterator[None]:
    """Measure under a load: "idle", "busy" or "one-core"."""
    if load == "busy":
        with busy_cores(cores()):
            yield
    elif load == "one-core":
        with one_core():
            yield
    else:
        yield
