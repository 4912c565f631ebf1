"""Runs an event loop for one `async_to_sync` call, on the calling thread as long as it can.

Waking another thread costs more than most coroutines do, so the calling thread runs the
loop itself, in place. Then thread-sensitive code from below asks for that very thread
(rule R1), which can either run the loop or serve. So the loop is stopped at the end of its
iteration and *offered* to a worker thread, the helper, while the calling thread serves. If
it has served before the helper is there, it goes on running the loop, and no time was lost
by waiting for another thread. If not, the helper goes on running the same loop, and the
calling thread serves until the call has ended::

    calling thread                      helper
    run_forever()                  -
    |  a task submits sync code    -
    run_forever() returns          -
    offer the loop -------------------> (waking up)
    serve: run the sync code            |
    take the offer back                 |
    run_forever()                       nothing to take
    |  the task gets the result    -
    |  and submits more            -
    run_forever() returns          -
    offer the loop -------------------> (waking up)
    serve: run the sync code            take the offer: run_forever()
    serve                               |  the task gets the result
    serve                               |  main task done
    ended <----------------------------- run_forever() returns

Who runs the loop:

| from     | to       | by                 | when                                         |
|----------|----------|--------------------|----------------------------------------------|
| IN_PLACE | OFFERED  | the calling thread | it has been asked to serve                   |
| OFFERED  | IN_PLACE | the calling thread | it has served, and takes the offer           |
| OFFERED  | HELPER   | the helper         | it takes the offer                           |

The last two compete for a lock that is never released: who gets it has the loop. Once on
the helper, a loop stays there.

An asyncio loop may be run by different threads, one after the other; only one at a time
refers to it. Not in place, but on the helper from the start, goes a call whose thread is
handling an exception: whatever runs on that thread's stack, every task and callback of the
loop, would see it in `sys.exc_info()`.

A run of the loop ends when its main task is done. One that ends otherwise (by `stop()`, or
by SystemExit in some task) is an error of the call. After the main task the loop is proven
clean, or what was left on it is cancelled and awaited in another run, since that may need
the calling thread as well; only then does the call end.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import functools
import signal
import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from typing import Any

from asgi_sync._affinity import loop_drivers
from asgi_sync._async_side import AsyncSide
from asgi_sync._blocking import wait_until_ended
from asgi_sync._completions import Ending
from asgi_sync._frames import BlockedCall
from asgi_sync._lineage import LoopUse, loop_uses
from asgi_sync._loop_pool import PooledLoop, loop_pool
from asgi_sync._workers import Worker, workers


def run_on_own_loop(side: AsyncSide[Any]) -> None:
    """Run the async side of a call on a loop of its own, from this thread, to its end.

    Raises what making a loop raises, and KeyboardInterrupt on a second Ctrl-C.
    """
    pooled = loop_pool.take()
    drive = Drive(pooled, side.record, may_run_in_place=not side.handles_error)
    loop_drivers[pooled.loop], loop_uses[pooled.loop] = side.record, LoopUse()
    as_new = left_alone = False
    failure: Exception | None = None
    try:
        pooled.count_references()
        try:
            drive.run(side.run(drive.stop_if_nothing_is_undone), side.context)
        except Exception as error:
            failure = error
        finally:
            left_alone = drive.is_left_alone
            if not left_alone and side.record.is_here:
                as_new = _leave_nothing(drive, pooled)
    finally:
        del loop_drivers[pooled.loop], loop_uses[pooled.loop]
        drive.end(as_new=as_new, left_alone=left_alone)
    if failure is not None:
        # Not before: cancelling the call's own task has given it another outcome.
        side.fail(failure)
    # The error's traceback holds this frame, which must not hold the error.
    del failure
    side.publish()


def _leave_nothing(drive: Drive, pooled: PooledLoop) -> bool:
    """Whether the loop is as new; if not, what is left on it is cancelled and awaited."""
    if pooled.is_as_new:
        return True
    drive.run(_cancel_what_is_left(asyncio.all_tasks(pooled.loop)), copy_context())
    return False


class Place(enum.Enum):
    """Who runs the loop of a drive; see the top of the file."""

    IN_PLACE = enum.auto()
    OFFERED = enum.auto()
    HELPER = enum.auto()


# An attribute of an enumeration takes as long to look up as a call.
IN_PLACE, OFFERED, HELPER = Place


class Drive:
    """An event loop that runs one main task after the other, for one call."""

    __slots__ = (
        "_asked_to_serve",
        "_error",
        "_helper",
        "_helper_runs",
        "_is_stopping",
        "_loop",
        "_main",
        "_may_run_in_place",
        "_may_serve",
        "_place",
        "_pooled",
        "_record",
        "_signals",
        "_thread",
    )

    def __init__(self, pooled: PooledLoop, record: BlockedCall, *, may_run_in_place: bool) -> None:
        self._pooled = pooled
        self._loop = pooled.loop
        self._record = record
        self._thread = threading.get_ident()
        self._place = IN_PLACE if may_run_in_place else OFFERED
        self._may_run_in_place = may_run_in_place
        self._may_serve = True
        self._asked_to_serve = False
        self._is_stopping = False
        self._helper: Worker | None = None
        self._helper_runs: Ending | None = None
        self._error: BaseException | None = None
        self._main: asyncio.Task[Any] | None = None
        self._signals: list[int] = []

    def run(self, coroutine: Coroutine[Any, Any, Any], context: Context) -> None:
        """Run the loop until a task of `coroutine` is done, serving others if need be.

        Raises what breaks out of the loop.
        """
        self._main = main = _make_task(self._loop, coroutine, context)
        self._helper_runs = None
        # For a task that is cancelled before its first step.
        main.add_done_callback(self._stop)
        try:
            while self._place is not HELPER and not main.done():
                if self._place is IN_PLACE:
                    self._run_in_place()
                    if not self._asked_to_serve or main.done():
                        break
                self._offer_and_serve()
            if self._place is HELPER and (self._helper_runs or not main.done()):
                # The main task may be done already, and the helper about to leave the loop.
                self._wait_for_helper()
            if not main.done():
                raise RuntimeError("Event loop stopped before Future completed.")
        finally:
            if not self.is_left_alone:
                # A task that is done refers to its loop, which is to be as new.
                self._main = None
            del main

    def request_service(self) -> None:
        """Have the calling thread serve, soon.

        Called by whoever gives the calling thread something to do; thread-safe.
        """
        if threading.get_ident() == self._thread:
            self._stop_to_serve()
        else:
            # A loop that has closed is too late.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._stop_to_serve)

    def end(self, *, as_new: bool, left_alone: bool) -> None:
        """Give helper and loop back."""
        if not self._record.is_here:
            # A forked child: both are the parent's, which goes on with them.
            loop_pool.set_aside(self._pooled)
            return
        if self._helper is not None and left_alone:
            self._helper.release_when_done(functools.partial(_end_alone, self._loop))
            return
        if self._signals:
            _reset_signals(self._signals)
        loop_pool.give_back(self._pooled, as_new=as_new and not self._signals)
        if self._helper is not None:
            self._helper.release()

    @property
    def is_left_alone(self) -> bool:
        """Whether the helper still runs the loop, but nobody waits: on a second Ctrl-C.

        Then the loop is the helper's, which cleans up and closes it in the end.
        """
        return self._helper_runs is not None and not self._helper_runs.done()

    def _run_in_place(self) -> None:
        self._asked_to_serve = self._is_stopping = False
        self._record.runs_loop = True
        try:
            if not self._may_serve:
                self._loop.run_forever()
            elif not self._record.drive(self._loop.run_forever, self.request_service):
                self._asked_to_serve = True
        finally:
            self._record.runs_loop = False

    def _stop_to_serve(self) -> None:
        # On the loop. Elsewhere than in place it was asked for too late.
        if self._record.runs_loop:
            self._asked_to_serve = True
            self._stop_loop()

    def _offer_and_serve(self) -> None:
        """Serve while the helper has not begun; with the loop in place again, or on it."""
        self._place = OFFERED
        offer = threading.Lock()
        runs = self._record.helper_runs = Ending()
        signals = list(getattr(self._loop, "_signal_handlers", ()))
        self._offer_to_helper(functools.partial(self._help, offer, runs))
        failure: BaseException | None = None
        if self._may_run_in_place:
            try:
                self._record.executor.serve_all()
            except BaseException as error:
                # From a signal handler, or since this is a forked child.
                failure = error
        if self._may_run_in_place and offer.acquire(blocking=False):
            self._place = IN_PLACE
        else:
            self._place = HELPER
            self._helper_runs = runs
            self._signals = signals
        if failure is not None:
            self._give_up(failure)

    def _give_up(self, failure: BaseException) -> None:
        """Raise what a signal handler has raised, after the main task has cleaned up."""
        try:
            if self._place is HELPER and self._record.is_here:
                self._record.cancel_handle.cancel()
                self._wait_for_helper()
            raise failure
        finally:
            # The error's traceback holds this frame, which must not hold the error.
            del failure

    def _offer_to_helper(self, help: Callable[[], None]) -> None:
        if self._helper is None:
            try:
                self._helper = workers.lease("asgi-sync event loop")
            except RuntimeError:
                # No thread can be started. The clean-up is run in place, come what may.
                self._place, self._may_serve = IN_PLACE, False
                self._may_run_in_place = True
                raise
        if not self._helper.put(help):
            raise RuntimeError("The interpreter is exiting and the event loop has ended.")

    def _help(self, offer: threading.Lock, runs: Ending) -> None:
        if not offer.acquire(blocking=False):
            return
        self._is_stopping = False
        try:
            self._loop.run_forever()
        except BaseException as error:
            self._error = error
        runs.set()

    def _wait_for_helper(self) -> None:
        runs = self._helper_runs
        if runs is None:
            # It has run another main task before this one, and waits for the next.
            runs = self._helper_runs = self._record.helper_runs = Ending()
            self._offer_to_helper(functools.partial(self._help, threading.Lock(), runs))
        wait_until_ended(self._record, runs)
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                # The error's traceback holds this frame, which must not hold the error.
                del error

    def stop_if_nothing_is_undone(self, main: asyncio.Task[Any]) -> None:
        """Called by the main task at its end: stop the loop at once.

        The callback does the same an iteration later, in which what is ready can run, and
        the task's other callbacks. Where the calling thread serves, it may be waiting for
        those; in place it has the loop run again.
        """
        in_place = self._place is IN_PLACE
        if in_place and main is self._main and self._pooled.has_nothing_to_run:
            # In this order: should a signal handler raise in between, the loop is stopped.
            self._stop_loop()
            main.remove_done_callback(self._stop)

    def _stop(self, task: asyncio.Task[Any]) -> None:
        # Not for the main task of a run that has failed, which is cancelled in the next.
        if task is self._main:
            self._stop_loop()

    def _stop_loop(self) -> None:
        # Once: uvloop would stop in its next run for a second one.
        if not self._is_stopping:
            self._is_stopping = True
            self._loop.stop()


def _make_task(
    loop: AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], context: Context
) -> asyncio.Task[Any]:
    try:
        return loop.create_task(coroutine, context=context)
    except BaseException:
        # The loop has a task factory that fails.
        coroutine.close()
        raise


async def _cancel_what_is_left(left: set[asyncio.Task[Any]]) -> None:
    """Cancel and await what the call has left on the loop, as `asyncio.run` does.

    The tasks are given: from Python 3.14 on a loop that has come from another thread does
    not list those that were made there.
    """
    loop = asyncio.get_running_loop()
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    for task in left:
        if not task.cancelled() and task.exception() is not None:
            loop.call_exception_handler(
                {
                    "message": "unhandled exception during async_to_sync() shutdown",
                    "exception": task.exception(),
                    "task": task,
                }
            )
    await loop.shutdown_asyncgens()
    await loop.shutdown_default_executor()


def _reset_signals(signals: list[int]) -> None:
    """Undo what a loop that has left the main thread could not undo there.

    asyncio forgets a signal handler that is removed in another thread, but the interpreter
    goes on writing the signals to the loop's socket, or to what has its number next.
    """
    signal.set_wakeup_fd(-1)
    for number in signals:
        default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, default)


def _end_alone(loop: AbstractEventLoop) -> None:
    try:
        loop.run_until_complete(_cancel_what_is_left(asyncio.all_tasks(loop)))
    finally:
        loop.close()
