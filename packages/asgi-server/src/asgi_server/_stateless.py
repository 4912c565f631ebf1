"""The base class of servers whose protocol has no connections: datagrams, queues, channels.

Guarantees, which every method below keeps:

- An application ends alone. Whether it returns, raises or is cancelled, the server and the other
  applications go on.
- What an application raises is told to `application_exception` when it is raised, once.
- When `arun()` has ended, whichever way, so has every task that it or an application instance
  needed.

Nothing is polled: each task has a done-callback, so a message, a failure and an eviction cost
the same with one scope and with a hundred thousand.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Any

from asgi_server._application import run_application
from asgi_server._instances import ApplicationDetails, ApplicationInstances
from asgi_server._reports import Reports
from asgi_server.compatibility import guarantee_single_callable

__all__ = ["StatelessServer"]

logger = logging.getLogger("asgi_server")


class StatelessServer:
    """A server that finds the application instance of each message by a scope id of its own.

    Subclass it and write `handle()`, which receives from the transport, and
    `application_send()`, which sends to it. `handle()` asks for the input queue of a scope id
    with `get_or_create_application_instance()` and puts the message there; the instance is
    started the first time. As no connection says when a scope is over, the instance that was
    not used for the longest time is cancelled when there would be more than `max_applications`.

    Args:
        application: An ASGI application, single- or double-callable.
        max_applications: How many instances take messages at most. A deleted instance may
            still be cleaning up beside them.

    Attributes:
        max_applications: As given; may be changed at any time, and holds from the next new
            instance on.
        application_checker_interval: Seconds between two looks of an `application_checker()`
            that a subclass wrote to look at something periodically. Unused here.

    Raises:
        TypeError: `application` is not an ASGI application, or `max_applications` not a number.
        ValueError: `max_applications` is less than 1.

    A server is used from one thread, on the event loop that runs `arun()`. It may be made in
    any thread, without a loop, and be run again after it has ended.

    Source: https://asgi.readthedocs.io/en/latest/specs/main.html ("Overview", "Applications").
    """

    application_checker_interval: float = 0.1

    def __init__(self, application: Callable[..., Any], max_applications: int = 1000) -> None:
        self.application = application
        if not isinstance(max_applications, (int, float)):
            raise TypeError(f"max_applications must be a number, not {max_applications!r}")
        if max_applications < 1:
            raise ValueError(f"max_applications must be at least 1, not {max_applications!r}")
        self.max_applications = max_applications
        self._instances = ApplicationInstances(on_ended=self._report_failure)
        self._reports = Reports()

    @property
    def application(self) -> Callable[..., Any]:
        """The application as given. A new one serves the instances that are started after."""
        return self._application

    @application.setter
    def application(self, application: Callable[..., Any]) -> None:
        self._single_callable = guarantee_single_callable(application)
        self._application = application

    @property
    def application_instances(self) -> OrderedDict[Hashable, ApplicationDetails]:
        """The instances that take messages, by scope id, the least recently used first.

        To look at: instances are started and deleted by the methods of the server.
        """
        return self._instances.by_scope_id

    # To be written by subclasses

    async def handle(self) -> None:
        """Receive from the transport until there is nothing more to serve.

        Runs as a part of `arun()`, which ends when it returns or raises.
        """
        raise NotImplementedError("You must implement handle()")

    async def application_send(self, scope: Any, message: Any) -> None:
        """Send `message` of the application instance that was called with `scope`.

        Runs in the application's task, as its `send`: what is raised here is raised there.

        Args:
            scope: What `get_or_create_application_instance()` was given.
            message: What the application sends.
        """
        raise NotImplementedError("You must implement application_send()")

    # To be changed by subclasses

    async def application_exception(
        self, exception: BaseException, application_details: ApplicationDetails
    ) -> None:
        """Deal with an application that raised: log it, as an error of the logger `asgi_server`.

        Runs in a task of its own, as soon as the application has ended. An error raised here
        ends a serving `arun()`, which raises it; that of a server which is stopping, or was
        never started by `arun()`, goes to the event loop's exception handler.

        Args:
            exception: What the application raised. A cancelled application is no failure, and
                `KeyboardInterrupt` and `SystemExit` leave the event loop by themselves.
            application_details: The instance, which takes no messages any more.
        """
        logger.error("Exception inside application: %s", exception, exc_info=exception)

    async def application_checker(self) -> None:
        """Run beside `handle()` for as long as `arun()` serves; here, wait for ever.

        Ended instances are removed and reported without it. A subclass may override it to look
        at something else from time to time. `arun()` raises what it raises, and goes on when it
        returns.
        """
        await asyncio.get_running_loop().create_future()

    # Running the server

    def run(self) -> None:
        """Run `arun()` on an event loop of its own, in this thread, until it ends.

        KeyboardInterrupt cancels `arun()`, is logged once everything has ended, and is not
        raised. In another thread than the main one, where there are no signals, the server
        ends when `handle()` does.

        Raises:
            RuntimeError: An event loop is running in this thread: await `arun()` there.

        Source: https://docs.python.org/3/library/asyncio-runner.html#asyncio.run.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            raise RuntimeError(
                "run() cannot be called from a running event loop: await arun() instead"
            )
        try:
            asyncio.run(self.arun())
        except KeyboardInterrupt:
            logger.info("Exiting due to Ctrl-C/interrupt")

    async def arun(self) -> None:
        """Serve until `handle()` ends, then cancel every application and wait until all ended.

        Cancelling the task that runs it does the same, and then raises `CancelledError`. A
        second cancellation cancels the applications once more; none is left behind.

        Raises:
            BaseException: What `handle()`, `application_checker()` or `application_exception()`
                raised: the error itself when there is one, a `BaseExceptionGroup` of several.
        """
        try:
            await self._serve()
        finally:
            try:
                await self._instances.cancel_and_wait_ended()
            finally:
                await self._reports.wait_ended()

    async def _serve(self) -> None:
        failure: BaseException
        try:
            async with asyncio.TaskGroup() as group:
                checker = group.create_task(self.application_checker())
                reports = group.create_task(self._reports.wait_failed())
                await self.handle()
                checker.cancel()
                reports.cancel()
            return
        except BaseExceptionGroup as failures:
            failure = failures if len(failures.exceptions) > 1 else failures.exceptions[0]
        # Raised out here, it keeps the cause and context that it was raised with.
        try:
            raise failure
        finally:
            del failure  # a frame that refers to its own error is a reference cycle

    # Application instances

    def get_or_create_application_instance(
        self, scope_id: Hashable, scope: Any
    ) -> asyncio.Queue[Any]:
        """Return the queue of messages for `scope_id`, of an instance that is running.

        A new instance is started, in a copy of the current context, if there is none or if it
        has ended; when there are `max_applications` already, `delete_oldest_application_instance`
        makes room.

        Args:
            scope_id: Whatever tells one scope from another: an address, a channel name.
            scope: What a new instance is called with. Ignored when one is running.

        Returns:
            The queue that the application's `receive` takes from; `put_nowait()` never fails.
            Ask for it anew for each message: what is put, or still there, after the instance
            has ended is received by nobody.

        Raises:
            RuntimeError: No event loop is running in this thread.
        """
        details = self._instances.use(scope_id)
        if details is None:
            asyncio.get_running_loop()  # without one, raise before anything is deleted
            self._make_room()
            details = self._start(scope_id, scope)
        return details["input_queue"]

    def delete_oldest_application_instance(self) -> None:
        """Delete the instance that was not used for the longest time.

        Called to make room for a new instance; a subclass may choose another one to delete.

        Raises:
            ValueError: There is no instance.
        """
        self.delete_application_instance(self._instances.oldest())

    def delete_application_instance(self, scope_id: Hashable) -> None:
        """Cancel the instance of `scope_id`, and take no more messages for it.

        Messages that it has not received are dropped. It may go on to clean up, and `arun()`
        waits for that; a new instance for the same `scope_id` does not.

        Raises:
            KeyError: There is no such instance.
        """
        self._instances.delete(scope_id)

    def _make_room(self) -> None:
        while (size := len(self._instances.by_scope_id)) >= self.max_applications:
            self.delete_oldest_application_instance()
            if len(self._instances.by_scope_id) >= size:
                return  # a subclass chose to keep them all

    def _start(self, scope_id: Hashable, scope: Any) -> ApplicationDetails:
        input_queue: asyncio.Queue[Any] = asyncio.Queue()
        send: Callable[[Any], Awaitable[None]] = functools.partial(self.application_send, scope)
        call = run_application(self._single_callable, scope, input_queue.get, send)
        return self._instances.start(scope_id, scope, input_queue, call)

    def _report_failure(self, details: ApplicationDetails) -> None:
        task = details["future"]
        exception = None if task.cancelled() else task.exception()
        if exception is None or isinstance(exception, (KeyboardInterrupt, SystemExit)):
            return
        self._reports.start(self.application_exception(exception, details))
