"""Check that an application and the server that calls it keep to ASGI 3.0.

What `wsgiref.validate` is to WSGI: a wrapper around an application that looks at the scope and at
every message in both directions, and raises an error that names the rule that was broken and the
section of the specification that has it. For tests and development.

Specification: https://asgi.readthedocs.io/en/latest/specs/index.html and
https://asgi.readthedocs.io/en/latest/extensions.html.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from typing import Any

from asgi_server._application import required_single_callable
from asgi_server._validation.calls import (
    raise_if_ended,
    raise_if_shared,
    raise_unless_awaitable,
    raise_unless_callable,
)
from asgi_server._validation.rules import RULES
from asgi_server._validation.scopes import checked_scope, conversation_of
from asgi_server._validation.violations import ProtocolViolationError

__all__ = ["RULES", "ProtocolViolationError", "validator"]

_logger: logging.Logger = logging.getLogger("asgi_server.validation")


def validator(
    application: Callable[..., Any], *, ignore: Iterable[str] = ()
) -> Callable[..., Awaitable[Any]]:
    """Return an application that calls `application` and checks both it and its server.

    What the server gives is checked before the application gets it, and what the application
    sends before the server does, so that neither sees what is wrong. A `ProtocolViolationError`
    is raised

    - by the call of the application, where the scope is wrong, or where the application returns
      and has not done what it had to;
    - by `receive()`, in the application, where the server's message is wrong;
    - by `send()`, in the application, where its own message is wrong. Such a message is not sent
      and changes nothing, so that the application can still send a right one.

    An application that catches the error does not hide it: when the application ends, the first
    one is raised once more, in place of any other `Exception`. Each is also logged, as an error
    of the logger `asgi_server.validation`, since some servers drop what an application raises.

    Args:
        application: An ASGI application, single- or double-callable.
        ignore: The rules, of `RULES`, that may be broken: what is known of a server or
            framework, and does no harm.

    Returns:
        A single-callable, for a server to call. It adds nothing that waits, may be called any
        number of times at once, and does everything in the task and on the event loop of its
        caller; `receive` and `send` may be called from several tasks.

    Raises:
        TypeError: `application` is not an ASGI application.
        ValueError: `ignore` names what is no rule.

    Messages and scopes pass as they are, but for an iterator in them (of headers, say): it takes
    reading to check, so a list goes on in its place.

    Source: https://asgi.readthedocs.io/en/latest/specs/main.html.
    """
    ignored = frozenset([ignore] if isinstance(ignore, str) else ignore)
    if not ignored <= RULES:
        unknown = ", ".join(sorted(map(repr, ignored - RULES)))
        raise ValueError(f"no rules that can be ignored: {unknown}; RULES has those that can")
    return _ValidatedApplication(required_single_callable(application), ignored)


class _ValidatedApplication:
    def __init__(
        self, application: Callable[..., Awaitable[Any]], ignored: Collection[str]
    ) -> None:
        self._application = application
        self._ignored = ignored
        # The namespaces of the lifespans that go on now: requests must get copies.
        self._states: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            scope = checked_scope(scope, self._ignored)
            raise_unless_callable(receive, "receive")
            raise_unless_callable(send, "send")
            raise_if_shared(scope, self._states, self._ignored)
        except ProtocolViolationError as error:
            _log(error)
            raise
        with self._noting_state(scope):
            await _Call(scope, receive, send, self._ignored).run(self._application, scope)

    @contextlib.contextmanager
    def _noting_state(self, scope: dict[str, Any]) -> Iterator[None]:
        state = scope.get("state")
        if scope["type"] != "lifespan" or state is None:
            yield
            return
        self._states.append(state)
        try:
            yield
        finally:
            self._states = [other for other in self._states if other is not state]


class _Call:
    """One call of the application: the rules applied to its `receive` and `send`."""

    def __init__(
        self, scope: dict[str, Any], receive: Any, send: Any, ignored: Collection[str]
    ) -> None:
        self._receive = receive
        self._send = send
        self._ignored = ignored
        self._conversation = conversation_of(scope, ignored)
        self._has_ended = False
        # The first violation, until the application has ended.
        self._first: ProtocolViolationError | None = None

    async def run(self, application: Callable[..., Awaitable[Any]], scope: dict[str, Any]) -> None:
        try:
            awaitable = application(scope, self.receive, self.send)
            self._check(raise_unless_awaitable, awaitable, "application", "application")
            await awaitable
            if self._first is None:
                self._check(self._conversation.returned)
        except Exception as error:
            if self._first is None or error is self._first:
                raise
            raise ProtocolViolationError(*self._first.args) from error
        else:
            first = self._first
        finally:
            self._has_ended = True
            # Its traceback refers to frames that refer to this object.
            self._first = None
        if first is not None:
            try:
                raise ProtocolViolationError(*first.args) from first
            finally:
                # The frames of its traceback refer to this one, through `f_back`.
                del first

    async def receive(self) -> Any:
        with self._noting_loss():
            awaitable = self._receive()
        message = await self._served(awaitable, "receive")
        return self._check(self._conversation.received, message)

    async def send(self, message: Any) -> None:
        self._check(raise_if_ended, self._has_ended, self._ignored)
        message = self._check(self._conversation.sent, message)
        with self._noting_loss():
            awaitable = self._send(message)
        await self._served(awaitable, "send")

    async def _served(self, awaitable: Any, name: str) -> Any:
        self._check(raise_unless_awaitable, awaitable, name, "server")
        with self._noting_loss():
            return await awaitable

    @contextlib.contextmanager
    def _noting_loss(self) -> Iterator[None]:
        try:
            yield
        except Exception:
            # The server's way to say that the connection is lost (www, "Disconnected Client").
            self._conversation.end()
            raise

    def _check(self, rule: Callable[..., Any], *arguments: Any) -> Any:
        """Return what `rule` returns; log, remember and raise the violation that it finds."""
        try:
            return rule(*arguments)
        except ProtocolViolationError as error:
            _log(error)
            if self._first is None and not self._has_ended:
                self._first = error
            raise


def _log(error: ProtocolViolationError) -> None:
    # Only its words: whoever keeps the record would keep all that the traceback refers to.
    _logger.error("%s", str(error))
