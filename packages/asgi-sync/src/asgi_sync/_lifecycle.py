"""Fork and interpreter exit: the one list of what is reset or stopped.

A forked child has one thread, the one that called `os.fork()`. Whatever belongs to the
parent's other threads (workers, their queues, locks they may hold, event loops they
drive) is dead weight there. So every record of a bridge call carries the `Process` it
was made in, and is ignored in any other; what lives for as long as the process does is
listed with `on_fork` and made anew.

See `os.register_at_fork` and `atexit` in the standard library.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable


class Process:
    """The identity of one process; a process id may be reused, this object is not."""

    __slots__ = ()


_current = Process()
_resets: list[Callable[[], None]] = []


def current_process() -> Process:
    """The identity of the process that calls; a forked child has its own."""
    return _current


def on_fork(reset: Callable[[], None]) -> None:
    """Call `reset` in every forked child, before `os.fork()` returns there.

    It runs in the only thread of the child and must take no lock that another thread
    of the parent may have held.
    """
    _resets.append(reset)


def on_exit(stop: Callable[[], None]) -> None:
    """Call `stop` at interpreter exit, after the non-daemon threads have ended."""
    atexit.register(stop)


def _after_fork_in_child() -> None:
    global _current
    _current = Process()
    for reset in _resets:
        reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
