"""The application instances of one server, from their start to their end."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Protocol, TypedDict

from asgi_server._counters import ServerCounters, Tally
from asgi_server._endings import ApplicationEnd, EndCause, Endings
from asgi_server._input_queue import InputQueue, QueueGroup
from asgi_server._settings import Settings

__all__ = ["ApplicationDetails", "ApplicationInstances", "InstanceObserver"]


class ApplicationDetails(TypedDict):
    """What a server knows of one application instance.

    Keys:
        scope_id: What the instance was asked for by.
        scope: The scope that was given for it. The application gets it with the key `state`
            added, if it has completed a lifespan startup.
        input_queue: The messages that the application's `receive` returns.
        future: The task that runs the application.
        last_used: `time.time()` when the instance was last asked for. For people to read: the
            order of eviction does not depend on the clock.
    """

    scope_id: Hashable
    scope: Any
    input_queue: InputQueue
    future: asyncio.Task[Any]
    last_used: float


class InstanceObserver(Protocol):
    """Who is told of what happens to instances."""

    def instance_ended(self, details: ApplicationDetails, end: ApplicationEnd) -> None:
        """An instance has ended; called once for every one that was started."""

    def instance_overdue(self, details: ApplicationDetails) -> None:
        """An instance has not ended in its grace period; called before `instance_ended`."""

    def message_dropped(self, queue: InputQueue, message: Any) -> None:
        """A message will not be received by the application."""

    def last_message(self, details: ApplicationDetails, cause: EndCause) -> Any:
        """Return what the instance is to be told before it ends, or None."""


class ApplicationInstances:
    """The application instances of one server.

    Invariants: `by_scope_id` holds the instances that take messages, the least recently used
    first; an instance leaves it when it ends or is told to, whichever is first. The queues of
    those that wait for a message are in `_queues.idle`; all of these are in `_queues.unused`, in
    the order of `by_scope_id` but for those that have been at work longer. `_running` holds every
    task that has not ended: an event loop refers to its tasks weakly
    (https://docs.python.org/3/library/asyncio-task.html#asyncio.create_task).

    Every operation takes constant time but those on all instances, `begin_stop` to `abandon`.
    Not thread-safe: every method is called on the event loop that runs the applications.
    """

    def __init__(self, settings: Settings, observer: InstanceObserver) -> None:
        # Not a plain dict: finding its first key walks over every slot deleted before it, so
        # that evicting n instances one after the other would take n * n steps.
        self.by_scope_id: OrderedDict[Hashable, ApplicationDetails] = OrderedDict()
        self.tally = Tally()
        self._queues = QueueGroup(
            settings.queue_limit,
            settings.queue_policy,
            self.tally,
            on_dropped=observer.message_dropped,
            on_overflow=self._close_overflowing,
        )
        self._running: dict[asyncio.Task[Any], ApplicationDetails] = {}
        self._endings = Endings(settings.grace_period, self._report_overdue)
        self._observer = observer
        self._waiter: asyncio.Future[None] | None = None
        self._is_reached: Callable[[], bool] = self.have_ended
        self._is_closed = False

    # One instance

    def use(self, scope_id: Hashable) -> ApplicationDetails | None:
        """Return the instance that takes messages for `scope_id`, now the last used, or None."""
        details = self.by_scope_id.get(scope_id)
        if details is None:
            return None
        queue = details["input_queue"]
        if details["future"].done():
            # It ended in this iteration of the loop, and its done-callback has not run yet:
            # a message for it would be put where nobody reads.
            self._take_out(details)
            return None
        details["last_used"] = time.time()
        self.by_scope_id.move_to_end(scope_id)
        if queue in self._queues.unused:
            self._queues.unused.move_to_end(queue)
        return details

    def new_queue(self, scope_id: Hashable) -> InputQueue:
        """Return a queue for an instance to be started."""
        return InputQueue(scope_id, self._queues)

    def start(
        self, scope: Any, input_queue: InputQueue, application: Coroutine[Any, Any, Any]
    ) -> ApplicationDetails:
        """Run `application` as the instance of the scope id of its queue, which must have none.

        Raises:
            RuntimeError: No event loop is running in this thread. The coroutine is closed.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            application.close()
            raise
        scope_id = input_queue.scope_id
        task = loop.create_task(application, name=f"application {scope_id!r}")
        details = ApplicationDetails(
            scope_id=scope_id,
            scope=scope,
            input_queue=input_queue,
            future=task,
            last_used=time.time(),
        )
        self.by_scope_id[scope_id] = details
        self._running[task] = details
        self.tally.created += 1
        task.add_done_callback(self._reap)
        if self._is_closed:
            # Another one's clean-up asked for it. As a task that is cancelled before it starts,
            # it never runs.
            self._take_out(details)
            self._endings.cancel(task, EndCause.STOPPED)
        return details

    def delete(self, scope_id: Hashable, cause: EndCause) -> None:
        """Tell the instance of `scope_id` to end: with a last message if it has one, or cancel it.

        Raises:
            KeyError: There is no such instance.
        """
        details = self.by_scope_id[scope_id]
        self._take_out(details)
        task = details["future"]
        if task.done():
            return  # by itself, in this iteration of the loop
        if cause is EndCause.EVICTED:
            self.tally.evicted += 1
        notice = self._observer.last_message(details, cause)
        if notice is None:
            self._endings.cancel(task, cause)
        else:
            details["input_queue"].put_notice(notice)
            self._endings.notice(task, cause)

    def oldest(self) -> Hashable:
        """Return the scope id of the instance to evict: idle ones first, least recently used.

        Raises:
            ValueError: There is no instance.
        """
        unused = self._queues.unused
        while unused:
            queue = next(iter(unused))
            details = self.by_scope_id.get(queue.scope_id)
            is_held = details is not None and details["input_queue"] is queue
            if is_held and queue in self._queues.idle:
                return queue.scope_id
            # It does not wait just now, or a subclass has taken the instance out of the mapping.
            # When it waits again, it is there again: so each step here has been paid for.
            del unused[queue]
        if not self.by_scope_id:
            raise ValueError("there is no application instance to delete")
        least_recent: Hashable = next(iter(self.by_scope_id))
        return least_recent

    # All instances

    def counters(self) -> ServerCounters:
        """Return the counters of this moment."""
        tally = self.tally
        return ServerCounters(
            held=len(self.by_scope_id),
            idle=len(self._queues.idle),
            ending=len(self._running) - len(self.by_scope_id),
            overdue=tally.overdue,
            queue_depth=tally.queue_depth,
            putters=tally.putters,
            created=tally.created,
            ended=tally.ended,
            failed=tally.failed,
            evicted=tally.evicted,
            messages_in=tally.messages_in,
            messages_out=tally.messages_out,
            messages_dropped=tally.messages_dropped,
        )

    def open(self) -> None:
        """Let instances be started again, after `cancel_all()`."""
        self._is_closed = False
        for task in [task for task in self._running if task.get_loop().is_closed()]:
            # It was left when the server ran before, on a loop that has ended without it.
            details = self._running[task]
            self._forget(task)
            details["input_queue"].drop_all()

    def begin_stop(self) -> None:
        """Give a last message to each instance that has one."""
        for details in list(self.by_scope_id.values()):
            if not self._is_held(details):
                continue  # the hook has deleted it, when it was asked for another one's message
            notice = self._observer.last_message(details, EndCause.STOPPED)
            if notice is not None and self._is_held(details) and not details["future"].done():
                self._take_out(details)
                details["input_queue"].put_notice(notice)
                self._endings.notice(details["future"], EndCause.STOPPED, has_deadline=False)

    def at_work(self) -> int:
        """Return how many instances neither wait for a message, have ended nor are overdue."""
        return len(self._running) - len(self._queues.idle) - self.tally.overdue

    def are_quiet(self) -> bool:
        """Return whether each instance waits for a message, has ended, or is overdue."""
        return self.at_work() == 0

    def have_ended(self) -> bool:
        """Return whether each instance has ended or is overdue."""
        return len(self._running) == self.tally.overdue

    def when(self, is_reached: Callable[[], bool]) -> asyncio.Future[None]:
        """Return a future that is done when `is_reached()`: one of the two methods above.

        It takes the place of the one that was returned before.
        """
        self._is_reached = is_reached
        self._waiter = waiter = asyncio.get_running_loop().create_future()
        self._queues.on_idle = self._check_waiter
        self._check_waiter()
        return waiter

    def cancel_all(self) -> None:
        """Cancel every instance that was not cancelled before, and those started from now on."""
        self._is_closed = True
        # A list: a hook that is told of a dropped message may start an instance.
        for task, details in list(self._running.items()):
            self._take_out(details)
            if not task.done():  # else by itself, in this iteration of the loop
                self._endings.cancel(task, EndCause.STOPPED)

    def cancel_again(self) -> None:
        """Cancel every instance, also those that are cleaning up."""
        self.cancel_all()
        self._endings.cancel_again()

    def abandon(self) -> None:
        """Count every instance that has not ended as overdue, and leave no timer behind."""
        self._endings.expire_all()

    # What happens to an instance

    def _reap(self, task: asyncio.Task[Any]) -> None:
        details = self._running.get(task)
        if details is None:
            return  # forgotten: its loop was closed before this could be called
        cause, was_overdue = self._forget(task)
        exception = None if task.cancelled() else task.exception()
        self.tally.failed += exception is not None
        try:
            undelivered = details["input_queue"].drop_all()
            end = ApplicationEnd(cause, exception, task.cancelled(), was_overdue, undelivered)
            self._observer.instance_ended(details, end)
        finally:
            # Also when a hook exits, or Ctrl-C interrupts it: the server waits for this.
            self._check_waiter()

    def _forget(self, task: asyncio.Task[Any]) -> tuple[EndCause, bool]:
        # A new instance may have taken the place of one that was deleted.
        self._take_out(self._running.pop(task))
        cause, was_overdue = self._endings.pop(task)
        self.tally.ended += 1
        self.tally.overdue -= was_overdue
        return cause, was_overdue

    def _report_overdue(self, task: asyncio.Task[Any]) -> None:
        self.tally.overdue += 1
        self._observer.instance_overdue(self._running[task])
        self._check_waiter()

    def _close_overflowing(self, queue: InputQueue) -> None:
        details = self.by_scope_id.get(queue.scope_id)
        if details is not None and details["input_queue"] is queue:
            self.delete(queue.scope_id, EndCause.OVERFLOWED)
        else:
            queue.close()  # a subclass has taken the instance out of the mapping

    def _is_held(self, details: ApplicationDetails) -> bool:
        return self.by_scope_id.get(details["scope_id"]) is details

    def _take_out(self, details: ApplicationDetails) -> None:
        if self._is_held(details):
            del self.by_scope_id[details["scope_id"]]
        # Last: the hook that is told of the messages that waited for room may ask for a new
        # instance, and is not to get the queue that has dropped them.
        details["input_queue"].close()

    def _check_waiter(self) -> None:
        waiter = self._waiter
        if waiter is not None and self._is_reached():
            self._waiter = None
            self._queues.on_idle = None
            if not waiter.done():
                waiter.set_result(None)
