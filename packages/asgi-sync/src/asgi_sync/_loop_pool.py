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
import operator
import selectors
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

    __slots__ = ("_attributes", "_containers", "_policy", "_selector", "loop")

    def __init__(self) -> None:
        self._policy = _policy_in_force()
        self.loop: AbstractEventLoop = asyncio.new_event_loop()
        # Left empty for a loop that cannot be inspected, which is never as new.
        self._attributes: dict[str, Any] = {}
        self._containers: list[Any] = []
        self._selector: selectors.BaseSelector | None = None
        if _can_be_inspected(self.loop):
            self._attributes = dict(vars(self.loop))
            self._containers = [self._attributes[name] for name in _CONTAINERS]
            self._selector = self._attributes["_selector"]

    @property
    def may_be_taken(self) -> bool:
        """Whether a loop made now would be the same, and nobody has posted to this one.

        A thread that still has a loop may post to it after it was found to be as new.
        """
        return self._policy is _policy_in_force() and not any(self._containers)

    @property
    def is_as_new(self) -> bool:
        """Whether nothing can be seen or run that a call has left; false if unknown."""
        if self._selector is None:
            return False
        inside = vars(self.loop)
        return (
            len(inside) == len(self._attributes)
            and all(map(operator.is_, map(inside.get, self._attributes), self._attributes.values()))
            and not any(self._containers)
            and len(self._selector.get_map()) == 1
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
