"""The scopes, events and callables of ASGI 3.0, as types.

A key that the specification calls optional is `NotRequired`, so that the shortest valid message
type-checks; one that it gives the default None may also be None. A key that may only be sent
when the server offers an extension is marked so. Nothing here checks anything at run time; that
is what `asgi_server.validation` does.

`ASGISendEvent` has every message, as servers and middlewares need it. An application that wants
to be held to what its server offers takes a `SendCallable` of the messages of its protocol, and
asks `asgi_server.extensions.allows()`, which adds those of an extension.

All types are in one module, long as it is: programs import them from where asgiref has them.

Sources, cited below by section:
- https://asgi.readthedocs.io/en/latest/specs/main.html ("main")
- https://asgi.readthedocs.io/en/latest/specs/www.html ("www"), version 2.5
- https://asgi.readthedocs.io/en/latest/specs/lifespan.html ("lifespan"), version 2.0
- https://asgi.readthedocs.io/en/latest/extensions.html ("extensions")
- https://asgi.readthedocs.io/en/latest/specs/tls.html ("tls"), version 0.2
"""

# Without `from __future__ import annotations`: it would hide NotRequired from TypedDict, and
# `__required_keys__` would name every key.

from collections.abc import Awaitable, Callable, Iterable
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    NotRequired,
    Protocol,
    TypeAlias,
    TypedDict,
    TypeVar,
)

__all__ = [
    "ASGI2Application",
    "ASGI2Protocol",
    "ASGI3Application",
    "ASGIApplication",
    "ASGIReceiveCallable",
    "ASGIReceiveEvent",
    "ASGISendCallable",
    "ASGISendEvent",
    "ASGIVersions",
    "HTTPDisconnectEvent",
    "HTTPMessageToApplication",
    "HTTPMessageToServer",
    "HTTPRequestEvent",
    "HTTPResponseBodyEvent",
    "HTTPResponseDebugEvent",
    "HTTPResponseEarlyHintEvent",
    "HTTPResponsePathsendEvent",
    "HTTPResponseStartEvent",
    "HTTPResponseTrailersEvent",
    "HTTPResponseZeroCopySendEvent",
    "HTTPScope",
    "HTTPServerPushEvent",
    "LifespanMessageToApplication",
    "LifespanMessageToServer",
    "LifespanScope",
    "LifespanShutdownCompleteEvent",
    "LifespanShutdownEvent",
    "LifespanShutdownFailedEvent",
    "LifespanStartupCompleteEvent",
    "LifespanStartupEvent",
    "LifespanStartupFailedEvent",
    "ReceiveCallable",
    "Scope",
    "SendCallable",
    "SupportsFileno",
    "TLSExtension",
    "WWWScope",
    "WebSocketAcceptEvent",
    "WebSocketCloseEvent",
    "WebSocketConnectEvent",
    "WebSocketDenialEvent",
    "WebSocketDisconnectEvent",
    "WebSocketMessageToApplication",
    "WebSocketMessageToServer",
    "WebSocketReceiveBytesEvent",
    "WebSocketReceiveEvent",
    "WebSocketReceiveTextEvent",
    "WebSocketResponseBodyEvent",
    "WebSocketResponseStartEvent",
    "WebSocketScope",
    "WebSocketSendBytesEvent",
    "WebSocketSendEvent",
    "WebSocketSendTextEvent",
]

# Scopes


class ASGIVersions(TypedDict):
    """Versions that the server speaks: of ASGI, and of the protocol. (main, "Connection Scope")

    `spec_version` defaults to "2.0" in HTTP and WebSocket scopes, "1.0" in the lifespan scope.
    """

    version: Literal["2.0", "3.0"]
    spec_version: NotRequired[str]


class TLSExtension(TypedDict):
    """The TLS connection: the value of the extension `tls`. (tls, "TLS Connection Scope")"""

    server_cert: str | None
    client_cert_chain: NotRequired[Iterable[str]]
    client_cert_name: NotRequired[str | None]
    client_cert_error: NotRequired[str | None]
    tls_version: int | None
    cipher_suite: int | None


class HTTPScope(TypedDict):
    """One HTTP request. (www, "HTTP Connection Scope")"""

    type: Literal["http"]
    asgi: ASGIVersions
    http_version: str
    method: str
    scheme: NotRequired[str]
    path: str
    raw_path: NotRequired[bytes | None]
    query_string: bytes
    root_path: NotRequired[str]
    headers: Iterable[tuple[bytes, bytes]]
    client: NotRequired[tuple[str, int] | None]
    server: NotRequired[tuple[str, int | None] | None]
    state: NotRequired[dict[str, Any]]
    extensions: NotRequired[dict[str, dict[object, object]] | None]


class WebSocketScope(TypedDict):
    """One WebSocket connection. (www, "Websocket Connection Scope")"""

    type: Literal["websocket"]
    asgi: ASGIVersions
    http_version: NotRequired[str]
    scheme: NotRequired[str]
    path: str
    raw_path: NotRequired[bytes | None]
    query_string: NotRequired[bytes | None]
    root_path: NotRequired[str]
    headers: Iterable[tuple[bytes, bytes]]
    client: NotRequired[tuple[str, int] | None]
    server: NotRequired[tuple[str, int | None] | None]
    subprotocols: NotRequired[Iterable[str]]
    state: NotRequired[dict[str, Any]]
    extensions: NotRequired[dict[str, dict[object, object]] | None]


class LifespanScope(TypedDict):
    """The life of one event loop that serves. (lifespan, "Scope")"""

    type: Literal["lifespan"]
    asgi: ASGIVersions
    state: NotRequired[dict[str, Any]]


WWWScope: TypeAlias = HTTPScope | WebSocketScope
Scope: TypeAlias = HTTPScope | WebSocketScope | LifespanScope


# HTTP events


class HTTPRequestEvent(TypedDict):
    """The body of the request, or the next part of it. (www, "Request")"""

    type: Literal["http.request"]
    body: NotRequired[bytes]
    more_body: NotRequired[bool]


class HTTPDisconnectEvent(TypedDict):
    """The client has gone, or the response is complete. (www, "Disconnect")"""

    type: Literal["http.disconnect"]


class HTTPResponseDebugEvent(TypedDict):
    """What a test wants to know of a response. (extensions, "Debug": `http.response.debug`)"""

    type: Literal["http.response.debug"]
    info: dict[str, object]


class HTTPResponseStartEvent(TypedDict):
    """Status and headers. (www, "Response Start")

    `trailers` may be true under the extension `http.response.trailers`.
    """

    type: Literal["http.response.start"]
    status: int
    headers: NotRequired[Iterable[tuple[bytes, bytes]]]
    trailers: NotRequired[bool]


class HTTPResponseBodyEvent(TypedDict):
    """The body of the response, or the next part of it. (www, "Response Body")"""

    type: Literal["http.response.body"]
    body: NotRequired[bytes]
    more_body: NotRequired[bool]


class SupportsFileno(Protocol):
    """A file that has a descriptor of the operating system."""

    def fileno(self) -> int:
        """Return the descriptor."""


class HTTPResponseZeroCopySendEvent(TypedDict):
    """A file, or part of it, as the body or the next part of it. (extensions, "Zero Copy Send")

    Under the extension `http.response.zerocopysend`.
    """

    type: Literal["http.response.zerocopysend"]
    file: SupportsFileno | int
    offset: NotRequired[int]
    count: NotRequired[int]
    more_body: NotRequired[bool]


class HTTPResponseEarlyHintEvent(TypedDict):
    """What the client may load already. (extensions, "Early Hints": `http.response.early_hint`)"""

    type: Literal["http.response.early_hint"]
    links: Iterable[bytes]


class HTTPResponsePathsendEvent(TypedDict):
    """A file to send as the body. (extensions, "Path Send": `http.response.pathsend`)"""

    type: Literal["http.response.pathsend"]
    path: str


class HTTPResponseTrailersEvent(TypedDict):
    """Headers after the body. (extensions, "HTTP Trailers": `http.response.trailers`)"""

    type: Literal["http.response.trailers"]
    headers: Iterable[tuple[bytes, bytes]]
    more_trailers: NotRequired[bool]


class HTTPServerPushEvent(TypedDict):
    """A request to push. (extensions, "HTTP/2 Server Push": `http.response.push`)"""

    type: Literal["http.response.push"]
    path: str
    headers: Iterable[tuple[bytes, bytes]]


# WebSocket events


class WebSocketConnectEvent(TypedDict):
    """The client wants to connect. (www, "Connect")"""

    type: Literal["websocket.connect"]


class WebSocketAcceptEvent(TypedDict):
    """The connection is accepted. (www, "Accept")"""

    type: Literal["websocket.accept"]
    subprotocol: NotRequired[str | None]
    headers: NotRequired[Iterable[tuple[bytes, bytes]]]


class WebSocketReceiveTextEvent(TypedDict):
    """A text message from the client. (www, "Receive")"""

    type: Literal["websocket.receive"]
    text: str
    bytes: NotRequired[None]


class WebSocketReceiveBytesEvent(TypedDict):
    """A binary message from the client. (www, "Receive")"""

    type: Literal["websocket.receive"]
    bytes: bytes
    text: NotRequired[None]


class WebSocketSendTextEvent(TypedDict):
    """A text message to the client. (www, "Send")"""

    type: Literal["websocket.send"]
    text: str
    bytes: NotRequired[None]


class WebSocketSendBytesEvent(TypedDict):
    """A binary message to the client. (www, "Send")"""

    type: Literal["websocket.send"]
    bytes: bytes
    text: NotRequired[None]


if TYPE_CHECKING:
    # Exactly one of the two keys is not None, which one TypedDict cannot say.
    WebSocketReceiveEvent: TypeAlias = WebSocketReceiveTextEvent | WebSocketReceiveBytesEvent
    WebSocketSendEvent: TypeAlias = WebSocketSendTextEvent | WebSocketSendBytesEvent
else:
    # At run time a class, as it is in asgiref, which some programs call to make a message.

    class WebSocketReceiveEvent(TypedDict):
        """A message from the client. Exactly one of the two is not None. (www, "Receive")"""

        type: Literal["websocket.receive"]
        bytes: NotRequired[bytes | None]
        text: NotRequired[str | None]

    class WebSocketSendEvent(TypedDict):
        """A message to the client. Exactly one of the two is not None. (www, "Send")"""

        type: Literal["websocket.send"]
        bytes: NotRequired[bytes | None]
        text: NotRequired[str | None]


class WebSocketDisconnectEvent(TypedDict):
    """The connection is lost or closed. (www, "Disconnect")"""

    type: Literal["websocket.disconnect"]
    code: int
    reason: NotRequired[str | None]


class WebSocketCloseEvent(TypedDict):
    """Close the connection, or refuse it. (www, "Close")"""

    type: Literal["websocket.close"]
    code: NotRequired[int]
    reason: NotRequired[str | None]


class WebSocketResponseStartEvent(TypedDict):
    """Refuse with a response. (extensions, "Websocket Denial Response")

    Under the extension `websocket.http.response`.
    """

    type: Literal["websocket.http.response.start"]
    status: int
    headers: NotRequired[Iterable[tuple[bytes, bytes]]]


class WebSocketResponseBodyEvent(TypedDict):
    """The body of a refusal. (extensions, "Websocket Denial Response")

    Under the extension `websocket.http.response`.
    """

    type: Literal["websocket.http.response.body"]
    body: NotRequired[bytes]
    more_body: NotRequired[bool]


# Lifespan events


class LifespanStartupEvent(TypedDict):
    """The server is about to receive connections. (lifespan, "Startup")"""

    type: Literal["lifespan.startup"]


class LifespanShutdownEvent(TypedDict):
    """The server has closed all connections. (lifespan, "Shutdown")"""

    type: Literal["lifespan.shutdown"]


class LifespanStartupCompleteEvent(TypedDict):
    """The application is ready. (lifespan, "Startup Complete")"""

    type: Literal["lifespan.startup.complete"]


class LifespanStartupFailedEvent(TypedDict):
    """The application cannot start; the server exits. (lifespan, "Startup Failed")"""

    type: Literal["lifespan.startup.failed"]
    message: NotRequired[str]


class LifespanShutdownCompleteEvent(TypedDict):
    """The application has cleaned up. (lifespan, "Shutdown Complete")"""

    type: Literal["lifespan.shutdown.complete"]


class LifespanShutdownFailedEvent(TypedDict):
    """The application could not clean up. (lifespan, "Shutdown Failed")"""

    type: Literal["lifespan.shutdown.failed"]
    message: NotRequired[str]


# What goes which way, by protocol. Messages to the server are those without an extension.

HTTPMessageToApplication: TypeAlias = HTTPRequestEvent | HTTPDisconnectEvent
HTTPMessageToServer: TypeAlias = HTTPResponseStartEvent | HTTPResponseBodyEvent

WebSocketMessageToApplication: TypeAlias = (
    WebSocketConnectEvent | WebSocketReceiveEvent | WebSocketDisconnectEvent
)
WebSocketMessageToServer: TypeAlias = (
    WebSocketAcceptEvent | WebSocketSendEvent | WebSocketCloseEvent
)
WebSocketDenialEvent: TypeAlias = WebSocketResponseStartEvent | WebSocketResponseBodyEvent

LifespanMessageToApplication: TypeAlias = LifespanStartupEvent | LifespanShutdownEvent
LifespanMessageToServer: TypeAlias = (
    LifespanStartupCompleteEvent
    | LifespanStartupFailedEvent
    | LifespanShutdownCompleteEvent
    | LifespanShutdownFailedEvent
)

# All of them, the extensions' included

ASGIReceiveEvent: TypeAlias = (
    HTTPMessageToApplication | WebSocketMessageToApplication | LifespanMessageToApplication
)

ASGISendEvent: TypeAlias = (
    HTTPMessageToServer
    | HTTPResponseZeroCopySendEvent
    | HTTPResponsePathsendEvent
    | HTTPResponseEarlyHintEvent
    | HTTPResponseTrailersEvent
    | HTTPResponseDebugEvent
    | HTTPServerPushEvent
    | WebSocketMessageToServer
    | WebSocketDenialEvent
    | LifespanMessageToServer
)

# Callables (main, "Applications" and "Legacy Applications")

ASGIReceiveCallable: TypeAlias = Callable[[], Awaitable[ASGIReceiveEvent]]
ASGISendCallable: TypeAlias = Callable[[ASGISendEvent], Awaitable[None]]

_Received_co = TypeVar("_Received_co", covariant=True)
_Sent_contra = TypeVar("_Sent_contra", contravariant=True)


class ReceiveCallable(Protocol[_Received_co]):
    """`receive` of one protocol: returns its next message. (main, "Applications")"""

    def __call__(self) -> Awaitable[_Received_co]:
        """Wait for the next message."""


class SendCallable(Protocol[_Sent_contra]):
    """`send` of one protocol: takes its messages. (main, "Applications")"""

    def __call__(self, message: _Sent_contra, /) -> Awaitable[None]:
        """Send a message."""


class ASGI2Protocol(Protocol):
    """What a double-callable returns: made with the scope, called with receive and send."""

    def __init__(self, scope: Scope) -> None: ...

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Serve the scope."""


ASGI2Application: TypeAlias = type[ASGI2Protocol]
ASGI3Application: TypeAlias = Callable[
    [Scope, ASGIReceiveCallable, ASGISendCallable], Awaitable[None]
]
ASGIApplication: TypeAlias = ASGI2Application | ASGI3Application
