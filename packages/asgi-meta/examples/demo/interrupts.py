"""Ctrl-C, heeded once: what the first one stops takes a moment to clean up after itself.

A second one would raise KeyboardInterrupt wherever the main thread is: in the middle of that.
"""

from __future__ import annotations

import signal
from types import FrameType


def heed_only_first() -> None:
    """Let the first Ctrl-C from now on do what it would do at present, and others nothing."""
    heed = signal.getsignal(signal.SIGINT)

    def heed_once(signum: int, frame: FrameType | None) -> None:
        heed_none()
        if callable(heed):  # it is not where the program was started with Ctrl-C ignored
            heed(signum, frame)

    signal.signal(signal.SIGINT, heed_once)


def heed_none() -> None:
    """Ignore Ctrl-C from now on."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
