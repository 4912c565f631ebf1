"""What the two threads of one request share: whether it goes on, and how one wakes the other.

The two are the *event loop*, where the request's task runs, and the *worker thread*, on which the
application is called, iterated and closed. The states of a request:

    from      to        by             when
    QUEUED    RUNNING   worker thread  it takes the request up
    QUEUED    STOPPED   event loop     the client has gone, or the task is cancelled or has ended:
                                       it gives up its place, the application is never called
    RUNNING   STOPPED   event loop     the same, or a `send` has failed
    RUNNING   STOPPED   worker thread  it finds, while it waits, that the loop will not go on

All under `Link.lock`, and STOPPED is for good. What happens then depends on where the worker
thread is:

    in the application        it goes on to its next read, `write` or chunk, which raise or stop
    waiting for the body      it is woken; the read raises `ClientDisconnectedError`
    waiting for the client    it is woken; `write` raises the same, an iteration ends
    in `close()`              it goes on; nothing is left to stop
    in `async_to_sync`        asgi-sync cancels what it waits for if the task is cancelled;
                              otherwise it goes on to its next read, `write` or chunk

and in each case `close()` is called once, there, in the same context, before the thread goes back
to its pool. The event loop never waits for the worker thread other than by awaiting its call, and
a task that is cancelled leaves that call to itself: so a shutdown is as quick as the loop.

When the client has gone, so are the tasks that receive and send: a server's `send` may wait for it
for ever. But a server reports a client as gone, too, as soon as it has the last message of the
response, and middleware may go on after its `send` of that message. So who sends the last message
has `FINISH_SECONDS` more.

A worker thread waits in `wait_for` only, or in `async_to_sync` (below). Whatever can end its wait
notifies it; a loop that stops or is closed, and a process that was forked, notify nobody, so it
looks for those from time to time.

Two ways of having a coroutine run on the loop, chosen with the adapter:

- For a pool's thread, the loop is told to run it in a task of its own, in the context of the
  request's task, and the thread goes on, or waits for what it needs.
- For a thread-sensitive request, the thread itself calls it by `async_to_sync`. So sync code that
  a middleware's `receive` or `send` needs on the very thread is served by it, and nothing hangs.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from asgi_sync import async_to_sync
from asgi_wsgi._errors import ClientDisconnectedError

# How often a worker thread that waits looks whether its loop still runs. A guess: rare enough to
# cost nothing, soon enough for a thread that nobody else would ever wake.
LOOK_SECONDS = 0.5

# How long the sender of the last message may take once the client is said to have gone. A guess:
# more than middleware has to do after a response, and not for ever, where a `send` does not return.
FINISH_SECONDS = 30.0


class _Process:
    """The identity of this process; a forked child has another."""

    token = object()


def _after_fork_in_child() -> None:
    _Process.token = object()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


class Link:
    """The link between the event loop and the worker thread of one request.

    Made on the loop, in the request's task.

    Args:
        thread_sensitive: Whether the worker thread calls coroutines itself.
    """

    __slots__ = (
        "_changed",
        "_context",
        "_deadline",
        "_has_begun",
        "_has_ended",
        "_loop",
        "_process",
        "_tasks",
        "_thread",
        "_until_stopped",
        "_why",
        "is_finishing",
        "is_waiting",
        "lock",
        "thread_sensitive",
    )

    def __init__(self, *, thread_sensitive: bool) -> None:
        self.thread_sensitive = thread_sensitive
        # Guards what the two threads share here, in the body and in the queue. One that a thread
        # may take again: the garbage collector closes the coroutine of a loop that is gone, which
        # stops the request, in whatever thread and at any moment.
        self.lock = threading.RLock()
        # Made with the first wait: most requests have none.
        self._changed: threading.Condition | None = None
        self.is_waiting = False  # the worker thread, in `wait_for`
        self._loop = asyncio.get_running_loop()
        # That of the request's task. Not that of the application, which the loop would take up
        # from a call that comes out of its thread.
        self._context = contextvars.copy_context()
        self._process = _Process.token
        self._has_begun = False
        self._has_ended = False
        self._thread: int | None = None  # the worker thread, once it is there
        self._why: str | None = None
        self._tasks: set[asyncio.Task[None]] = set()  # of the loop alone
        self._until_stopped: asyncio.Timeout | None = None  # of the loop alone
        self.is_finishing = False  # of the loop alone
        self._deadline: asyncio.TimerHandle | None = None  # of the loop alone

    # Any thread

    @property
    def is_stopped(self) -> bool:
        """Whether the request is over. True for good."""
        return self._why is not None

    @property
    def has_begun(self) -> bool:
        """Whether the worker thread has taken the request up."""
        return self._has_begun

    @property
    def is_running(self) -> bool:
        """Whether the worker thread has taken the request up and is at it."""
        return self._has_begun and not self._has_ended

    @property
    def is_this_thread(self) -> bool:
        """Whether the worker thread asks: an application may have threads of its own."""
        return self._thread == threading.get_ident()

    def check(self) -> None:
        """Raise `ClientDisconnectedError` if the request is over."""
        if self._why is not None:
            raise ClientDisconnectedError(self._why)

    def stop(self, why: str) -> None:
        """Have nothing more sent or received, and wake the worker thread. Again is no matter."""
        with self.lock:
            self._stop(why)

    def notify(self) -> None:
        """A wait of the worker thread may be over; with the lock held."""
        if self._changed is not None:
            self._changed.notify_all()

    def _stop(self, why: str) -> None:
        if self._why is None:
            self._why = why
            self.notify()

    # The worker thread

    def begin(self) -> bool:
        """Take the request up; False if it is over already."""
        with self.lock:
            self._has_begun = self._why is None
            self._thread = threading.get_ident()
            return self._has_begun

    def leave(self) -> None:
        """The worker thread has done all that it had to."""
        self._has_ended = True

    def wait_for(self, is_over: Callable[[], bool]) -> None:
        """Wait until `is_over()` or the request is, with the lock held before and after.

        Raises:
            ClientDisconnectedError: The request is over.
            RuntimeError: The process was forked, and this is the child.
        """
        times_still = 0
        if self._changed is None:
            self._changed = threading.Condition(self.lock)
        self.is_waiting = True
        try:
            while not is_over():
                self.check()
                if not self._changed.wait(LOOK_SECONDS):
                    times_still = 0 if self._loop.is_running() else times_still + 1
                    self._look(times_still)
        finally:
            self.is_waiting = False

    def start(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Have the loop run `work` in a task of its own, which ends with the request.

        Raises ClientDisconnectedError if the loop is closed.
        """
        self.call_soon(self.start_on_loop, work)

    def call_soon(self, callback: Callable[..., object], *arguments: object) -> None:
        """Have the loop call `callback`; raises what `start` does."""
        self._refuse_in_child()
        try:
            self._loop.call_soon_threadsafe(callback, *arguments, context=self._context)
        except RuntimeError:
            self.stop("the event loop of the request was closed")
            self.check()

    def call(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Have the loop run `work`, and wait; for a thread-sensitive request, in its own thread.

        Raises:
            ClientDisconnectedError: The request's task was cancelled, or its loop has stopped.
            RuntimeError: The process was forked, and this is the child.
            BaseException: What `work` raised.
        """
        self._refuse_in_child()
        try:
            async_to_sync(self._on_own_loop)(work)
        except asyncio.CancelledError:
            self.stop("the request was cancelled")
            self.check()

    async def _on_own_loop(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        # The bridge makes a loop where there is none any more. The server's are not for that one:
        # `receive` could wait in it for ever.
        if asyncio.get_running_loop() is not self._loop:
            self.stop("the event loop of the request has stopped")
            self.check()
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await work()
        finally:
            self._tasks.discard(task)

    def _look(self, times_still: int) -> None:
        self._refuse_in_child()
        # Twice in a row: a loop stands still between two `run_until_complete` calls, too, and
        # while asgi-sync hands it from one thread to another.
        if self._loop.is_closed() or times_still > 1:
            self._stop("the event loop of the request has stopped")

    def _refuse_in_child(self) -> None:
        if self._process is not _Process.token:
            raise RuntimeError(
                "the process was forked in the WSGI application: a request goes on in the parent"
                " alone; end the child with os._exit()"
            )

    # The event loop

    def start_on_loop(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """The same as `start`, called on the loop."""
        if self.is_stopped:
            return
        coroutine = work()
        try:
            if self.thread_sensitive:
                # As a child of the call that starts it: what it needs on the thread of the
                # request is served where that waits.
                task = self._loop.create_task(coroutine)
            else:
                # A copy each: a context that is in use, as this may be, cannot be entered again.
                task = self._context.copy().run(self._loop.create_task, coroutine)
        except BaseException:
            # The loop has a task factory that fails, and the worker thread waits.
            coroutine.close()
            self.stop("the event loop could not make a task")
            raise
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def disconnect(self) -> None:
        """Stop the request since its client has gone, and cancel its tasks but for the caller.

        One of them may wait for a server whose `send` does not return when the client has gone.
        """
        self.stop("the client has disconnected")
        if not self.is_finishing:
            self._cancel_tasks()
        elif self._deadline is None:
            self._deadline = self._loop.call_later(FINISH_SECONDS, self._cancel_tasks)

    def finish(self) -> None:
        """The last message is about to be sent; `disconnect` leaves time for that from now on."""
        self.is_finishing = not self.is_stopped

    async def until_stopped(self, work: Awaitable[None]) -> None:
        """Await `work` in the request's task; it is cancelled when the request is stopped.

        For what the request waits for while the worker thread is not at it: a thread, or `send`.
        """
        # A time-out cancels what the task awaits, and not the task. This one has no time yet.
        until_stopped = asyncio.timeout(None)
        try:
            async with until_stopped as self._until_stopped:
                await work
        except TimeoutError:
            if not until_stopped.expired():
                raise
        finally:
            self._until_stopped = None

    async def end(self) -> None:
        """Stop the request and end its tasks."""
        self.stop("the request has ended")
        if self._deadline is not None:
            self._deadline.cancel()
        self._cancel_tasks()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _cancel_tasks(self) -> None:
        # Not the call of an application that runs: it ends by itself, and is waited for.
        if self._until_stopped is not None and not self.is_running:
            self._until_stopped.reschedule(self._loop.time())
            self._until_stopped = None
        current = asyncio.current_task(self._loop)
        for task in list(self._tasks):
            if task is not current:
                task.cancel()
