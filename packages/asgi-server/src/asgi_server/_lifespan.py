"""The lifespan of the application: what it does before the first message and after the last.

| phase    | begins when                                     | the application's `receive()`      |
|----------|-------------------------------------------------|------------------------------------|
| STARTING | the application is called                       | returns `lifespan.startup`, once   |
| STARTED  | it has sent `lifespan.startup.complete`         | waits                              |
| ENDING   | the server has ended every other instance       | returns `lifespan.shutdown`, once  |
| OVER     | it has failed, is done, or knows no lifespan    | waits for ever                     |

Everything runs on the event loop of the server.

Source: https://asgi.readthedocs.io/en/latest/specs/lifespan.html.
"""

from __future__ import annotations

import asyncio
import copy
import enum
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from asgi_server._application import run_application
from asgi_server._settings import LifespanMode
from asgi_server._tasks import TaskSet

__all__ = ["Lifespan", "LifespanError"]

logger = logging.getLogger("asgi_server")


class LifespanError(RuntimeError):
    """The application could not start up, or could not shut down.

    Raised by `StatelessServer.arun()` and `run()`. Its cause is what the application raised, if it
    did.

    Source: https://asgi.readthedocs.io/en/latest/specs/lifespan.html
    """


class _Phase(enum.Enum):
    STARTING = enum.auto()
    STARTED = enum.auto()
    ENDING = enum.auto()
    OVER = enum.auto()


class Lifespan:
    """One call of the application with a lifespan scope.

    Attributes:
        ready: Done when the startup is over: with a `LifespanError` if the server cannot go on.
        failed: Gets what the application raises between its startup and its shutdown.
        done: Done when the shutdown is over, with a `LifespanError` if it failed.
        state: What the application has put into `scope["state"]`.
        task: That runs the application.
    """

    def __init__(
        self, application: Callable[..., Awaitable[Any]], mode: LifespanMode, tasks: TaskSet
    ) -> None:
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = loop.create_future()
        self.failed: asyncio.Future[None] = loop.create_future()
        self.done: asyncio.Future[None] = loop.create_future()
        self.state: dict[str, Any] = {}
        self._mode = mode
        self._phase = _Phase.STARTING
        self._has_received = False
        self._has_completed_startup = False
        self._may_shut_down = asyncio.Event()
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        call = run_application(application, scope, self._receive, self._send)
        self.task = tasks.start(call, name="application lifespan")
        self.task.add_done_callback(self._ended)

    def scope_with_state(self, scope: Any) -> Any:
        """Return `scope` with a copy of the state, if the application has completed its startup.

        A copy as shallow as the specification has it: what is in it is shared.
        """
        if not self._has_completed_startup or not isinstance(scope, Mapping):
            return scope
        return {**scope, "state": copy.copy(self.state)}

    def shut_down(self) -> None:
        """Tell an application that is started to shut down; `done` tells when it has."""
        if self._phase is _Phase.STARTED:
            self._phase = _Phase.ENDING
            self._may_shut_down.set()
        else:
            self._give_up()

    def cancel(self) -> None:
        """End the application without a shutdown, or in it."""
        self._give_up()
        self.task.cancel()

    # What the application calls

    async def _receive(self) -> dict[str, Any]:
        if not self._has_received:
            self._has_received = True
            return {"type": "lifespan.startup"}
        if self._phase is _Phase.STARTING and self._mode == "auto":
            # An application that knows the protocol answers first; one that reads on would be
            # waited for without end.
            self._treat_as_unknown("it received on without an answer to lifespan.startup")
        await self._may_shut_down.wait()
        self._may_shut_down = asyncio.Event()
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: Any) -> None:
        kind = message.get("type") if isinstance(message, Mapping) else None
        if self._phase is _Phase.STARTING and kind == "lifespan.startup.complete":
            self._phase = _Phase.STARTED
            self._has_completed_startup = True
            self.ready.set_result(None)
        elif self._phase is _Phase.STARTING and kind == "lifespan.startup.failed":
            self._fail(self.ready, "startup", message.get("message", ""))
        elif self._phase is _Phase.ENDING and kind == "lifespan.shutdown.complete":
            self._give_up()
        elif self._phase is _Phase.ENDING and kind == "lifespan.shutdown.failed":
            self._fail(self.done, "shutdown", message.get("message", ""))
        else:
            if self._phase is _Phase.STARTING:
                self._treat_as_unknown(f"it answered with {kind!r}")
            raise RuntimeError(
                f"{kind!r} cannot be sent in the lifespan of an application that is"
                f" {self._phase.name.lower()}: see"
                " https://asgi.readthedocs.io/en/latest/specs/lifespan.html"
            )

    # How it goes on

    def _ended(self, task: asyncio.Task[Any]) -> None:
        error = None if task.cancelled() else task.exception()
        if self._phase is _Phase.STARTING:
            self._treat_as_unknown("it ended", error)
        elif self._phase is _Phase.STARTED and error is not None:
            self._phase = _Phase.OVER
            self.failed.set_exception(error)
            self._finish(self.done, None)
        elif self._phase is _Phase.ENDING and error is not None:
            self._fail(self.done, "shutdown", str(error), error)
        else:
            self._give_up()

    def _treat_as_unknown(self, why: str, error: BaseException | None = None) -> None:
        # Often called by the task itself, which then ends at what it waits for next.
        self.task.cancel()
        if self._mode == "on":
            text = f"{error!r}" if error is not None else why
            self._fail(self.ready, "startup", text, error)
            return
        logger.debug("The application has no lifespan: %s", why, exc_info=error)
        self._give_up()

    def _give_up(self) -> None:
        self._phase = _Phase.OVER
        self._finish(self.ready, None)
        self._finish(self.done, None)

    def _fail(
        self,
        future: asyncio.Future[None],
        what: str,
        text: str,
        cause: BaseException | None = None,
    ) -> None:
        self._phase = _Phase.OVER
        reason = text or "it gave no reason"
        error = LifespanError(f"the application's lifespan {what} failed: {reason}")
        error.__cause__ = cause
        self._finish(future, error)
        self._finish(self.done, None)

    def _finish(self, future: asyncio.Future[None], error: LifespanError | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
