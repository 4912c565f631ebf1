"""One call of an application under test, in a task, and how it ends."""

from __future__ import annotations

import asyncio
import contextvars
import traceback
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any

from asgi_server._application import required_single_callable, run_application
from asgi_server._testing.errors import ApplicationCancelledError, ClientDisconnectedError
from asgi_server._testing.places import describe

__all__ = ["ApplicationRun", "add_note", "application_under_test"]


def application_under_test(
    application: Callable[..., Any], *, validate: bool
) -> Callable[..., Awaitable[Any]]:
    """Return `application` as a single-callable, inside of the validator if `validate`.

    Raises:
        TypeError: `application` is not an ASGI application.
    """
    single_callable = required_single_callable(application)
    if not validate:
        return single_callable
    # Not at the top: it is a large module, and few tests want it.
    from asgi_server.validation import validator

    return validator(single_callable)


class ApplicationRun:
    """One call of an application, from its start to its end.

    Args:
        application: A single-callable.
        scope: What it is called with, as are the next two.
        receive: Gives a message to the application.
        send: Takes a message of the application.
        on_end: Called on the event loop when the application has ended.
        context: What it runs in. None for an empty one: an application cannot count on what
            its caller has set, since the server that will call it sets nothing.
    """

    def __init__(
        self,
        application: Callable[..., Awaitable[Any]],
        scope: Any,
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Awaitable[None]],
        *,
        on_end: Callable[[], None],
        context: contextvars.Context | None,
    ) -> None:
        self._call = (application, scope, receive, send)
        self._on_end = on_end
        self._context = context
        self._task: asyncio.Task[Any] | None = None
        self._was_cancelled_here = False
        self._failed_at: TracebackType | None = None
        self._failure_was_raised = False

    @property
    def task(self) -> asyncio.Task[Any]:
        """The task, which is started now if it was not before.

        Raises:
            RuntimeError: It is to be started, and no event loop is running.
        """
        if self._task is None:
            loop = asyncio.get_running_loop()
            context = contextvars.Context() if self._context is None else self._context
            self._task = loop.create_task(run_application(*self._call), context=context)
            on_end = self._on_end
            self._task.add_done_callback(lambda _: on_end())
        return self._task

    @property
    def was_started(self) -> bool:
        """Whether there is a task."""
        return self._task is not None

    def require_running_loop(self) -> None:
        """Start the task if there is none, and see that it belongs to the running event loop.

        Raises:
            RuntimeError: It belongs to another one, where nothing that is done here arrives.
        """
        if self.task.get_loop() is not asyncio.get_running_loop():
            raise RuntimeError(
                "the application under test was started on another event loop than the one that"
                " runs now: make one communicator for each event loop"
            )

    @property
    def has_ended(self) -> bool:
        """Whether the task has ended, in whatever way."""
        return self.task.done()

    @property
    def has_failed(self) -> bool:
        """Whether `raise_failure` would raise."""
        return self._failure() is not None

    def raise_failure(self, *, again: bool = True) -> None:
        """Raise what has ended the application, unless it has returned or was cancelled here.

        Args:
            again: Also if it was raised before.

        Raises:
            Exception: What the application raised.
            ApplicationCancelledError: It was cancelled, and not by `cancel`.
        """
        error = self._failure()
        if error is None or (self._failure_was_raised and not again):
            return
        self._failure_was_raised = True
        # An error may be raised to the test many times: each time with the frames of the
        # application, and without those of the last time. `Task.result()` would drop the
        # former from the second time on, and a plain `raise` keep the latter.
        self._failed_at = self._failed_at or error.__traceback__
        try:
            raise error.with_traceback(self._failed_at)
        finally:
            del error  # a frame that refers to its own error is a reference cycle

    def note_failure(self, error: BaseException) -> None:
        """Add to the test's own `error` what the test does not know yet of the application."""
        failure = self._failure()
        if failure is None or failure is error or self._failure_was_raised:
            return
        self._failure_was_raised = True
        add_note(error, "The application under test had failed as well:", failure)

    def forget_failure(self) -> None:
        """Keep the event loop from logging a failure that nobody has asked for."""
        if self._task is not None and self._task.done() and not self._task.cancelled():
            self._task.exception()

    def cancel(self) -> None:
        """Cancel the task if there is one and it runs. Does not wait. Thread-safe."""
        task = self._task
        if task is None or task.done():
            return
        loop = task.get_loop()
        # A closed loop runs nothing any more, and refuses to be told of a cancellation.
        if loop.is_closed():
            return
        self._was_cancelled_here = True
        if loop.is_running() and not _is_running_here(loop):
            # What is collected is so in any thread.
            loop.call_soon_threadsafe(task.cancel)
        else:
            task.cancel()

    async def cancel_and_wait(self) -> None:
        """Cancel the task and wait until it has ended, also if this wait is cancelled.

        Raises:
            asyncio.CancelledError: The waiting task was cancelled; the application has ended.
        """
        cancellation: asyncio.CancelledError | None = None
        while self._task is not None and not self._task.done():
            self.cancel()
            try:
                await asyncio.wait({self._task})
            except asyncio.CancelledError as error:
                cancellation = error
        if cancellation is not None:
            try:
                raise cancellation
            finally:
                del cancellation  # a frame that refers to its own error is a reference cycle

    async def wait_ended(self, timeout: float | None) -> None:
        """Wait until the task has ended, however it ends.

        Raises:
            TimeoutError: It goes on.
        """
        self.require_running_loop()
        await asyncio.wait({self.task}, timeout=timeout)
        if not self.task.done():
            raise TimeoutError(
                f"the application under test has not ended within {timeout} s: {self.place}"
            )

    @property
    def place(self) -> str:
        """Where the application is, in words."""
        return describe(self.task)

    def _failure(self) -> BaseException | None:
        task = self.task
        if not task.done():
            return None
        if not task.cancelled():
            error = task.exception()
            return None if error is None or _is_disconnect(error) else error
        if self._was_cancelled_here:
            return None
        return ApplicationCancelledError(
            "the application was cancelled, and not by the communicator that runs it"
        )


def _is_running_here(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


def add_note(error: BaseException, heading: str, other: BaseException) -> None:
    """Have the report of `error` show `other`, too, which comes second."""
    report = "".join(traceback.format_exception(other)).rstrip()
    error.add_note(f"{heading}\n{report}")


def _is_disconnect(error: BaseException) -> bool:
    """Whether it is no more than what `send` raises when the client has gone."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(ClientDisconnectedError)[1] is None
    return isinstance(error, ClientDisconnectedError)
