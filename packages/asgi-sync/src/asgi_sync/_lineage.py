"""Which flow of execution a context belongs to, wherever the bridge has carried it.

Context variables are copied into tasks and, by some means, into threads that have nothing
to do with the code that set them: `copy_context().run` in another thread,
`asyncio.to_thread`, threads that inherit a context. Data that must follow a program
through the bridge, but must not turn up there, needs to know whether a context is where
it belongs.

So a context carries its *home*: the thread or the event loop in which it belongs, and a
`Lineage`, the identity of the flow of execution. The bridge, which alone moves contexts
between threads on purpose, writes the new home when it does. Anywhere else the home does
not match, and the code there has no lineage.

An event loop counts as much as a thread does, so that tasks keep their lineage when their
loop is run by another thread.

This is what `Local` of asgi-local is made of: its values are tagged with their lineage,
and show only where that is the current one.
"""

from __future__ import annotations

import asyncio
import threading
from asyncio import AbstractEventLoop
from contextvars import ContextVar

__all__ = ["Lineage", "LoopUse", "current_lineage", "current_loop_use", "ensure_lineage"]


class Lineage:
    """The identity of one flow of execution. Compared with `is`, never reused."""

    __slots__ = ("__weakref__",)


class _ThreadIdentity(threading.local):
    """An object for each thread; unlike its ident, none is ever reused for another."""

    def __init__(self) -> None:
        self.token = object()


class LoopUse:
    """The identity of one use of an event loop. Compared with `is`, never reused."""

    __slots__ = ("__weakref__",)


class _Home:
    """Where a context belongs."""

    # Not a named tuple, which takes as long to make as this module does.
    __slots__ = ("lineage", "loop", "thread")

    def __init__(self, lineage: Lineage, thread: object, loop: object) -> None:
        self.lineage = lineage
        self.thread = thread
        self.loop = loop

    def is_at(self, thread: object, loop: object) -> bool:
        return self.thread is thread or (loop is not None and self.loop is loop)


_thread_identity = _ThreadIdentity()
_home: ContextVar[_Home | None] = ContextVar("asgi_sync.home", default=None)


# The present use of each loop that is used more than once. By whoever uses it, before and
# after.
loop_uses: dict[AbstractEventLoop, LoopUse] = {}


def current_loop_use() -> AbstractEventLoop | LoopUse | None:
    """What stands for the running event loop, or None outside of one.

    The loop itself, or where `async_to_sync` uses one loop for several calls, an object for
    the present call: what one call has left, in a context or elsewhere, is not to be taken
    for the next one's. Can be weakly referenced.
    """
    loop = asyncio._get_running_loop()
    return loop if loop is None else loop_uses.get(loop, loop)


def current_lineage() -> Lineage | None:
    """The lineage of the code that calls, or None if it has none yet.

    None, too, in a context that was merely copied into this thread. Any thread, in and
    out of event loops; raises nothing.
    """
    home = _home.get()
    if home is None or not home.is_at(_thread_identity.token, current_loop_use()):
        return None
    return home.lineage


def ensure_lineage() -> Lineage:
    """Like `current_lineage`, but where there is none, one begins in this context."""
    lineage = current_lineage()
    if lineage is None:
        lineage = Lineage()
        _home.set(_Home(lineage, _thread_identity.token, current_loop_use()))
    return lineage


def has_home() -> bool:
    """Whether the current context has a home, here or elsewhere."""
    return _home.get() is not None


def settle_lineage() -> None:
    """Make this place the home of a lineage that has begun on the far side of the bridge."""
    home = _home.get()
    if home is not None:
        _home.set(_Home(home.lineage, _thread_identity.token, current_loop_use()))


class Passage:
    """Moves the home of one context to the far side of the bridge and back.

    Made on the near side, with what `current_loop_use` says there; `arrive` and `leave` run
    on the far side, inside the context.
    """

    __slots__ = ("_home_here", "_left_home", "_loop", "_thread")

    def __init__(self, loop: AbstractEventLoop | LoopUse | None) -> None:
        self._thread = _thread_identity.token
        self._loop = loop

    @property
    def has_moved(self) -> bool:
        """Whether `arrive` has given the context another home."""
        return self._home_here is not self._left_home

    def arrive(self) -> None:
        """Make this side the home of the context, if the near side was."""
        home = self._left_home = self._home_here = _home.get()
        if home is None:
            return
        if home.is_at(self._thread, self._loop):
            here = (_thread_identity.token, current_loop_use())
            self._home_here = _Home(home.lineage, *here)
        else:
            self._home_here = None
        _home.set(self._home_here)

    def leave(self) -> None:
        """Make the near side its home again."""
        home = _home.get()
        if home is self._home_here:
            # The very object that the near side has, which tells it that nothing changed.
            if home is not self._left_home:
                _home.set(self._left_home)
            return
        lineage = current_lineage()
        if lineage is not None:
            _home.set(_Home(lineage, self._thread, self._loop))
