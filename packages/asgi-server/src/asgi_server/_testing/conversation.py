"""What the clients of all protocols have in common: the application's run, and its end."""

from __future__ import annotations

import abc
import contextvars
from collections.abc import Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import Any, TypeVar

from asgi_server._testing.messages import wake_all
from asgi_server._testing.run import ApplicationRun, application_under_test
from asgi_server._testing.server_side import ServerSide

__all__ = ["Conversation"]

_Self = TypeVar("_Self", bound="Conversation")


class Conversation(abc.ABC):
    """A client of one call of an application, as an `async with` block.

    The base of the helpers; see there.
    """

    def __init__(
        self,
        application: Callable[..., Any],
        scope: Any,
        server: ServerSide,
        *,
        context: contextvars.Context | None,
        validate: bool,
        timeout: float | None,
    ) -> None:
        self.application: Callable[..., Awaitable[Any]] = application_under_test(
            application, validate=validate
        )
        self.timeout = timeout
        self._input = server.input
        self._output = server.output
        self._run = ApplicationRun(
            self.application,
            scope,
            server.receive,
            server.send,
            # Not a method, or each would refer to the other.
            on_end=partial(wake_all, server.input, server.output),
            context=context,
        )
        self._was_entered = False
        # Whether the test itself has ended the conversation.
        self._has_left = False

    async def __aenter__(self: _Self) -> _Self:
        if self._was_entered:
            raise RuntimeError(f"this {type(self).__name__} was used before: make a new one")
        self._was_entered = True
        self._run.require_running_loop()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc is not None:
            await self._run.cancel_and_wait()
            self._run.note_failure(exc)
            return
        try:
            if not self._run.has_ended:
                self._leave()
            await self._run.wait_ended(self.timeout)
        except TimeoutError as error:
            await self._run.cancel_and_wait()
            self._run.note_failure(error)
            error.add_note(f"It was cancelled. {self._advice_on_end}")
            raise
        finally:
            # There is nothing left to do, unless this wait itself was cancelled.
            await self._run.cancel_and_wait()
        self._run.raise_failure(again=False)

    async def wait(self) -> None:
        """Wait until the application has ended, for `timeout` seconds.

        Output that was not received can still be.

        Raises:
            TimeoutError: It goes on; it says where the application is.
            Exception: What the application raised.
            ApplicationCancelledError: It was cancelled, and not by `cancel()`.
        """
        self._require_entered()
        try:
            await self._run.wait_ended(self.timeout)
        except TimeoutError as error:
            if self._output.is_full:
                error.add_note(
                    f"{self._output.queue.qsize()} messages are unread, and send() waits for that:"
                    " receive them, or make the communicator with a greater max_unread."
                )
            raise
        self._run.raise_failure()

    async def cancel(self) -> None:
        """Cancel the application, as a server does that has no more time, and wait for its end.

        An application that catches its cancellation and goes on keeps the test waiting, as it
        keeps `asyncio.run()`.

        Raises:
            Exception: What the application raised meanwhile or before.
            ApplicationCancelledError: It was cancelled before, and not by this.
        """
        self._require_entered()
        self._has_left = True
        await self._run.cancel_and_wait()
        self._run.raise_failure(again=False)

    async def receive_nothing(self, timeout: float = 0.1) -> bool:
        """Return whether the application sends nothing for `timeout` seconds.

        Returns False as soon as there is a message, which stays to be received; True also if
        the application ends.

        Args:
            timeout: Seconds. Zero, after `await wait_receiving()`, where the application
                answers before it asks for the next message.

        Raises:
            Exception: What the application raised, if it had failed before and all that it
                sent was received.
        """
        self._require_entered()
        if self._output.queue.empty():
            self._run.raise_failure()
        await self._wait_for_output(timeout)
        return self._output.queue.empty()

    async def wait_receiving(self) -> None:
        """Wait until the application has taken all input and asks for more, or has ended.

        What it was going to send in answer is then there, unless other tasks of its send it.
        No time has to pass for that.

        Raises:
            TimeoutError: It does neither within `timeout` seconds; it says where it is.
        """
        self._require_entered()
        if not await self._input.changed.wait_until(
            lambda: self._input.is_waited_for or self._run.has_ended, self.timeout
        ):
            raise self._timed_out("has not asked for input")

    async def _next_message(self, expected: str) -> Any:
        """Return the next message of the application.

        Raises:
            TimeoutError: There is none in time.
            Exception: What the application raised, once all that it sent was received.
            AssertionError: It has returned, and sent no such message.
            RuntimeError: The test has left, and so what is sent gets lost.
        """
        self._require_entered()
        if not self._has_left:
            await self._wait_for_output(self.timeout)
        if not self._output.queue.empty():
            return self._output.take()
        self._run.raise_failure()
        if self._has_left:
            raise RuntimeError(
                f"the test has left: what the application sends, such as {expected}, is lost"
            )
        if self._run.has_ended:
            raise AssertionError(f"the application returned without sending {expected}")
        raise self._timed_out(f"has not sent {expected}")

    async def _wait_for_output(self, timeout: float | None) -> None:
        await self._output.changed.wait_until(
            lambda: self._run.has_ended or not self._output.queue.empty(), timeout
        )

    def _timed_out(self, what: str) -> TimeoutError:
        return TimeoutError(
            f"the application under test {what} within {self.timeout} s: {self._run.place}"
        )

    def _require_entered(self) -> None:
        if not self._was_entered:
            name = type(self).__name__
            raise RuntimeError(f"use it in a block: async with {name}(...) as ...")
        self._run.require_running_loop()

    @property
    @abc.abstractmethod
    def _advice_on_end(self) -> str:
        """What to do about an application that did not end when the client had left."""

    @abc.abstractmethod
    def _leave(self) -> None:
        """Have the application know that the client goes, if it does not yet."""
