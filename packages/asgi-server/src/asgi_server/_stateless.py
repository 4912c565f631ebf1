"""The base class of servers whose protocol has no connections: datagrams, queues, channels.

Guarantees, which every method below keeps:

- An application ends alone. Whether it returns, raises or is cancelled, the server and the other
  applications go on.
- What an application raises is told to `application_exception` when it is raised, once; its end,
  whichever way, to `application_ended`, once; a message that no application will receive to
  `application_dropped`.
- When `arun()` has ended, whichever way, so has every task that it or an application instance
  needed, but for those that ignored their cancellation, which `application_overdue` was told of.

Nothing is polled: each task has a done-callback, so a message, a failure and an eviction cost
the same with one scope and with a hundred thousand.

What a server does is elsewhere; here is what subclasses and users see of it, but for
the hooks, which are in `_hooks`.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

from asgi_server._application import Send, required_single_callable, run_application
from asgi_server._counters import ServerCounters
from asgi_server._endings import EndCause
from asgi_server._hooks import ApplicationHooks, HookCaller
from asgi_server._input_queue import InputQueue
from asgi_server._instances import ApplicationDetails, ApplicationInstances
from asgi_server._lifespan import Lifespan
from asgi_server._reports import Reports
from asgi_server._running import run_with_signals
from asgi_server._serving import Parts, Serving
from asgi_server._settings import (
    GRACE_PERIOD,
    STOP_TIMEOUT,
    LifespanMode,
    QueuePolicy,
    Settings,
)
from asgi_server._stopping import StopRequest
from asgi_server._tasks import TaskSet

__all__ = ["StatelessServer"]

logger = logging.getLogger("asgi_server")


class StatelessServer(ApplicationHooks):
    """A server that finds the application instance of each message by a scope id of its own.

    Subclass it and write `handle()`, which receives from the transport, and
    `application_send()`, which sends to it. `handle()` asks for the input queue of a scope id
    with `get_or_create_application_instance()` and puts the message there; the instance is
    started the first time. As no connection says when a scope is over, an instance has to end
    when there would be more than `max_applications`: the one that has waited longest for a
    message, or, where all are at work, the least recently used one.

    Args:
        application: An ASGI application, single- or double-callable.
        max_applications: How many instances take messages at most. One that was told to end may
            still be cleaning up beside them.
        queue_limit: How many messages wait for one instance at most; None for no limit.
        queue_policy: What a full queue does: `"wait"`, `"drop_oldest"` or `"close"`. See
            `get_or_create_application_instance()`.
        grace_period: Seconds that an instance has to end after it was told to by a message
            (`application_disconnect()`), and again after it was cancelled. After that it is
            reported to `application_overdue()`, and no longer waited for. The same goes for
            `handle()`, for the hooks and for the lifespan.
        stop_timeout: Seconds that the instances have, when the input has ended, to finish what
            they have been given; and that the application has to shut down its lifespan.
        lifespan: Whether the application is called with a scope of the type `lifespan` while
            `arun()` runs. `"off"`: it is not, as most applications of such servers know nothing
            of it. `"auto"`: it is; if it raises, ends, answers with something else or receives
            on without an answer, it has no lifespan, and is served as if off. `"on"`: it must
            have one. When its startup is complete, each scope has a copy of its `state`.

    Attributes:
        max_applications: As given; may be changed at any time, and holds from the next new
            instance on.
        application_checker_interval: Seconds between two looks of an `application_checker()`
            that a subclass wrote to look at something periodically. Unused here.

    Raises:
        TypeError: `application` is not an ASGI application, or a number is not one.
        ValueError: `max_applications` or `queue_limit` is less than 1, a number of seconds is
            negative or not finite, or a choice is none of those above.

    A server is used from one thread, on the event loop that runs `arun()`; only `stop()` may be
    called from others. It may be made in any thread, without a loop, and be run again after it
    has ended. All hooks run on that loop.

    Source: https://asgi.readthedocs.io/en/latest/specs/main.html ("Overview", "Applications"),
    and https://asgi.readthedocs.io/en/latest/specs/lifespan.html.
    """

    application_checker_interval: float = 0.1

    def __init__(
        self,
        application: Callable[..., Any],
        max_applications: int = 1000,
        *,
        queue_limit: int | None = None,
        queue_policy: QueuePolicy = "wait",
        grace_period: float = GRACE_PERIOD,
        stop_timeout: float = STOP_TIMEOUT,
        lifespan: LifespanMode = "off",
    ) -> None:
        self.application = application
        if not isinstance(max_applications, (int, float)):
            raise TypeError(f"max_applications must be a number, not {max_applications!r}")
        # Not `<`: nothing is less than NaN, nor greater.
        if not max_applications >= 1:
            raise ValueError(f"max_applications must be at least 1, not {max_applications!r}")
        self.max_applications = max_applications
        # Two underscores: subclasses have private attributes of their own.
        self.__settings = Settings(
            queue_limit=queue_limit,
            queue_policy=queue_policy,
            grace_period=grace_period,
            stop_timeout=stop_timeout,
            lifespan=lifespan,
        )
        self.__reports = Reports()
        self.__instances = ApplicationInstances(self.__settings, HookCaller(self, self.__reports))
        self.__tasks = TaskSet()
        self.__stop_request = StopRequest()
        self.__lifespan: Lifespan | None = None
        self.__cause_of_deletion = EndCause.DELETED

    @property
    def application(self) -> Callable[..., Any]:
        """The application as given. A new one serves the instances that are started after."""
        return self.__application

    @application.setter
    def application(self, application: Callable[..., Any]) -> None:
        self.__single_callable = required_single_callable(application)
        self.__application = application

    @property
    def application_instances(self) -> OrderedDict[Hashable, ApplicationDetails]:
        """The instances that take messages, by scope id, the least recently used first.

        To look at: instances are started and deleted by the methods of the server.
        """
        return self.__instances.by_scope_id

    # To be written by subclasses

    async def handle(self) -> None:
        """Receive from the transport until there is nothing more to serve.

        Runs as a part of `arun()`, in a task of its own. `arun()` ends when it returns or
        raises, and cancels it when the server is to stop. Several listeners are best run in an
        `asyncio.TaskGroup` here: when one of them fails, the others are cancelled and the server
        ends, where it would otherwise go on with a part of its input.
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

    # To be changed by subclasses, beside the hooks of `ApplicationHooks`

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

        In the main thread, the first SIGINT (Ctrl-C) or SIGTERM does what `stop()` does, the
        second what `stop(at_once=True)` does, and a third raises KeyboardInterrupt in whatever
        code is running. `run()` then returns, and the signals are what they were before. A signal
        for which the program has set a handler of its own is left to that, which may call
        `stop()`. In another thread, where there are no signals, call `stop()`.

        Applications, hooks and other tasks that ignore their cancellation are left behind, and
        logged as errors. Threads are not: the interpreter waits for them at its exit.

        Raises:
            RuntimeError: An event loop is running in this thread: await `arun()` there.
            BaseException: What `arun()` raises, except KeyboardInterrupt.

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
        # Not self.stop: a subclass written for asgiref may have one that does something else.
        stop = self.__stop_request.ask
        try:
            number = run_with_signals(self.arun, stop, self.__settings.grace_period)
        except KeyboardInterrupt:
            number = signal.SIGINT
        finally:
            # A signal may have come when everything had ended: it is not for the next run().
            self.__stop_request.forget()
        if number is not None:
            name = "Ctrl-C/interrupt" if number == signal.SIGINT else signal.Signals(number).name
            logger.info("Exiting due to %s", name)

    async def arun(self) -> None:
        """Serve until `handle()` ends or the server is stopped, then end every application.

        When `handle()` returned or `stop()` was called, the instances finish what they have been
        given, for `stop_timeout` seconds at most. When something failed, or the task that runs
        this is cancelled, they do not. In either case all are cancelled then, and waited for,
        for `grace_period` seconds at most; so are the hooks, and the application's lifespan. A
        second cancellation cancels what is cleaning up once more; none leaves anything behind.

        Raises:
            RuntimeError: It is running already.
            asyncio.CancelledError: The task that runs it was cancelled.
            LifespanError: The application could not start up, or could not shut down.
            BaseException: What `handle()`, `application_checker()`, a hook, or the application
                in its lifespan raised: the error itself when there is one, a
                `BaseExceptionGroup` of several.
        """
        stop = self.__stop_request.begin()
        settings = self.__settings
        try:
            self.__instances.open()
            if settings.lifespan != "off":
                self.__lifespan = Lifespan(self.__single_callable, settings.lifespan, self.__tasks)
            parts = Parts(
                settings,
                self.__instances,
                self.__reports,
                self.__tasks,
                self.handle,
                self.application_checker,
            )
            await Serving(parts, stop, self.__lifespan).run()
        finally:
            self.__instances.open()
            self.__lifespan = None
            self.__stop_request.end()

    def stop(self, *, at_once: bool = False) -> None:
        """Have `arun()` end: it takes no more input, and lets the applications finish.

        May be called from any thread, from a signal handler and from applications. If `arun()`
        does not run, the next one ends as soon as it begins.

        Args:
            at_once: Wait for nothing: cancel everything, and end in a moment. May follow a call
                without.
        """
        self.__stop_request.ask(at_once)

    def counters(self) -> ServerCounters:
        """Return the counters of this moment, in constant time. On the server's event loop."""
        return self.__instances.counters()

    # Application instances

    def get_or_create_application_instance(self, scope_id: Hashable, scope: Any) -> InputQueue:
        """Return the queue of messages for `scope_id`, of an instance that is running.

        A new instance is started, in a copy of the current context, if there is none or if it
        has ended; when there are `max_applications` already, `delete_oldest_application_instance`
        makes room.

        Args:
            scope_id: Whatever tells one scope from another: an address, a channel name.
            scope: What a new instance is called with. Ignored when one is running.

        Returns:
            The queue that the application's `receive` takes from. Ask for it anew for each
            message: what is put after the instance has ended, or was told to, is dropped.
            Without `queue_limit`, `put_nowait()` and `put()` take every message at once. When
            the queue is full, it depends on `queue_policy`:

            - `"wait"`: `put_nowait()` raises `asyncio.QueueFull`; `await put()` waits for room,
              and messages are received in the order of the calls.
            - `"drop_oldest"`: the message that waited longest is dropped, and the new one taken.
            - `"close"`: the instance has to end, and the new message is dropped.

        Raises:
            RuntimeError: There is none yet, and no event loop is running in this thread.
        """
        details = self.__instances.use(scope_id)
        if details is None:
            asyncio.get_running_loop()  # without one, raise before anything is deleted
            self.__make_room()
            # A hook that was told of what had to go may have started it: there is one at most.
            details = self.__instances.use(scope_id) or self.__start(scope_id, scope)
        return details["input_queue"]

    def delete_oldest_application_instance(self) -> None:
        """End the instance that has been idle longest, or, if none is, the least recently used.

        Called to make room for a new instance; a subclass may choose another one to delete. An
        instance is idle while it waits in `receive()` with no message in its queue.

        Raises:
            ValueError: There is no instance.
        """
        self.delete_application_instance(self.__instances.oldest())

    def delete_application_instance(self, scope_id: Hashable) -> None:
        """Tell the instance of `scope_id` to end, and take no more messages for it.

        It gets the message that `application_disconnect()` returns, behind those in its queue,
        and is cancelled when it has not ended in the grace period; without one it is cancelled
        here. It may go on to clean up, and `arun()` waits for that; a new instance for the same
        `scope_id` does not. Messages that it does not receive are dropped.

        Args:
            scope_id: What the instance was asked for by.

        Raises:
            KeyError: There is no such instance.
        """
        self.__instances.delete(scope_id, self.__cause_of_deletion)

    def __make_room(self) -> None:
        while (size := len(self.__instances.by_scope_id)) >= self.max_applications:
            # Not an argument: subclasses override the methods that this goes through.
            self.__cause_of_deletion = EndCause.EVICTED
            try:
                self.delete_oldest_application_instance()
            finally:
                self.__cause_of_deletion = EndCause.DELETED
            if len(self.__instances.by_scope_id) >= size:
                return  # a subclass chose to keep them all

    def __start(self, scope_id: Hashable, scope: Any) -> ApplicationDetails:
        instances = self.__instances
        queue = instances.new_queue(scope_id)
        send = Send(self.application_send, scope, instances.tally)
        lifespan = self.__lifespan
        given = scope if lifespan is None else lifespan.scope_with_state(scope)
        call = run_application(self.__single_callable, given, queue.get, send)
        return instances.start(scope, queue, call)
