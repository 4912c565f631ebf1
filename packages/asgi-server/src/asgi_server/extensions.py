"""What the server of a scope offers, asked in a way that type checkers follow.

Sources: https://asgi.readthedocs.io/en/latest/extensions.html and
https://asgi.readthedocs.io/en/latest/specs/tls.html.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeGuard, TypeVar, cast, overload

from asgi_server.typing import (
    HTTPResponseDebugEvent,
    HTTPResponseEarlyHintEvent,
    HTTPResponsePathsendEvent,
    HTTPResponseTrailersEvent,
    HTTPResponseZeroCopySendEvent,
    HTTPScope,
    HTTPServerPushEvent,
    SendCallable,
    TLSExtension,
    WebSocketDenialEvent,
    WebSocketScope,
)

__all__ = ["allows", "tls_of"]

_Sent = TypeVar("_Sent")


@overload
def allows(
    send: SendCallable[_Sent], scope: HTTPScope, extension: Literal["http.response.push"]
) -> TypeGuard[SendCallable[_Sent | HTTPServerPushEvent]]: ...
@overload
def allows(
    send: SendCallable[_Sent], scope: HTTPScope, extension: Literal["http.response.zerocopysend"]
) -> TypeGuard[SendCallable[_Sent | HTTPResponseZeroCopySendEvent]]: ...
@overload
def allows(
    send: SendCallable[_Sent], scope: HTTPScope, extension: Literal["http.response.pathsend"]
) -> TypeGuard[SendCallable[_Sent | HTTPResponsePathsendEvent]]: ...
@overload
def allows(
    send: SendCallable[_Sent], scope: HTTPScope, extension: Literal["http.response.early_hint"]
) -> TypeGuard[SendCallable[_Sent | HTTPResponseEarlyHintEvent]]: ...
@overload
def allows(
    send: SendCallable[_Sent], scope: HTTPScope, extension: Literal["http.response.trailers"]
) -> TypeGuard[SendCallable[_Sent | HTTPResponseTrailersEvent]]: ...
@overload
def allows(
    send: SendCallable[_Sent], scope: HTTPScope, extension: Literal["http.response.debug"]
) -> TypeGuard[SendCallable[_Sent | HTTPResponseDebugEvent]]: ...
@overload
def allows(
    send: SendCallable[_Sent], scope: WebSocketScope, extension: Literal["websocket.http.response"]
) -> TypeGuard[SendCallable[_Sent | WebSocketDenialEvent]]: ...
def allows(send: Any, scope: Mapping[str, Any], extension: str) -> bool:
    """Return True if the server of `scope` takes the messages of `extension`.

    Args:
        send: What the application was called with; where the answer is True, type checkers let
            it take these messages as well.
        scope: The scope that it was called with.
        extension: The name, such as "http.response.pathsend".

    Any thread; calls nothing. Source: https://asgi.readthedocs.io/en/latest/specs/main.html
    ("Extensions").
    """
    return extension in (scope.get("extensions") or {})


def tls_of(scope: HTTPScope | WebSocketScope) -> TLSExtension | None:
    """Return what the server says of the TLS connection, or None.

    None is no proof that there is no TLS: a server need not have the extension, and a proxy may
    have ended it.

    Args:
        scope: Of the request or the connection.

    Any thread. Source: https://asgi.readthedocs.io/en/latest/specs/tls.html ("When to use this
    extension").
    """
    extensions = scope.get("extensions") or {}
    return cast("TLSExtension | None", extensions.get("tls"))
