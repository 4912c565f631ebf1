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
import threading
from collections.abc import Callable


class Process:
    """The identity of one process; a process id may be reused, this object is not."""

    __slots__ = ()


class _This:
    """What there is one of in a process."""

    def __init__(self) -> None:
        # A forked child has its own.
        self.process = Process()
        self.main_thread = threading.main_thread().ident


# Read at every call, so without another one: its attributes are set anew in a forked child.
this = _This()
_resets: list[Callable[[], None]] = []


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
    this.__init__()  # type: ignore[misc]
    for reset in _resets:
        reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
