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

**What tells one thread from another** costs as much as everything else that `Local` does to
read an attribute, if done in the usual ways: an attribute of a `threading.local` takes 40 ns
to read on Python 3.11, a comparison of `get_ident()` 58 ns. So a thread has a lock which it
acquires once and holds until it ends: `lock._is_owned()`, by which `threading.Condition` asks
whether the calling thread holds a lock, takes 22 ns. Inside, idents are compared, and a
thread may have the ident of one that has ended; but that one has let go of its lock.
"""

from __future__ import annotations

import threading
from asyncio import AbstractEventLoop
from asyncio import _get_running_loop as running_loop_or_none
from collections.abc import Callable
from contextvars import ContextVar
from typing import Protocol, cast

__all__ = [
    "Home",
    "Lineage",
    "LoopUse",
    "current_home",
    "current_lineage",
    "current_loop_use",
    "ensure_lineage",
]


class Lineage:
    """The identity of one flow of execution. Compared with `is`, never reused; any thread."""

    __slots__ = ("__weakref__",)


class ThreadLock(Protocol):
    """An RLock that a thread holds for as long as it lives, and no other thread ever does."""

    # The only question to it that is cheap enough.
    def _is_owned(self) -> bool: ...


class _ThreadIdentity(threading.local):
    """The lock of each thread; unlike its ident, none is ever reused for another."""

    def __init__(self) -> None:
        lock = threading.RLock()
        lock.acquire()
        self.token = cast("ThreadLock", lock)
        self._end = _ThreadEnd(lock)


class _ThreadEnd:
    """Releases the lock of a thread when what is local to the thread is dropped.

    That is in the thread itself, before it ends, so before another one can have its ident.
    """

    __slots__ = ("_lock",)

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock

    def __del__(self) -> None:
        try:
            self._lock.release()
        except RuntimeError:
            # A forked child drops what was local to its parent's other threads.
            self._lock._at_fork_reinit()  # type: ignore[attr-defined]


class LoopUse:
    """The identity of one use of an event loop. Compared with `is`, never reused."""

    __slots__ = ("__weakref__",)


class Home:
    """Where a context belongs, and the flow of execution that it belongs to.

    For code that asks for the current lineage very often, and cannot afford a call of
    `current_lineage` each time: where `home.thread._is_owned()` is true for
    `home = current_home()`, that lineage is `home.lineage`. Where it is not, only
    `current_lineage` can tell.

    Never changed once it is the home of a context.

    Args:
        lineage: The identity of the flow of execution.
        thread: The lock that only the thread where it belongs ever holds.
        loop: What `current_loop_use` says where it belongs.

    Source: https://docs.python.org/3/library/contextvars.html
    """

    # Not a named tuple, which takes as long to make as this module does.
    __slots__ = ("lineage", "loop", "thread")

    def __init__(self, lineage: Lineage, thread: ThreadLock, loop: object) -> None:
        self.lineage: Lineage = lineage
        self.thread: ThreadLock = thread
        self.loop: object = loop

    def is_at(self, thread: object, loop: object) -> bool:
        """Whether that is its thread or, unless it is None, its event loop. Any thread.

        Args:
            thread: The lock that a thread holds for as long as it lives.
            loop: What `current_loop_use` says, or None to ask for the thread alone.
        """
        return self.thread is thread or (loop is not None and self.loop is loop)


_thread_identity = _ThreadIdentity()
# That of contexts which have none yet: a lock that nobody holds.
_NOWHERE = Home(Lineage(), cast("ThreadLock", threading.RLock()), None)
_home: ContextVar[Home] = ContextVar("asgi_sync.home", default=_NOWHERE)

# The home of the current context, be that here or elsewhere. Not a function of ours, which
# would cost as much as what it is needed for.
current_home: Callable[[], Home] = _home.get

# The present use of each loop that is used more than once. By whoever uses it, before and
# after.
loop_uses: dict[AbstractEventLoop, LoopUse] = {}


def current_loop_use() -> AbstractEventLoop | LoopUse | None:
    """What stands for the running event loop, or None outside of one.

    Any thread; raises nothing.

    Returns:
        The loop itself, or where `async_to_sync` uses one loop for several calls, an object for
        the present call: what one call has left, in a context or elsewhere, is not to be taken
        for the next one's. Can be weakly referenced.

    Source: https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.get_running_loop
    """
    loop = running_loop_or_none()
    return loop if loop is None else loop_uses.get(loop, loop)


def current_lineage() -> Lineage | None:
    """The lineage of the code that calls, or None if it has none yet.

    None, too, in a context that was merely copied into this thread. Any thread, in and
    out of event loops; raises nothing.

    Returns:
        An identity to be compared with `is`, and nothing else.

    Source: https://docs.python.org/3/library/contextvars.html
    """
    home = current_home()
    if home.thread._is_owned():
        return home.lineage
    loop = current_loop_use()
    return None if loop is None or home.loop is not loop else home.lineage


def ensure_lineage() -> Lineage:
    """Like `current_lineage`, but where there is none, one begins in this context.

    In async code it also makes the running event loop the home of the context: should
    another thread go on running the loop, the lineage is the same there.

    Any thread, in and out of event loops; raises nothing.

    Returns:
        The lineage that `current_lineage` tells from now on.

    Source: https://docs.python.org/3/library/contextvars.html
    """
    home = current_home()
    loop = running_loop_or_none()
    if home.thread._is_owned() and (loop is None or home.loop is loop):
        return home.lineage
    loop_use = current_loop_use()
    thread = _thread_identity.token
    if not home.is_at(thread, loop_use):
        home = Home(Lineage(), thread, loop_use)
        _home.set(home)
    elif home.loop is not loop_use:
        _home.set(Home(home.lineage, thread, loop_use))
    return home.lineage


def has_home() -> bool:
    """Whether the current context has a home, here or elsewhere."""
    return current_home() is not _NOWHERE


def settle_lineage() -> None:
    """Make this place the home of a lineage that has begun on the far side of the bridge."""
    home = current_home()
    if home is not _NOWHERE:
        _home.set(Home(home.lineage, _thread_identity.token, current_loop_use()))


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
        home = self._left_home = self._home_here = current_home()
        if home is _NOWHERE:
            return
        if home.is_at(self._thread, self._loop):
            here = (_thread_identity.token, current_loop_use())
            self._home_here = Home(home.lineage, *here)
        else:
            self._home_here = _NOWHERE
        _home.set(self._home_here)

    def leave(self) -> None:
        """Make the near side its home again."""
        home = current_home()
        if home is self._home_here:
            # The very object that the near side has, which tells it that nothing changed.
            if home is not self._left_home:
                _home.set(self._left_home)
            return
        lineage = current_lineage()
        if lineage is not None:
            _home.set(Home(lineage, self._thread, self._loop))
