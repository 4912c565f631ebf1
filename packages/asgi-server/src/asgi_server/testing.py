"""Run an ASGI application under test, and talk to it as a server would."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any

from asgi_server._application import run_application
from asgi_server.compatibility import guarantee_single_callable

__all__ = ["ApplicationCancelledError", "ApplicationCommunicator"]


class ApplicationCancelledError(RuntimeError):
    """The application under test was cancelled, and not by its communicator.

    Not an `asyncio.CancelledError`: that would tell the test's own task that it was cancelled.
    """


class ApplicationCommunicator:
    """One call of an application, with a queue on either side.

    The application starts when the communicator is first used for anything but its queues, on
    the event loop that runs then and in an empty `contextvars.Context`. It runs until it ends
    by itself, `stop()` or a timed-out `wait()` cancels it, or the communicator is collected. All
    other waiting leaves it alone: a `receive_output()` that times out or is cancelled can be
    called again.

    Args:
        application: An ASGI application, single- or double-callable.
        scope: What the application is called with.

    Attributes:
        application: As a single-callable.
        scope: As given.

    Raises:
        TypeError: `application` is not an ASGI application.

    It can be made anywhere, without an event loop, and is then used on one loop only, that of
    the tests that use it.

    Source: https://asgi.readthedocs.io/en/latest/specs/main.html ("Applications").
    """

    def __init__(self, application: Callable[..., Any], scope: Any) -> None:
        self.application: Callable[..., Awaitable[Any]] = guarantee_single_callable(application)
        self.scope = scope
        self._input_queue: asyncio.Queue[Any] = asyncio.Queue()
        self._output = _Output()
        self._task: asyncio.Task[Any] | None = None
        self._stopped = False
        self._failed_at: TracebackType | None = None

    @property
    def input_queue(self) -> asyncio.Queue[Any]:
        """The messages that the application has not received yet."""
        return self._input_queue

    @property
    def output_queue(self) -> asyncio.Queue[Any]:
        """The messages that the application has sent and nobody has received."""
        return self._output.queue

    @property
    def future(self) -> asyncio.Task[Any]:
        """The task that runs the application; it is started by the first use.

        Raises:
            RuntimeError: The first use is not on a running event loop.
        """
        if self._task is None:
            loop = asyncio.get_running_loop()
            call = run_application(
                self.application, self.scope, self._input_queue.get, self._output.send
            )
            # No context: an application cannot count on what its caller has set, since the
            # server that will call it sets nothing.
            self._task = loop.create_task(call, context=contextvars.Context())
            self._task.add_done_callback(self._output.notify)
        return self._task

    async def wait(self, timeout: float | None = 1) -> None:
        """Wait until the application ends; after `timeout` seconds, cancel it and wait for that.

        Output that was not received can still be. If the waiting task is cancelled, the
        application is not.

        Args:
            timeout: Seconds; None to wait for ever.

        Returns:
            Nothing, when the application has returned, or was cancelled by the time-out here
            or by `stop()`.

        Raises:
            Exception: What the application raised, also while it was being cancelled.
            ApplicationCancelledError: It was cancelled in another way.
        """
        application = self.future
        await asyncio.wait({application}, timeout=timeout)
        if not application.done():
            self._cancel(application)
            await asyncio.wait({application})
        self._raise_failure(application)

    def stop(self, exceptions: bool = True) -> None:
        """Cancel the application if it is running; it ends when the event loop next runs.

        An application that was not started is not started, and nothing happens when its event
        loop is closed.

        Args:
            exceptions: Raise what the application raised, if it has ended already.

        Raises:
            Exception: What the application raised.
            ApplicationCancelledError: It was cancelled in another way than by this communicator.
        """
        application = self._task
        if application is None:
            return
        if not application.done():
            self._cancel(application)
        elif exceptions:
            self._raise_failure(application)
        elif not application.cancelled():
            application.exception()  # the caller wants none: neither does the event loop's log

    def __del__(self) -> None:
        application = getattr(self, "_task", None)  # None too if __init__ raised
        if application is not None and not application.done():
            self._cancel(application)

    async def send_input(self, message: Any) -> None:
        """Put `message` where the application's `receive` finds it. Never waits.

        Raises:
            Exception: What the application raised, if it has failed.
            ApplicationCancelledError: It was cancelled, and not by this communicator.
        """
        self._raise_failure(self.future)
        self._input_queue.put_nowait(message)

    async def receive_output(self, timeout: float | None = 1) -> Any:
        """Return the next message that the application sends.

        Messages come before the failure of the application, and a failure ends the wait at
        once. After a return it goes on, since tasks of the application may still send.

        Args:
            timeout: Seconds; None to wait for ever.

        Raises:
            TimeoutError: Nothing was sent in time. Nothing else has changed.
            Exception: What the application raised, once all that it sent was received.
            ApplicationCancelledError: It was cancelled, and not by this communicator.
        """
        application = self.future
        async with asyncio.timeout(timeout):
            while self._output.queue.empty():
                self._raise_failure(application)
                await self._output.wait_notified()
        return self._output.queue.get_nowait()

    async def receive_nothing(self, timeout: float = 0.1, interval: float = 0.01) -> bool:
        """Return whether the application sends nothing for `timeout` seconds.

        Returns False as soon as there is a message, which stays to be received. An application
        that fails meanwhile sends nothing; its error is raised by the next call of any method.

        Args:
            timeout: Seconds.
            interval: Not needed any more: nothing is polled.

        Raises:
            Exception: What the application raised, if it had failed before and all that it
                sent was received.
            ApplicationCancelledError: It was cancelled, and not by this communicator.
        """
        application = self.future
        if self._output.queue.empty():
            self._raise_failure(application)
        try:
            async with asyncio.timeout(timeout):
                while self._output.queue.empty():
                    await self._output.wait_notified()
        except TimeoutError:
            pass
        return self._output.queue.empty()

    def _cancel(self, application: asyncio.Task[Any]) -> None:
        # A closed loop runs nothing any more, and refuses to be told of a cancellation.
        if not application.get_loop().is_closed():
            self._stopped = True
            application.cancel()

    def _raise_failure(self, application: asyncio.Task[Any]) -> None:
        if not application.done():
            return
        if application.cancelled():
            if self._stopped:
                return
            raise ApplicationCancelledError(
                "the application was cancelled, and not by stop() or a timed-out wait()"
            )
        error = application.exception()
        if error is not None:
            # An error may be raised to the test many times: each time with the frames of the
            # application, and without those of the last time. `Task.result()` would drop the
            # former from the second time on, and a plain `raise` keep the latter.
            self._failed_at = self._failed_at or error.__traceback__
            try:
                raise error.with_traceback(self._failed_at)
            finally:
                del error  # a frame that refers to its own error is a reference cycle


class _Output:
    """The messages of the application, and a notice for those who wait for one.

    Kept apart from the communicator so that the application's task does not refer to it: a
    communicator that is dropped is collected, and cancels the application.
    """

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Any] = asyncio.Queue()
        self._notice = asyncio.Event()

    async def send(self, message: Any) -> None:
        """Take a message of the application: its `send`."""
        await self.queue.put(message)
        self._notice.set()

    def notify(self, application: asyncio.Task[Any]) -> None:
        """Wake those who wait: the application has ended."""
        self._notice.set()

    async def wait_notified(self) -> None:
        """Wait until there is a message or the application has ended, from now on.

        Nothing is taken from the queue here, so that a wait that is cancelled loses nothing.
        """
        self._notice.clear()
        await self._notice.wait()
