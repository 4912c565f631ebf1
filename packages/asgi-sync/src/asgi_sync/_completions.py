"""One mailbox for each event loop: many finished calls, one wake-up.

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
from typing import Any


class Mailbox:
    """Futures of one event loop that other threads want to be done.

    It does not keep the loop: the futures that are waited for do.
    """

    __slots__ = ("_awake", "_waiters", "loop")

    def __init__(self, loop: AbstractEventLoop) -> None:
        self.loop = weakref.ref(loop)
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._awake = False

    def post(self, waiter: asyncio.Future[None]) -> None:
        """Have `waiter` done soon. Thread-safe; of no effect once the loop has closed."""
        self._waiters.append(waiter)
        if self._awake:
            return
        try:
            self._awake = True
            waiter.get_loop().call_soon_threadsafe(self._deliver)
        except RuntimeError:
            # The loop has closed.
            pass
        except BaseException:
            # A signal handler has raised. Better one wake-up too many than none any more.
            self._awake = False
            raise

    def _deliver(self) -> None:
        self._awake = False
        # What comes from here on has its own wake-up, so busy threads cannot keep the loop.
        for _ in range(len(self._waiters)):
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)


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


def post_when_done(future: Any, waiter: asyncio.Future[None]) -> None:
    """Have `waiter`, of the loop running here, done once `future` is, in whatever thread."""
    mailbox = mailbox_of(waiter.get_loop())
    future.add_done_callback(lambda _: mailbox.post(waiter))
