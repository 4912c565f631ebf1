"""The lifespan of an application around a test."""

from __future__ import annotations

import contextvars
import enum
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any

from asgi_server._testing.errors import LifespanError
from asgi_server._testing.messages import Input, Output
from asgi_server._testing.run import ApplicationRun, add_note, application_under_test
from asgi_server._testing.scopes import lifespan_scope

__all__ = ["Lifespan"]


class _State(enum.Enum):
    """What the application may send next."""

    STARTUP = ("lifespan.startup.complete", "lifespan.startup.failed")
    SHUTDOWN = ("lifespan.shutdown.complete", "lifespan.shutdown.failed")
    NOTHING = ()


class Lifespan:
    """Starts an application with an `async with` block, and shuts it down at its end.

    For applications that prepare something before their first request. ::

        async with Lifespan(application) as lifespan:
            async with HTTPCommunicator(application, state=lifespan.state) as http:
                ...

    The application runs in one task of its own from its start to its end, whichever tasks enter
    and leave the block. It is shut down also if the block raises; the block's error is kept, and
    has one of the shutdown as a note. In any case it has ended when the block has: one that does
    not end in time is cancelled.

    What the application raises is raised here as it is, with its type and traceback, also where
    it has sent `lifespan.startup.failed` or `lifespan.shutdown.failed` before, as frameworks do:
    on entry of the block, or at its end if it happened later.

    Args:
        application: An ASGI application, single- or double-callable.
        required: Whether the application has to support the protocol. Servers have to go on
            without it when the application raises; if false, so does this, but only if the
            application has raised or returned before it received anything.
        scope: Keys that the scope has besides, or instead.
        context: The context that the application runs in; by default an empty one.
        validate: Check the messages of both sides with `asgi_server.validation`.
        timeout: Seconds that the start may take, and the shutdown; None for ever.

    Attributes:
        state: What the application has put there for its requests; pass it to the communicators.
        is_supported: Whether the application has started; false until then.

    Raises:
        TypeError: `application` is not an ASGI application.

    It can be made anywhere, without an event loop, and is used for one block.

    Source: https://asgi.readthedocs.io/en/latest/specs/lifespan.html.
    """

    def __init__(
        self,
        application: Callable[..., Any],
        *,
        required: bool = True,
        scope: Mapping[str, Any] | None = None,
        context: contextvars.Context | None = None,
        validate: bool = False,
        # A guess: starting may well mean to connect to a database.
        timeout: float | None = 5,
    ) -> None:
        self.application: Callable[..., Awaitable[Any]] = application_under_test(
            application, validate=validate
        )
        self.required = required
        self.timeout = timeout
        self.state: dict[str, Any] = {}
        self.is_supported: bool = False
        self._input = Input()
        self._output = Output()
        self._allowed = _State.STARTUP
        self._was_entered = False
        self._run = ApplicationRun(
            self.application,
            lifespan_scope(self.state, scope),
            self._input.receive,
            self._send,
            on_end=self._output.changed.give,
            context=context,
        )

    async def __aenter__(self) -> Lifespan:
        """Start the application.

        Raises:
            Exception: What the application raised.
            ApplicationCancelledError: It was cancelled.
            LifespanError: It says that it cannot start, and raises nothing; or it has returned.
            TimeoutError: It has not started in time; the error says where it is.
            RuntimeError: The block was entered before.
        """
        if self._was_entered:
            raise RuntimeError("this Lifespan was used before: make a new one")
        self._was_entered = True
        self._input.queue.put_nowait({"type": "lifespan.startup"})
        self._run.require_running_loop()
        try:
            await self._start()
        except BaseException as error:
            await self._run.cancel_and_wait()
            self._run.note_failure(error)
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Shut the application down.

        Raises:
            Exception: What the application raised, here or meanwhile.
            ApplicationCancelledError: It was cancelled.
            LifespanError: It says that it cannot shut down, and raises nothing; or it has
                returned without a word.
            TimeoutError: It has not ended in time, and was cancelled.
        """
        if not self.is_supported:
            return
        try:
            await self._shut_down()
        except Exception as error:
            await self._run.cancel_and_wait()
            self._run.note_failure(error)
            if exc is None:
                raise
            add_note(exc, "The shutdown of the application failed as well:", error)
        finally:
            await self._run.cancel_and_wait()

    async def _start(self) -> None:
        message = await self._answer("has not started")
        if message is None and not self._input.was_asked_for and not self.required:
            self._run.forget_failure()
            return
        if message is None:
            self._run.raise_failure()
            raise LifespanError(
                "the application returned without lifespan.startup.complete: pass required=False"
                " if it need not support the lifespan protocol"
            )
        if message["type"] == "lifespan.startup.failed":
            await self._raise_reason(message)
        self.is_supported = True

    async def _shut_down(self) -> None:
        if not self._run.has_ended:
            self._allowed = _State.SHUTDOWN
            self._input.queue.put_nowait({"type": "lifespan.shutdown"})
            message = await self._answer("has not shut down")
            if message is None:
                self._run.raise_failure()
                raise LifespanError("the application returned without lifespan.shutdown.complete")
            if message["type"] == "lifespan.shutdown.failed":
                await self._raise_reason(message)
            await self._run.wait_ended(self.timeout)
        self._run.raise_failure()

    async def _answer(self, what: str) -> dict[str, Any] | None:
        """Wait for the next message; None if the application ends without one."""
        self._run.require_running_loop()
        await self._output.changed.wait_until(
            lambda: self._run.has_ended or not self._output.queue.empty(), self.timeout
        )
        if not self._output.queue.empty():
            message: dict[str, Any] = self._output.take()
            return message
        if self._run.has_ended:
            return None
        raise TimeoutError(
            f"the application {what} within {self.timeout} s, and was cancelled: {self._run.place}"
        )

    async def _raise_reason(self, message: dict[str, Any]) -> None:
        """Raise what made the application send `message`, which says that something failed."""
        try:
            await self._run.wait_ended(self.timeout)
        except TimeoutError:
            pass  # what it says is worth more than that it goes on; it is about to be cancelled
        self._run.raise_failure()
        text = message.get("message") or "it gave no message"
        raise LifespanError(f"the application sent {message['type']}: {text}")

    async def _send(self, message: Any) -> None:
        kind = message.get("type") if isinstance(message, Mapping) else None
        if kind not in self._allowed.value:
            expected = " or ".join(map(repr, self._allowed.value)) or "nothing now"
            raise RuntimeError(f"the application sent {message!r} where {expected} is expected")
        self._allowed = _State.NOTHING
        await self._output.send(dict(message))
