"""Idle event loops, and the proof that one is clean before it is used again.

Making an event loop costs a selector and a pair of sockets; taking an idle one costs next
to nothing. But a call must never see anything of an earlier one, so a loop is kept only if
it differs in nothing from when it was new: every attribute is the object that it was, and
nothing is in the containers that hold what may still run. What there is to look at has no
public interface, so this is done for asyncio's own selector loops alone; any other, such
as uvloop's, is closed after its call.

Taking and giving back are one operation each on a deque, safe in any thread, in a signal
handler and in a finaliser.
"""

from __future__ import annotations

import asyncio
from asyncio import AbstractEventLoop
from collections import deque
from contextlib import suppress
from typing import Any

from asgi_sync import _lifecycle

# How many idle loops are kept. Each has three file descriptors. A guess: more are in use
# at the same time only where that many threads wait for async code of their own.
MAX_IDLE_LOOPS = 8

# The attributes of a selector loop that hold what is scheduled or registered. The selector
# holds the loop's own wake-up socket as well.
_CONTAINERS = ("_ready", "_scheduled", "_signal_handlers", "_asyncgens", "_transports")


class PooledLoop:
    """An event loop, and what it was like when it was new."""

    __slots__ = ("_as_new", "_policy", "loop")

    def __init__(self) -> None:
        self._policy = _policy_in_force()
        self.loop: AbstractEventLoop = asyncio.new_event_loop()
        self._as_new = dict(vars(self.loop)) if _can_be_inspected(self.loop) else None

    @property
    def is_of_policy_in_force(self) -> bool:
        """Whether a loop made now would come from where this one has."""
        return self._policy is _policy_in_force()

    @property
    def is_as_new(self) -> bool:
        """Whether nothing can be seen or run that a call has left; false if unknown."""
        if self._as_new is None:
            return False
        inside = vars(self.loop)
        return (
            len(inside) == len(self._as_new)
            and all(inside.get(name, self) is value for name, value in self._as_new.items())
            and not any(inside.get(name) for name in _CONTAINERS)
            and len(inside["_selector"].get_map()) == 1
            and not asyncio.all_tasks(self.loop)
        )


class LoopPool:
    """The idle event loops of a process."""

    def __init__(self) -> None:
        self._idle: deque[PooledLoop] = deque()
        self._inherited: list[PooledLoop] = []

    def take(self) -> PooledLoop:
        """A loop as new, made by the event loop policy in force; raises what making one does."""
        # One operation: a look before it could find a loop that is gone after it.
        with suppress(IndexError):
            pooled = self._idle.pop()
            # Again as new: a thread that still has the loop may have posted to it.
            if pooled.is_of_policy_in_force and pooled.is_as_new:
                return pooled
            pooled.loop.close()
        return PooledLoop()

    def give_back(self, pooled: PooledLoop) -> None:
        """Keep a loop that is not running any more, if it is clean, or else close it."""
        if pooled.is_as_new and len(self._idle) < MAX_IDLE_LOOPS:
            self._idle.append(pooled)
        else:
            pooled.loop.close()

    def close_all(self) -> None:
        """Close all idle loops."""
        while self._idle:
            self._idle.pop().loop.close()

    def set_aside(self) -> None:
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
    return type(loop) is asyncio.SelectorEventLoop and all(
        hasattr(loop, name) for name in (*_CONTAINERS, "_selector")
    )


loop_pool = LoopPool()
_lifecycle.on_fork(loop_pool.set_aside)
_lifecycle.on_exit(loop_pool.close_all)
