"""Running application instances, in order of last use."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, TypedDict

from asgi_server._tasks import TaskSet

__all__ = ["ApplicationDetails", "ApplicationInstances"]


class ApplicationDetails(TypedDict):
    """What a server knows of one application instance.

    Keys:
        scope_id: What the instance was asked for by.
        scope: The scope that the application was called with.
        input_queue: The messages that the application's `receive` returns, unbounded.
        future: The task that runs the application.
        last_used: `time.time()` when the instance was last asked for. For people to read: the
            order of eviction does not depend on the clock.
    """

    scope_id: Hashable
    scope: Any
    input_queue: asyncio.Queue[Any]
    future: asyncio.Task[Any]
    last_used: float


class ApplicationInstances:
    """The application instances of one server.

    Invariants: `by_scope_id` holds the instances that take messages, the least recently used
    first; an instance leaves it when it ends or is deleted, whichever is first. A deleted
    instance may still be cleaning up: its task is held until it has ended, and `on_ended` is
    called then, once for every instance ever started.

    Every operation but `cancel_and_wait_ended` takes constant time. Not thread-safe: every
    method is called on the event loop that runs the applications.
    """

    def __init__(self, on_ended: Callable[[ApplicationDetails], None]) -> None:
        # Not a plain dict: finding its first key walks over every slot deleted before it, so
        # that evicting n instances one after the other would take n * n steps.
        self.by_scope_id: OrderedDict[Hashable, ApplicationDetails] = OrderedDict()
        self._tasks = TaskSet()
        self._on_ended = on_ended

    def use(self, scope_id: Hashable) -> ApplicationDetails | None:
        """Return the instance that takes messages for `scope_id`, now the last used, or None."""
        details = self.by_scope_id.get(scope_id)
        if details is None:
            return None
        if details["future"].done():
            # It ended in this iteration of the loop, and its done-callback has not run yet:
            # a message for it would be put where nobody reads.
            del self.by_scope_id[scope_id]
            return None
        details["last_used"] = time.time()
        self.by_scope_id.move_to_end(scope_id)
        return details

    def start(
        self,
        scope_id: Hashable,
        scope: Any,
        input_queue: asyncio.Queue[Any],
        application: Coroutine[Any, Any, Any],
    ) -> ApplicationDetails:
        """Run `application` as the instance of `scope_id`, which must have none."""
        task = self._tasks.start(application, name=f"application {scope_id!r}")
        details = ApplicationDetails(
            scope_id=scope_id,
            scope=scope,
            input_queue=input_queue,
            future=task,
            last_used=time.time(),
        )
        self.by_scope_id[scope_id] = details
        task.add_done_callback(lambda _: self._reap(details))
        return details

    def delete(self, scope_id: Hashable) -> None:
        """Forget the instance of `scope_id` and cancel its task.

        Raises:
            KeyError: There is no such instance.
        """
        self._tasks.cancel(self.by_scope_id.pop(scope_id)["future"])

    def oldest(self) -> Hashable:
        """Return the scope id of the least recently used instance.

        Raises:
            ValueError: There is no instance.
        """
        if not self.by_scope_id:
            raise ValueError("there is no application instance to delete")
        scope_id: Hashable = next(iter(self.by_scope_id))
        return scope_id

    async def cancel_and_wait_ended(self) -> None:
        """Cancel every instance and wait until all have ended, deleted ones included.

        Raises:
            asyncio.CancelledError: The waiting task was cancelled; the instances have ended.
        """
        await self._tasks.wait_ended(cancel=True)

    def _reap(self, details: ApplicationDetails) -> None:
        # A new instance may have taken the place of one that was deleted.
        if self.by_scope_id.get(details["scope_id"]) is details:
            del self.by_scope_id[details["scope_id"]]
        self._on_ended(details)
