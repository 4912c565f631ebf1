"""What is true of every call of an application, whatever its protocol."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from asgi_server._validation import sections
from asgi_server._validation.violations import Party, violation

__all__ = [
    "ENDED",
    "SHARED_STATE",
    "raise_if_ended",
    "raise_if_shared",
    "raise_unless_awaitable",
    "raise_unless_callable",
]

SHARED_STATE = ("http.scope/state/shared", "websocket.scope/state/shared")
ENDED = "send/ended"


def raise_unless_callable(function: Any, name: str) -> None:
    """Raise unless the server has given a function as `name`."""
    if not callable(function):
        finding = f"gave {function!r} as {name!r}, which must be an awaitable callable"
        raise violation(f"{name}/callable", "server", sections.APPLICATIONS, finding)


def raise_unless_awaitable(result: Any, name: str, party: Party) -> None:
    """Raise unless a call of `name`, which `party` has made, returned an awaitable."""
    if not inspect.isawaitable(result):
        finding = f"returned {result!r} from {name!r}, which must be an awaitable callable"
        raise violation(f"{name}/awaitable", party, sections.APPLICATIONS, finding)


def raise_if_shared(
    scope: Mapping[str, Any], states: Iterable[Any], ignored: Collection[str]
) -> None:
    """Raise if a request or connection has the very namespace of a lifespan, not a copy."""
    kind = scope["type"]
    rule = f"{kind}.scope/state/shared"
    if rule not in SHARED_STATE or rule in ignored:
        return
    if any(scope.get("state") is state for state in states):
        finding = "gave the state of the lifespan itself, of which it must give a copy"
        raise violation(rule, "server", sections.LIFESPAN_STATE, finding)


def raise_if_ended(has_ended: bool, ignored: Collection[str]) -> None:
    """Raise if the call of the application is over, and with it the connection scope."""
    if has_ended and ENDED not in ignored:
        finding = "called send() after it had returned or failed"
        raise violation(ENDED, "application", sections.CONNECTION_SCOPE, finding)
