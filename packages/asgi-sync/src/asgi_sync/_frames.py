"""The records of the bridge calls in flight, and how they are nested.

Each `sync_to_async` call is a `SyncCall`, each `async_to_sync` call a `BlockedCall`, each
entered thread-sensitive context a `SensitiveScope`. A record names the one it was made
below, so that the records above some code form a chain, innermost first:

    asyncio.run(main)            (no record)
      sync_to_async(view)        SyncCall, runs on a worker thread
        async_to_sync(query)     BlockedCall, that worker waits; `query` is on the loop
          sync_to_async(read)    SyncCall, served by the waiting worker

Where code finds the innermost record above it:
- `innermost`, a context variable, follows the code into tasks, callbacks and threads
  that inherit a context. It says what the code *descends* from; the record may have
  ended since.
- `this_thread.record` says what this thread is *inside of* just now, whatever context the
  code runs in.

Who changes a record: its `is_open` goes from true to false once, by the thread that runs
the call. Its `parent` may be replaced by one further up, by any thread, when those between
have ended: all who look find the same answer, whichever they see. All else is set before
other threads can see the record, unless its class says who sets it. Records refer to no
arguments, no results and no contexts, and drop their event loop when they end: a task that
lives on keeps only bare records alive.
"""

from __future__ import annotations

import functools
import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextvars import ContextVar
from typing import TypeAlias

from asgi_sync import _lifecycle
from asgi_sync._cancel_handle import CancelHandle
from asgi_sync._completions import Ending
from asgi_sync._lineage import loop_uses
from asgi_sync.current_thread_executor import CurrentThreadExecutor

# Held for as long as it takes to look at an attribute and set it: while this calls nothing, no
# signal handler runs, and one that waited for async code would keep other threads waiting.
_making_executor = threading.RLock()

# The executor for what is made below a record, on a loop, by a function of some name.
FindExecutor: TypeAlias = "Callable[[Record | None, AbstractEventLoop | None, str], Executor]"


class Record:
    """What all records have: who is above, and whether it is still in flight, here."""

    __slots__ = ("_open", "_process", "name", "parent")

    def __init__(self, parent: Record | None, name: str) -> None:
        # Records that have ended are left out, here and above the parent, or the chain
        # above a task that starts its own successor would grow for ever.
        self.parent = parent and nearest_relevant(parent)
        if self.parent is not None:
            self.parent.parent = nearest_relevant(self.parent.parent)
        self.name = name
        self._process = _lifecycle.this.process
        self._open = True

    @property
    def is_here(self) -> bool:
        """In this process: a forked child is inside of none of its parent's calls."""
        return self._process is _lifecycle.this.process

    @property
    def is_open(self) -> bool:
        """In flight, and in this process."""
        return self._open and self._process is _lifecycle.this.process

    @property
    def is_relevant(self) -> bool:
        """Whether it can still have a say in where a call below it runs."""
        return self.is_open

    def close(self) -> None:
        self._open = False


class SyncCall(Record):
    """One call of a sync function from async code.

    `thread` and `above` are set by the thread that runs the function, before it does;
    `waits_in` by that thread too, and read by the loop that may have to cancel.
    """

    __slots__ = (
        "_executor",
        "above",
        "loop",
        "loop_use",
        "runs_on",
        "thread",
        "thread_sensitive",
        "waits_in",
        "was_cancelled",
    )

    def __init__(
        self, parent: Record | None, name: str, loop: AbstractEventLoop, thread_sensitive: bool
    ) -> None:
        super().__init__(parent, name)
        self.loop: AbstractEventLoop | None = loop
        # The call that the loop is driven for, if it serves several: once that has ended,
        # the loop is another's.
        self.loop_use = loop_uses.get(loop)
        self.thread_sensitive = thread_sensitive
        # What it was submitted to, where code from below goes once it has ended.
        self.runs_on: Executor | None = None
        self.thread: int | None = None
        # What the thread was inside of before.
        self.above: Record | None = None
        # The async code that the function is blocked on just now.
        self.waits_in: BlockedCall | None = None
        # Whether the task that waits for it was cancelled while it ran. Set by that task.
        self.was_cancelled = False
        self._executor: CurrentThreadExecutor | None = None

    @property
    def executor(self) -> CurrentThreadExecutor:
        """For thread-sensitive code that comes from below, while the function is blocked.

        A thread-sensitive function owns its thread as long as it runs: what comes from below
        it waits in one executor, across all the `async_to_sync` calls that it makes, and goes
        to `runs_on` in the end. Made when it is first needed, by any thread.
        """
        if self._executor is None:
            assert self.thread is not None
            executor = CurrentThreadExecutor(self.runs_on)
            executor.belong_to(self.thread)
            with _making_executor:
                if self._executor is None:
                    self._executor = executor
            # The function may have ended meanwhile. Its thread does these two the other way
            # round, so that one of them closes it.
            if not self._open:
                self._executor.close()
        return self._executor

    def begin(self) -> None:
        """This thread is about to run the function."""
        self.thread = threading.get_ident()
        self.above, this_thread.record = this_thread.record, self

    def end(self) -> None:
        """This thread has run the function."""
        this_thread.record, self.above = self.above, None
        self._open = False
        self.loop = None
        if self._executor is not None:
            self._executor.close()


class BlockedCall(Record):
    """One call of an async function from sync code, whose thread waits for it.

    `ended` is done when nothing of the call runs on the event loop any more, or when its
    thread has stopped waiting for that. It is set last, when all that the waiting thread
    reads is there.
    """

    __slots__ = (
        "_executor",
        "_find_successor",
        "caller",
        "cancel_handle",
        "ended",
        "helper_runs",
        "interrupts",
        "own_loop",
        "request_service",
        "runs_loop",
        "thread",
    )

    def __init__(
        self,
        parent: Record | None,
        name: str,
        caller: SyncCall | None,
        serving: CurrentThreadExecutor | None = None,
        find_successor: FindExecutor | None = None,
    ) -> None:
        super().__init__(parent, name)
        self.thread = threading.get_ident()
        # The sync function that this thread is inside of and that makes the call.
        self.caller = caller
        self.cancel_handle = CancelHandle()
        self.ended = Ending()
        # How often Ctrl-C was pressed while the thread waited.
        self.interrupts = 0
        # While the waiting thread runs an event loop itself: asks it to serve instead.
        self.request_service: Callable[[], None] | None = None
        # Whether the event loop runs in the waiting thread just now.
        self.runs_loop = False
        # Once another thread has been asked to run that loop: done when it has left it.
        self.helper_runs: Ending | None = None
        # The identity of the event loop that is driven for this call, if it is no other's.
        self.own_loop: object = None
        # What serves in this thread already, if anything.
        self._executor = serving
        # Where a call goes that is left when it has ended, if nothing did.
        self._find_successor = find_successor

    @property
    def executor(self) -> CurrentThreadExecutor:
        """Runs calls in the waiting thread. Made when it is first needed, by any thread."""
        executor = self._executor
        while executor is None:
            request_service = self.request_service
            made = CurrentThreadExecutor()
            made.belong_to(self.thread, request_service)
            with _making_executor:
                # Not if the thread has begun to run a loop meanwhile, or has left it: this one
                # would ask for nothing, or in vain.
                if self._executor is None and self.request_service is request_service:
                    self._executor = made
            executor = self._executor
            # The call may have ended meanwhile; see `SyncCall.executor`.
            if executor is not None and not self._open:
                self._close_executor(executor)
        return executor

    @property
    def serves_call(self) -> bool:
        """Whether the waiting thread is in somebody's code that it has been given to run."""
        return self._executor is not None and self._executor.in_call

    @property
    def is_serving(self) -> bool:
        """Whether the waiting thread runs a call from below just now."""
        return self._executor is not None and self._executor.running is not None

    @property
    def helper_has_left(self) -> bool:
        """Whether the loop stands still until the waiting thread has it run again."""
        return self.helper_runs is not None and self.helper_runs.done()

    def drive(self, run_loop: Callable[[], None], request_service: Callable[[], None]) -> bool:
        """Have the waiting thread run an event loop, until that returns.

        `request_service` is called when there is a call to serve, by whoever submits it.
        Returns false, and runs nothing, if there is one already.
        """
        with _making_executor:
            # One step: an executor that another thread makes in between would ask for nothing.
            executor = self._executor
            if executor is None:
                self.request_service = request_service
        if executor is not None:
            return executor.drive(run_loop, request_service)
        try:
            run_loop()
        finally:
            with _making_executor:
                self.request_service = None
            if self._executor is not None:
                self._executor.end_drive()
        return True

    def end(self, *, serving: CurrentThreadExecutor | None) -> None:
        """The thread does not wait any more; `serving` is what has served in it before."""
        self._open = False
        # If it has never begun, or this thread has stopped waiting for it, a task that is
        # cancelled must not wait for its end either.
        self.ended.set()
        if serving is None and self._executor is not None:
            self._close_executor(self._executor)

    def _close_executor(self, executor: CurrentThreadExecutor) -> None:
        find = self._find_successor
        executor.close(find and functools.partial(find, self.parent, None, self.name))


class SensitiveScope(Record):
    """One entered thread-sensitive context: where the calls inside run.

    It has its say after it has closed, too: calls by tasks that outlive the context still
    go to `executor`, or are refused if `ends_with_context`.
    """

    __slots__ = ("context", "ends_with_context", "executor")

    def __init__(
        self, parent: Record | None, executor: Executor, ends_with_context: bool, context: object
    ) -> None:
        super().__init__(parent, "ThreadSensitiveContext")
        # Nothing above it has a say inside, and a closed one above may be all that is left
        # of a task that started its successor in its own context.
        while self.parent is not None and not self.parent.is_open:
            self.parent = self.parent.parent
        self.executor = executor
        self.ends_with_context = ends_with_context
        # The one that was entered. Where another is in force, that was set by hand inside.
        self.context = context

    @property
    def is_relevant(self) -> bool:
        return self.is_here


def cancel_inner(call: SyncCall) -> Ending | None:
    """Cancel the task of a sync function that runs: what can be cancelled of it.

    Returns what is done when the async code that the function is blocked on has ended, if
    there is any. Called on the loop of the task.
    """
    call.was_cancelled = True
    inner = call.waits_in
    if inner is None:
        return None
    inner.cancel_handle.cancel()
    return inner.ended


def nearest_relevant(record: Record | None) -> Record | None:
    """The first record from `record` upwards that can matter to a call made here."""
    while record is not None and not record.is_relevant:
        record = record.parent
    return record


def chain(record: Record | None) -> Iterator[Record]:
    """`record`, then those above it, innermost first."""
    while record is not None:
        yield record
        record = record.parent


innermost: ContextVar[Record | None] = ContextVar("asgi_sync.innermost", default=None)


class _ThisThread(threading.local):
    record: Record | None = None


this_thread = _ThisThread()


def record_here() -> Record | None:
    """The innermost record above the code that calls.

    What the thread is inside of counts, whatever the context; a thread that is inside of
    no call may still have been given the context of one.
    """
    record = this_thread.record
    if record is not None and record.is_open:
        return record
    return innermost.get()


def interrupt_waiting_call() -> bool:
    """Cancel what this thread is waiting for, as Ctrl-C does; false if it waits for nothing."""
    record = this_thread.record
    if not isinstance(record, BlockedCall):
        return False
    record.interrupts += 1
    record.cancel_handle.cancel()
    return True


def executor_here() -> CurrentThreadExecutor | None:
    """What serves what comes from below the code that this thread is inside of, if anything."""
    record = this_thread.record
    while isinstance(record, SyncCall) and not record.thread_sensitive:
        # It has no claim on its thread.
        record = record.above
    # A call that has ended may still be there for a signal handler to find.
    if isinstance(record, BlockedCall | SyncCall) and record._open:
        return record.executor
    return None


def _leave_all() -> None:
    # The thread that forked goes on in the child, inside of calls that are the parent's.
    global _making_executor
    this_thread.record = None
    _making_executor = threading.RLock()


_lifecycle.on_fork(_leave_all)
