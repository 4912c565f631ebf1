"""What a subclass may do when something happens to an application instance."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from asgi_server._endings import ApplicationEnd, EndCause
from asgi_server._input_queue import InputQueue
from asgi_server._instances import ApplicationDetails
from asgi_server._reports import Reports

__all__ = ["ApplicationHooks", "HookCaller"]

logger = logging.getLogger("asgi_server")

# 1001: "an endpoint is going away" (https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1).
_DISCONNECTS: Final[Mapping[str, dict[str, Any]]] = {
    "http": {"type": "http.disconnect"},
    "websocket": {"type": "websocket.disconnect", "code": 1001, "reason": ""},
}


class ApplicationHooks:
    """The hooks of `StatelessServer`, with what they do by default."""

    async def application_exception(
        self, exception: BaseException, application_details: ApplicationDetails
    ) -> None:
        """Deal with an application that raised: log it, as an error of the logger `asgi_server`.

        Runs in a task of its own, as soon as the application has ended. An error raised here
        ends a serving `arun()`, which raises it; that of a server which is stopping, or was
        never started by `arun()`, goes to the event loop's exception handler. The same goes for
        the hooks below.

        Args:
            exception: What the application raised. A cancelled application is no failure, and
                `KeyboardInterrupt` and `SystemExit` leave the event loop by themselves.
            application_details: The instance, which takes no messages any more. Its scope id
                is `application_details["scope_id"]`.
        """
        logger.error("Exception inside application: %s", exception, exc_info=exception)

    async def application_ended(
        self, application_details: ApplicationDetails, end: ApplicationEnd
    ) -> None:
        """Deal with the end of an application instance, whichever way it came; here, nothing.

        Called once for each instance, in a task of its own, beside `application_exception()`.

        Args:
            application_details: The instance, which takes no messages any more.
            end: Why and how it has ended, and the messages that it has not received.
        """

    async def application_overdue(self, application_details: ApplicationDetails) -> None:
        """Deal with an instance that has not ended in its grace period: log it, as an error.

        Called at most once for each instance, in a task of its own. It is still running, and
        `application_ended()` is called should it end.
        """
        scope_id = application_details["scope_id"]
        logger.error("The application of %r was cancelled, and has not ended in time", scope_id)

    def application_dropped(self, message: Any, input_queue: InputQueue) -> None:
        """Deal with a message that no application will receive: log it, as a warning.

        Called once for each such message, when it is dropped: in `put_nowait()` and `put()`, or
        when the instance has ended. Not async, and must not block. By default only the first of
        an instance is logged, as there may be very many; `counters()` has them all.

        Args:
            message: As it was put.
            input_queue: That it was put into; has the `scope_id`, and how many it has `dropped`.
        """
        if input_queue.dropped == 1:
            logger.warning(
                "A message for %r was dropped, as its application has ended or has too many",
                input_queue.scope_id,
            )

    def application_disconnect(
        self, application_details: ApplicationDetails, cause: EndCause
    ) -> Any:
        """Return the message that tells an application that its scope is over; None for none.

        An instance that is evicted, deleted or stopped gets it as its last message, and has time
        to end by itself before it is cancelled. By default the scope types `http` and
        `websocket` have one, as the specification says; a protocol of one's own may have another.

        Args:
            application_details: The instance.
            cause: Why it is to end.

        Source: https://asgi.readthedocs.io/en/latest/specs/www.html ("Disconnect").
        """
        scope = application_details["scope"]
        # An exact dict first: the check for a Mapping takes a microsecond.
        if not isinstance(scope, (dict, Mapping)):
            return None
        kind = scope.get("type")
        if not isinstance(kind, str) or kind not in _DISCONNECTS:
            return None
        return dict(_DISCONNECTS[kind])


class HookCaller:
    """Calls the hooks of one server: its `InstanceObserver`."""

    def __init__(self, hooks: ApplicationHooks, reports: Reports) -> None:
        self._hooks = hooks
        self._reports = reports

    def instance_ended(self, details: ApplicationDetails, end: ApplicationEnd) -> None:
        """Report a failure, and the end."""
        exception = end.exception
        if exception is not None and not isinstance(exception, (KeyboardInterrupt, SystemExit)):
            self._reports.start(self._hooks.application_exception, exception, details)
        hook = self._hooks.application_ended
        # A task that does nothing would cost as much as all the rest of an eviction (benchmark
        # "StatelessServer new scope").
        if getattr(hook, "__func__", None) is not ApplicationHooks.application_ended:
            self._reports.start(hook, details, end)

    def instance_overdue(self, details: ApplicationDetails) -> None:
        """Report that an instance has not ended."""
        self._reports.start(self._hooks.application_overdue, details)

    def message_dropped(self, queue: InputQueue, message: Any) -> None:
        """Report a message that was dropped."""
        self._reports.call(self._hooks.application_dropped, message, queue)

    def last_message(self, details: ApplicationDetails, cause: EndCause) -> Any:
        """Ask for what the instance is to be told."""
        return self._reports.call(self._hooks.application_disconnect, details, cause)
