"""One `arun()`, from the startup of the application to the end of the last task.

1. The application's lifespan starts up.
2. `handle()` takes input, until it ends, the server is told to stop, or something fails.
3. Input has ended: `handle()` is cancelled. Unless something failed, the application instances
   finish what they have been given, for `stop_timeout` seconds at most.
4. All instances are cancelled, and have `grace_period` seconds to clean up.
5. The hooks that were told of their ends end.
6. The application's lifespan shuts down.

Every step but the first two takes a bounded time. What has not ended then is reported as an
error, and left: a task cannot be ended against its will. An error does not keep the steps after
it from being done; it is raised when all are.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from asgi_server._instances import ApplicationInstances
from asgi_server._lifespan import Lifespan
from asgi_server._reports import Reports
from asgi_server._settings import Settings
from asgi_server._stopping import Stop
from asgi_server._tasks import TaskSet, call_async

__all__ = ["Parts", "Serving"]

logger = logging.getLogger("asgi_server")


@dataclass(frozen=True, slots=True)
class Parts:
    """What a server consists of while it runs.

    Attributes:
        settings: Of the server.
        instances: Of the application.
        reports: The calls of hooks.
        tasks: Everything else that runs; a task that does not end stays in it.
        handle: Takes input.
        checker: Runs beside it.
    """

    settings: Settings
    instances: ApplicationInstances
    reports: Reports
    tasks: TaskSet
    handle: Callable[[], Awaitable[None]]
    checker: Callable[[], Awaitable[None]]


class Serving:
    """One `arun()` of a server, on the event loop that runs it."""

    def __init__(self, parts: Parts, stop: Stop, lifespan: Lifespan | None) -> None:
        self._settings = parts.settings
        self._instances = parts.instances
        self._reports = parts.reports
        self._tasks = parts.tasks
        self._parts = parts
        self._stop = stop
        self._lifespan = lifespan
        self._errors: list[BaseException] = []

    async def run(self) -> None:
        """Go through all steps.

        Raises:
            asyncio.CancelledError: The task was cancelled, and nothing failed.
            BaseException: What failed; a `BaseExceptionGroup` of several errors.
        """
        if await self._start_up():
            await self._take_input()
        await self._end_instances()
        await self._end_reports()
        await self._shut_down()
        self._raise_errors()

    @property
    def _is_graceful(self) -> bool:
        return self._stop.cancellation is None and not self._errors

    async def _start_up(self) -> bool:
        """Return whether input may be taken."""
        if self._lifespan is not None:
            ready = self._lifespan.ready
            await self._stop.wait_any(ready)
            if ready.done():
                self._note_error_of(ready)
        return self._is_graceful and not self._stop.stopping.done()

    async def _take_input(self) -> None:
        report = self._reports.listen()
        handle = self._tasks.start(call_async(self._parts.handle), name="handle")
        checker = self._tasks.start(call_async(self._parts.checker), name="application_checker")
        failures = [report]
        if self._lifespan is not None:
            failures.append(self._lifespan.failed)
        await self._stop.wait_any(handle, checker, *failures)
        if _has_returned(checker) and self._stop.cancellation is None:
            # That is no reason to end.
            await self._stop.wait_any(handle, *failures)
        await self._end_input([handle, checker])
        for failure in failures:
            if failure.done():
                self._note_error_of(failure)
        report.cancel()

    async def _end_input(self, tasks: list[asyncio.Task[None]]) -> None:
        # What ended as cancelled before it was cancelled here has failed: `handle()` may await
        # a listener that somebody else has cancelled.
        cancelled = [task for task in tasks if task.cancel()]
        seconds = self._settings.grace_period
        await self._stop.wait_all(
            *tasks, seconds=seconds, on_cancelled=lambda: [task.cancel() for task in tasks]
        )
        for task in tasks:
            if not task.done():
                logger.error("%s() was cancelled, and has not ended in time", task.get_name())
            elif not (task.cancelled() and task in cancelled):
                self._note_error_of(task)

    async def _end_instances(self) -> None:
        instances, stop = self._instances, self._stop
        again = instances.cancel_again
        if self._is_graceful and not stop.at_once.done():
            instances.begin_stop()
            seconds = self._settings.stop_timeout
            quiet = instances.when(instances.are_quiet)
            is_quiet = await stop.wait_all(quiet, seconds=seconds, on_cancelled=again)
            if not (is_quiet or stop.at_once.done()):
                logger.warning(
                    "%s applications were at work for longer than %s s after the end of the"
                    " input, and are cancelled",
                    instances.at_work(),
                    seconds,
                )
        instances.cancel_all()
        # No time of its own: each instance becomes overdue when its grace period is over.
        ended = instances.when(instances.have_ended)
        await stop.wait_all(ended, seconds=math.inf, on_cancelled=again)
        instances.abandon()

    async def _end_reports(self) -> None:
        seconds = self._settings.grace_period
        if await self._wait_no_report(seconds):
            return
        # A hook that starts an instance whenever one has ended would never come to its end.
        self._reports.are_over = True
        try:
            self._reports.calls.cancel()
            if not await self._wait_no_report(seconds):
                names = sorted({task.get_name() for task in self._reports.calls.running})
                logger.error("Calls of hooks have not ended in %s s: %s", seconds, ", ".join(names))
        finally:
            self._reports.are_over = False

    async def _wait_no_report(self, seconds: float) -> bool:
        calls, instances = self._reports.calls, self._instances
        end = self._stop.loop.time() + seconds
        # A hook may start an instance, which never runs now, yet whose end is told to a hook.
        while (running := calls.running) or not instances.have_ended():
            waiting = running or (instances.when(instances.have_ended),)
            left = max(end - self._stop.loop.time(), 0)
            if not await self._stop.wait_all(*waiting, seconds=left, on_cancelled=calls.cancel):
                return False
            await self._stop.wait_iteration()  # the done-callbacks take them out
        return True

    async def _shut_down(self) -> None:
        lifespan = self._lifespan
        if lifespan is None:
            return
        if lifespan.failed.done():
            self._note_error_of(lifespan.failed)
        if lifespan.ready.done():
            self._note_error_of(lifespan.ready)
            lifespan.shut_down()
            if await self._wait_lifespan(lifespan.done, self._settings.stop_timeout):
                self._note_error_of(lifespan.done)
                # An application that is done returns, if it is let: a cancellation could
                # interrupt what it does after its last message.
                if await self._wait_lifespan(lifespan.task, self._settings.grace_period):
                    return
            else:
                logger.error("The application's lifespan has not ended in time, and is cancelled")
        lifespan.cancel()
        if not await self._wait_lifespan(lifespan.task, self._settings.grace_period):
            logger.error("The application's lifespan has not ended after it was cancelled")

    async def _wait_lifespan(self, future: asyncio.Future[Any], seconds: float) -> bool:
        assert self._lifespan is not None
        cancel = self._lifespan.task.cancel
        return await self._stop.wait_all(future, seconds=seconds, on_cancelled=cancel)

    def _note_error_of(self, future: asyncio.Future[Any]) -> None:
        try:
            error = future.exception()
        except asyncio.CancelledError as cancellation:
            error = cancellation
        # Not `in`, which would take two that are equal for one.
        if error is not None and not any(error is known for known in self._errors):
            self._errors.append(error)

    def _raise_errors(self) -> None:
        errors, self._errors = self._errors, []
        if not errors:
            error: BaseException | None = self._stop.cancellation
        elif len(errors) == 1:
            error = errors[0]
        else:
            error = BaseExceptionGroup("several errors ended the server", errors)
        self._stop.cancellation = None
        if error is not None:
            try:
                raise error
            finally:
                del error, errors  # a frame that refers to its own error is a reference cycle


def _has_returned(task: asyncio.Task[None]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None
