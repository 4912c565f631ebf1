"""Idle event loops, and the proof that one is clean before it is used again.

Making an event loop costs a selector and a pair of sockets; taking an idle one costs next
to nothing. But a call must never see anything of an earlier one, so a loop is kept only if
nothing at all refers to it that did not before: a task, a future, a timer, a callback, a
transport, a registered file descriptor or signal handler each hold a reference to their
loop, and so does whoever could still post to it. The interpreter counts these, in one
look, however many tasks the process has. Besides, every attribute of the loop must be the
object that it was, and no asynchronous generator may be left.

What there is to look at has no public interface, so this is done for asyncio's own
selector loops on interpreters that count references; any other loop, such as uvloop's, is
closed after its call.

Taking and giving back are one operation each on a deque, safe in any thread, in a signal
handler and in a finaliser.
"""

from __future__ import annotations

import asyncio
import operator
import sys
from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Collection, Sequence
from typing import Any

from asgi_sync import _lifecycle

# How many idle loops are kept. Each has three file descriptors. A guess: more are in use
# at the same time only where that many threads wait for async code of their own.
MAX_IDLE_LOOPS = 8

# Of a selector loop: what is scheduled, the asynchronous generators, which do not refer to
# their loop, and what is registered with the selector. All are kept by their loop, and have
# been there since Python 3.6; the last two are the containers inside of others, which would
# take a call of Python code to look at.
_look_inside = operator.attrgetter(
    "_ready", "_scheduled", "_asyncgens.data", "_selector._fd_to_key"
)


class PooledLoop:
    """An event loop, and what it was like when it was new."""

    __slots__ = (
        "_asyncgens",
        "_attributes",
        "_policy",
        "_ready",
        "_references",
        "_registered",
        "_scheduled",
        "loop",
    )

    def __init__(self) -> None:
        self._policy = _policy_in_force()
        self.loop: AbstractEventLoop = asyncio.new_event_loop()
        self._references = 0
        # Left empty for a loop that cannot be inspected, which is never as new.
        self._attributes: Sequence[Any] = ()
        self._ready: Collection[Any] = ()
        self._scheduled: Collection[Any] = ()
        self._asyncgens: Collection[Any] = ()
        self._registered: Collection[Any] = ()
        if _can_be_inspected(self.loop):
            inside = _look_inside(self.loop)
            self._ready, self._scheduled, self._asyncgens, self._registered = inside
            self._attributes = [*vars(self.loop).values()]

    @property
    def may_be_taken(self) -> bool:
        """Whether a loop made now would be the same, and nobody has posted to this one."""
        return self._policy is _policy_in_force() and not self._ready

    def count_references(self) -> None:
        """Take what refers to the loop just now as what may, when it is to be as new."""
        self._references = sys.getrefcount(self.loop) if self._attributes else 0

    @property
    def has_nothing_to_run(self) -> bool:
        """Whether nothing is scheduled, now or for later; false if unknown."""
        return bool(self._attributes) and not self._ready and not self._scheduled

    @property
    def is_as_new(self) -> bool:
        """Whether nothing can be seen or run that a call has left; false if unknown.

        A call is what has come to pass since `count_references`.
        """
        return (
            bool(self._attributes)
            and sys.getrefcount(self.loop) == self._references
            # Compared by identity first; what is equal to a new loop's does the same.
            and [*vars(self.loop).values()] == self._attributes
            and not self._asyncgens
            and len(self._registered) == 1
        )


class LoopPool:
    """The idle event loops of a process."""

    def __init__(self) -> None:
        self._idle: deque[PooledLoop] = deque()
        self._inherited: list[PooledLoop] = []

    def take(self) -> PooledLoop:
        """A loop as new, made by the event loop policy in force; raises what making one does."""
        try:
            # One operation: a look before it could find a loop that is gone after it.
            pooled = self._idle.pop()
        except IndexError:
            return PooledLoop()
        if pooled.may_be_taken:
            return pooled
        pooled.loop.close()
        return PooledLoop()

    def give_back(self, pooled: PooledLoop, *, as_new: bool) -> None:
        """Keep a loop that is not running any more, if it is as new, or else close it."""
        if as_new and len(self._idle) < MAX_IDLE_LOOPS:
            self._idle.append(pooled)
        else:
            pooled.loop.close()

    def close_all(self) -> None:
        """Close all idle loops."""
        while self._idle:
            self._idle.pop().loop.close()

    def set_aside(self, pooled: PooledLoop) -> None:
        """In a forked child: neither use a loop of the parent's nor close it."""
        self._inherited.append(pooled)

    def set_all_aside(self) -> None:
        """In a forked child: neither use the parent's loops nor close them.

        The selector is shared with the parent. Closing a loop here takes its socket out of
        the selector, and the parent's loop would wait without it.
        """
        self._inherited.extend(self._idle)
        self._idle.clear()


def _policy_in_force() -> Any:
    # `asyncio.get_event_loop_policy` makes one where there is none yet, and warns of its
    # removal from Python 3.14 on; where it is gone, so is the attribute.
    return getattr(asyncio.events, "_event_loop_policy", None)


def _can_be_inspected(loop: AbstractEventLoop) -> bool:
    if type(loop) is not asyncio.SelectorEventLoop or not hasattr(sys, "getrefcount"):
        return False
    try:
        _look_inside(loop)
    except AttributeError:
        # Another version of Python keeps them elsewhere.
        return False
    return True


loop_pool = LoopPool()
_lifecycle.on_fork(loop_pool.set_all_aside)
_lifecycle.on_exit(loop_pool.close_all)
