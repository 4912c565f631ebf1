"""The communicator for any protocol: messages as they are, in both directions."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import Any

from asgi_server._testing.messages import Input, Output, wake_all
from asgi_server._testing.run import ApplicationRun, application_under_test

__all__ = ["ApplicationCommunicator"]


class ApplicationCommunicator:
    """One call of an application, with a queue on either side.

    The application starts when the communicator is first used for anything but its queues, on
    the event loop that runs then. It runs until it ends by itself, `stop()` or a timed-out
    `wait()` cancels it, the communicator is left as an `async with` block, or is collected. All
    other waiting leaves it alone: a `receive_output()` that times out or is cancelled can be
    called again.

    As a context manager it waits, at the end of the block, until the application has ended; one
    that still runs is cancelled. What it raised is raised there, unless the test has seen it
    before; if the block raises, that error is kept, and has the application's as a note.

    Args:
        application: An ASGI application, single- or double-callable.
        scope: What the application is called with.
        context: The context that the application runs in; by default an empty one, since a
            server sets nothing. With `contextvars.copy_context()` it sees what the test has set.
        validate: Check the messages of both sides with `asgi_server.validation`.

    Attributes:
        application: As a single-callable.
        scope: As given.

    Raises:
        TypeError: `application` is not an ASGI application.

    It can be made anywhere, without an event loop, and is then used on one loop only, that of
    the tests that use it: its methods raise RuntimeError on another one.

    Source: https://asgi.readthedocs.io/en/latest/specs/main.html ("Applications").
    """

    def __init__(
        self,
        application: Callable[..., Any],
        scope: Any,
        *,
        context: contextvars.Context | None = None,
        validate: bool = False,
    ) -> None:
        self.application: Callable[..., Awaitable[Any]] = application_under_test(
            application, validate=validate
        )
        self.scope = scope
        self._input = Input()
        self._output = Output()
        self._run = ApplicationRun(
            self.application,
            scope,
            self._input.receive,
            self._output.send,
            on_end=partial(wake_all, self._input, self._output),
            context=context,
        )

    @property
    def input_queue(self) -> asyncio.Queue[Any]:
        """The messages that the application has not received yet."""
        return self._input.queue

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
        return self._run.task

    async def __aenter__(self) -> ApplicationCommunicator:
        self._run.require_running_loop()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._run.cancel_and_wait()
        if exc is None:
            self._run.raise_failure(again=False)
        else:
            self._run.note_failure(exc)

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
        self._run.require_running_loop()
        application = self._run.task
        await asyncio.wait({application}, timeout=timeout)
        if not application.done():
            self._run.cancel()
            await asyncio.wait({application})
        self._run.raise_failure()

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
        if not self._run.was_started:
            return
        if not self._run.has_ended:
            self._run.cancel()
        elif exceptions:
            self._run.raise_failure()
        else:
            self._run.forget_failure()

    def __del__(self) -> None:
        run = getattr(self, "_run", None)  # None if __init__ raised
        if run is not None:
            run.cancel()

    async def send_input(self, message: Any) -> None:
        """Put `message` where the application's `receive` finds it. Never waits.

        Args:
            message: As the application is to get it.

        Raises:
            Exception: What the application raised, if it has failed.
            ApplicationCancelledError: It was cancelled, and not by this communicator.
        """
        self._run.require_running_loop()
        self._run.raise_failure()
        self._input.queue.put_nowait(message)

    async def receive_output(self, timeout: float | None = 1) -> Any:
        """Return the next message that the application sends.

        Messages come before the failure of the application, and a failure ends the wait at
        once. After a return it goes on, since tasks of the application may still send.

        Args:
            timeout: Seconds; None to wait for ever.

        Raises:
            TimeoutError: Nothing was sent in time; it says where the application is. Nothing
                else has changed.
            Exception: What the application raised, once all that it sent was received.
            ApplicationCancelledError: It was cancelled, and not by this communicator.
        """
        self._run.require_running_loop()
        if not await self._wait_for_output(timeout):
            self._run.raise_failure()
            raise TimeoutError(
                f"the application under test sent nothing within {timeout} s: {self._run.place}"
            )
        return self._output.take()

    async def receive_nothing(self, timeout: float = 0.1, interval: float = 0.01) -> bool:
        """Return whether the application sends nothing for `timeout` seconds.

        Returns False as soon as there is a message, which stays to be received; True as soon as
        the application has failed, and its error is raised by the next call of any method.

        No time needs to pass where the application answers each message before it asks for the
        next one: `await wait_receiving()`, then `receive_nothing(timeout=0)`.

        Args:
            timeout: Seconds.
            interval: Not needed any more: nothing is polled.

        Raises:
            Exception: What the application raised, if it had failed before and all that it
                sent was received.
            ApplicationCancelledError: It was cancelled, and not by this communicator.
        """
        self._run.require_running_loop()
        if self._output.queue.empty():
            self._run.raise_failure()
        return not await self._wait_for_output(timeout)

    async def wait_receiving(self, timeout: float | None = 1) -> None:
        """Wait until the application has taken all input and asks for more, or has ended.

        What it was going to send in answer is then there, unless other tasks of its send it.
        No time has to pass for that.

        Args:
            timeout: Seconds; None to wait for ever.

        Raises:
            TimeoutError: It does neither in time; it says where the application is.
        """
        self._run.require_running_loop()
        if not await self._input.changed.wait_until(
            lambda: self._input.is_waited_for or self._run.has_ended, timeout
        ):
            raise TimeoutError(
                f"the application under test has not asked for input within {timeout} s:"
                f" {self._run.place}"
            )

    async def _wait_for_output(self, timeout: float | None) -> bool:
        """Wait for a message, or for a failure; return whether there is a message."""
        await self._output.changed.wait_until(
            lambda: self._run.has_failed or not self._output.queue.empty(), timeout
        )
        return not self._output.queue.empty()
