"""How threads tell each other, and event loops, that something has ended.

Each event loop has one mailbox: many finished calls, one wake-up.

Waking a loop from another thread costs a system call and a turn of the loop. So threads
put what has finished into a mailbox, and wake the loop only if no wake-up is on its way;
one callback takes out all that is there.

Why no item is left behind, without a lock: a thread puts its item in first and looks
whether the loop is awake second; the callback notes that the loop needs waking again
first, and takes the items out second. If the thread finds the loop awake, the callback has
not begun to take out, and will find the item.

    thread                          callback, on the loop
    1. append the item              a. awake = False
    2. awake? else wake             b. take out all items that are there

The deque is a C container whose operations are atomic with the global interpreter lock and
without.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import Any, Protocol, Self


class Ending:
    """The moment at which something has ended, set by any thread; again is no matter.

    Without a lock, so that it can be used in a signal handler. As with the mailbox, who adds
    a callback puts it in first and looks second, who sets it the other way round; taking one
    out is one operation, so each is called once, by one of the two.
    """

    __slots__ = ("_callbacks", "_done")

    def __init__(self) -> None:
        self._done = False
        self._callbacks: list[Callable[[Ending], None]] = []

    def done(self) -> bool:
        return self._done

    def add_done_callback(self, callback: Callable[[Ending], None]) -> None:
        """Call `callback` in the thread that sets it, or now if it is set already."""
        self._callbacks.append(callback)
        if self._done:
            self._call_all()

    def set(self) -> None:
        self._done = True
        if self._callbacks:
            self._call_all()

    def _call_all(self) -> None:
        while self._callbacks:
            try:
                callback = self._callbacks.pop(0)
            except IndexError:
                # The other thread has taken it since the look.
                return
            callback(self)


class IdleWatch(Protocol):
    """Looks whether the wait of a thread to which nothing comes still makes sense."""

    @property
    def seconds(self) -> float:
        """How long nothing has to come until the next look."""

    def __call__(self) -> None:
        """Look; raises what the wait is to end with, if it does not make sense."""


class Waiter(asyncio.Future[None]):
    """A future that one task awaits. Delivered, it wakes the task there and then.

    Another future has the loop call the task's callback in its next turn. That costs as much
    again as finding out that the future is done.
    """

    __slots__ = ("_context", "callback")

    # The first one; a future shows its others in the same way.
    callback: Callable[[Any], object] | None
    _context: Context | None

    @classmethod
    def on(cls, loop: AbstractEventLoop) -> Self:
        """One of an event loop. Not by `__init__`, which takes as long as all else here."""
        waiter = cls(loop=loop)
        waiter.callback = waiter._context = None
        return waiter

    def add_done_callback(
        self, fn: Callable[[Any], object], /, *, context: Context | None = None
    ) -> None:
        """As that of a future; the first one is called at once when it is delivered."""
        if context is None or self._context is not None or self.done():
            super().add_done_callback(fn, context=context)
        else:
            self.callback, self._context = fn, context

    def remove_done_callback(self, fn: Callable[[Any], object], /) -> int:
        """As that of a future."""
        if self.callback != fn:
            return super().remove_done_callback(fn)
        self.callback = None
        return 1 + super().remove_done_callback(fn)

    def cancel(self, msg: Any = None) -> bool:
        """As that of a future."""
        if not super().cancel(msg):
            return False
        callback, context = self._take_callback()
        if callback is not None:
            self.get_loop().call_soon(callback, self, context=context)
        return True

    def deliver(self) -> None:
        """It is done: have the task go on. On the loop, in no task; raises what escapes it."""
        if self.done():
            return
        self.set_result(None)
        callback, context = self._take_callback()
        if callback is not None and context is not None:
            context.run(callback, self)

    def _take_callback(self) -> tuple[Callable[[Any], object] | None, Context | None]:
        # It may stay in a mailbox, or its call in a queue, when the task is gone.
        taken = self.callback, self._context
        self.callback = self._context = None
        return taken


class Mailbox:
    """Waiters of one event loop that other threads want to be delivered.

    It does not keep the loop: the waiters do.
    """

    __slots__ = ("_awake", "_waiters", "loop")

    def __init__(self, loop: AbstractEventLoop) -> None:
        self.loop = weakref.ref(loop)
        self._waiters: deque[Waiter] = deque()
        self._awake = False

    def post(self, waiter: Waiter) -> None:
        """Have `waiter` delivered soon. Thread-safe; of no effect once the loop has closed."""
        self._waiters.append(waiter)
        if self._awake:
            return
        try:
            self._awake = True
            waiter.get_loop().call_soon_threadsafe(self._deliver)
        except RuntimeError:
            # The loop has closed, and nobody will take out what is there.
            self._waiters.clear()
            self._awake = False
        except BaseException:
            # A signal handler has raised, maybe before the wake-up, which another thread may
            # rely on by now. Better one too many.
            waiter.get_loop().call_soon_threadsafe(self._deliver)
            raise

    def _deliver(self) -> None:
        self._awake = False
        # What comes from here on has its own wake-up, so busy threads cannot keep the loop.
        for _ in range(len(self._waiters)):
            waiter = self._waiters.popleft()
            try:
                waiter.deliver()
            except BaseException:
                # SystemExit in a task, say, ends this turn. The others have a next one.
                waiter.get_loop().call_soon(self._deliver)
                raise


class _ThisThread(threading.local):
    mailbox: Mailbox | None = None


_this_thread = _ThisThread()


def mailbox_of(loop: AbstractEventLoop) -> Mailbox:
    """The mailbox of the event loop that runs in this thread.

    A loop that moves to another thread gets another mailbox there, which is no matter: each
    wakes it for itself.
    """
    mailbox = _this_thread.mailbox
    if mailbox is None or mailbox.loop() is not loop:
        mailbox = _this_thread.mailbox = Mailbox(loop)
    return mailbox


def post_when_done(future: Any, waiter: Waiter) -> None:
    """Have `waiter`, of the loop running here, done once `future` is, in whatever thread."""
    mailbox = mailbox_of(waiter.get_loop())
    future.add_done_callback(lambda _: mailbox.post(waiter))
