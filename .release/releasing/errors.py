"""What ends a command, and is printed without a traceback."""

from __future__ import annotations


class RefusalError(Exception):
    """What was asked for would be wrong; the message says why, and what to do instead."""


class CommandError(RefusalError):
    """A program that was started failed; the message has the end of its output."""
