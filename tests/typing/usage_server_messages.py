"""Right and wrong ASGI messages: each wrong one is rejected by every type checker."""

from collections.abc import Awaitable, Callable
from io import BytesIO
from typing import assert_type

from asgi_server.extensions import allows, tls_of
from asgi_server.typing import (
    ASGISendEvent,
    ASGIVersions,
    HTTPDisconnectEvent,
    HTTPMessageToApplication,
    HTTPMessageToServer,
    HTTPRequestEvent,
    HTTPResponseBodyEvent,
    HTTPResponseDebugEvent,
    HTTPResponseEarlyHintEvent,
    HTTPResponsePathsendEvent,
    HTTPResponseStartEvent,
    HTTPResponseTrailersEvent,
    HTTPResponseZeroCopySendEvent,
    HTTPScope,
    HTTPServerPushEvent,
    LifespanMessageToApplication,
    LifespanMessageToServer,
    LifespanScope,
    LifespanShutdownFailedEvent,
    LifespanStartupFailedEvent,
    ReceiveCallable,
    SendCallable,
    TLSExtension,
    WebSocketAcceptEvent,
    WebSocketCloseEvent,
    WebSocketConnectEvent,
    WebSocketDisconnectEvent,
    WebSocketMessageToApplication,
    WebSocketMessageToServer,
    WebSocketReceiveEvent,
    WebSocketResponseBodyEvent,
    WebSocketResponseStartEvent,
    WebSocketScope,
    WebSocketSendEvent,
)

# Scopes

versions: ASGIVersions = {"version": "3.0", "spec_version": "2.5"}
wrong_versions: ASGIVersions = {"version": "4.0"}  # type: ignore[typeddict-item]  # pyright: ignore[reportAssignmentType]
no_version: ASGIVersions = {"spec_version": "2.5"}  # type: ignore[typeddict-item]  # pyright: ignore[reportAssignmentType]

http_scope: HTTPScope = {
    "type": "http",
    "asgi": versions,
    "http_version": "1.1",
    "method": "GET",
    "path": "/",
    "query_string": b"",
    "headers": [(b"host", b"example.org")],
}
full_http_scope: HTTPScope = {
    **http_scope,
    "scheme": "https",
    "raw_path": None,
    "root_path": "",
    "client": None,
    "server": ("/run/site.sock", None),
    "state": {"database": None},
    "extensions": {"http.response.push": {}, "x.own": {}},
}
text_query: HTTPScope = {**http_scope, "query_string": "x=1"}  # type: ignore[typeddict-item]  # pyright: ignore[reportAssignmentType]
text_headers: HTTPScope = {**http_scope, "headers": [("host", "example.org")]}  # type: ignore[list-item]  # pyright: ignore[reportAssignmentType]
bytes_path: HTTPScope = {**http_scope, "path": b"/"}  # type: ignore[typeddict-item]  # pyright: ignore[reportAssignmentType]
no_root_path: HTTPScope = {**http_scope, "root_path": None}  # type: ignore[typeddict-item]  # pyright: ignore[reportAssignmentType]
text_port: HTTPScope = {**http_scope, "server": ("127.0.0.1", "80")}  # type: ignore[typeddict-item]  # pyright: ignore[reportAssignmentType]
no_method: HTTPScope = {  # type: ignore[typeddict-item]  # pyright: ignore[reportAssignmentType]
    "type": "http",
    "asgi": versions,
    "http_version": "1.1",
    "path": "/",
    "query_string": b"",
    "headers": [],
}

websocket_scope: WebSocketScope = {
    "type": "websocket",
    "asgi": versions,
    "path": "/",
    "headers": [],
}
full_websocket_scope: WebSocketScope = {
    **websocket_scope,
    "http_version": "2",
    "query_string": None,
    "subprotocols": ("chat",),
}
bytes_subprotocol: WebSocketScope = {**websocket_scope, "subprotocols": [b"chat"]}  # type: ignore[list-item]  # pyright: ignore[reportAssignmentType]

lifespan_scope: LifespanScope = {"type": "lifespan", "asgi": versions, "state": {}}
no_state: LifespanScope = {"type": "lifespan", "asgi": versions, "state": None}  # type: ignore[typeddict-item]  # pyright: ignore[reportAssignmentType]

tls: TLSExtension = {"server_cert": None, "tls_version": 0x0304, "cipher_suite": None}
full_tls: TLSExtension = {
    **tls,
    "client_cert_chain": ("-----BEGIN CERTIFICATE-----",),
    "client_cert_name": "CN=client",
    "client_cert_error": None,
}
no_cipher: TLSExtension = {"server_cert": None, "tls_version": None}  # type: ignore[typeddict-item]  # pyright: ignore[reportAssignmentType]
named_cipher: TLSExtension = {**tls, "cipher_suite": "TLS_AES_128_GCM_SHA256"}  # type: ignore[typeddict-item]  # pyright: ignore[reportAssignmentType]

# HTTP

request: HTTPRequestEvent = {"type": "http.request"}
full_request: HTTPRequestEvent = {"type": "http.request", "body": b"x", "more_body": True}
request_without_body: HTTPRequestEvent = {"type": "http.request", "body": None}  # type: ignore[typeddict-item]  # pyright: ignore[reportAssignmentType]
counting_request: HTTPRequestEvent = {"type": "http.request", "more_body": 2}  # type: ignore[typeddict-item]  # pyright: ignore[reportAssignmentType]
disconnect: HTTPDisconnectEvent = {"type": "http.disconnect"}
wrong_disconnect: HTTPDisconnectEvent = {"type": "websocket.disconnect"}  # type: ignore[typeddict-item]  # pyright: ignore[reportAssignmentType]

start: HTTPResponseStartEvent = {"type": "http.response.start", "status": 200}
full_start: HTTPResponseStartEvent = {
    "type": "http.response.start",
    "status": 200,
    "headers": ((b"x-y", b"z"),),
    "trailers": True,
}
no_status: HTTPResponseStartEvent = {"type": "http.response.start"}  # type: ignore[typeddict-item]  # pyright: ignore[reportAssignmentType]
text_status: HTTPResponseStartEvent = {"type": "http.response.start", "status": "200 OK"}  # type: ignore[typeddict-item]  # pyright: ignore[reportAssignmentType]
header_dict: HTTPResponseStartEvent = {
    "type": "http.response.start",
    "status": 200,
    "headers": {b"x-y": b"z"},  # type: ignore[dict-item]  # pyright: ignore[reportAssignmentType]
}

body: HTTPResponseBodyEvent = {"type": "http.response.body"}
full_body: HTTPResponseBodyEvent = {
    "type": "http.response.body",
    "body": b"x",
    "more_body": False,
}
text_body: HTTPResponseBodyEvent = {"type": "http.response.body", "body": "x"}  # type: ignore[typeddict-item]  # pyright: ignore[reportAssignmentType]
misspelt_body: HTTPResponseBodyEvent = {"type": "http.response.body", "more": True}  # type: ignore[typeddict-unknown-key]  # pyright: ignore[reportAssignmentType]

trailers: HTTPResponseTrailersEvent = {"type": "http.response.trailers", "headers": []}
no_trailers: HTTPResponseTrailersEvent = {"type": "http.response.trailers"}  # type: ignore[typeddict-item]  # pyright: ignore[reportAssignmentType]

with open("file", "rb") as file:
    zero_copy: HTTPResponseZeroCopySendEvent = {
        "type": "http.response.zerocopysend",
        "file": file,
        "offset": 0,
        "count": 1,
        "more_body": True,
    }
named_file: HTTPResponseZeroCopySendEvent = {
    "type": "http.response.zerocopysend",
    "file": "file",  # type: ignore[typeddict-item]  # pyright: ignore[reportAssignmentType]
}
no_file: HTTPResponseZeroCopySendEvent = {"type": "http.response.zerocopysend"}  # type: ignore[typeddict-item]  # pyright: ignore[reportAssignmentType]

path_send: HTTPResponsePathsendEvent = {"type": "http.response.pathsend", "path": "/file"}
no_path: HTTPResponsePathsendEvent = {"type": "http.response.pathsend"}  # type: ignore[typeddict-item]  # pyright: ignore[reportAssignmentType]
push: HTTPServerPushEvent = {"type": "http.response.push", "path": "/a", "headers": []}
push_of_nothing: HTTPServerPushEvent = {"type": "http.response.push", "path": "/a"}  # type: ignore[typeddict-item]  # pyright: ignore[reportAssignmentType]
hint: HTTPResponseEarlyHintEvent = {"type": "http.response.early_hint", "links": [b"</a>"]}
text_hint: HTTPResponseEarlyHintEvent = {
    "type": "http.response.early_hint",
    "links": ["</a>"],  # type: ignore[list-item]  # pyright: ignore[reportAssignmentType]
}
debug: HTTPResponseDebugEvent = {"type": "http.response.debug", "info": {"x": object()}}
no_info: HTTPResponseDebugEvent = {"type": "http.response.debug"}  # type: ignore[typeddict-item]  # pyright: ignore[reportAssignmentType]

# WebSocket: exactly one of text and bytes

connect: WebSocketConnectEvent = {"type": "websocket.connect"}
accept: WebSocketAcceptEvent = {"type": "websocket.accept"}
full_accept: WebSocketAcceptEvent = {
    "type": "websocket.accept",
    "subprotocol": None,
    "headers": [(b"x-y", b"z")],
}
text_accept: WebSocketAcceptEvent = {  # pyright: ignore[reportAssignmentType]
    "type": "websocket.accept",
    "headers": [("x-y", "z")],  # type: ignore[list-item]
}

received_text: WebSocketReceiveEvent = {"type": "websocket.receive", "text": "x"}
received_bytes: WebSocketReceiveEvent = {"type": "websocket.receive", "bytes": b"x", "text": None}
received_nothing: WebSocketReceiveEvent = {"type": "websocket.receive"}  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
received_both: WebSocketReceiveEvent = {"type": "websocket.receive", "text": "x", "bytes": b"x"}  # type: ignore[assignment, misc]  # pyright: ignore[reportAssignmentType]
sent_text: WebSocketSendEvent = {"type": "websocket.send", "text": "x", "bytes": None}
sent_bytes: WebSocketSendEvent = {"type": "websocket.send", "bytes": b"x"}
sent_nothing: WebSocketSendEvent = {"type": "websocket.send"}  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
sent_none: WebSocketSendEvent = {"type": "websocket.send", "text": None}  # type: ignore[typeddict-item]  # pyright: ignore[reportAssignmentType]
sent_both: WebSocketSendEvent = {"type": "websocket.send", "text": "x", "bytes": b"x"}  # type: ignore[assignment, misc]  # pyright: ignore[reportAssignmentType]
sent_other: WebSocketSendEvent = {"type": "websocket.send", "text": b"x"}  # type: ignore[typeddict-item]  # pyright: ignore[reportAssignmentType]

gone: WebSocketDisconnectEvent = {"type": "websocket.disconnect", "code": 1001, "reason": None}
gone_without_code: WebSocketDisconnectEvent = {"type": "websocket.disconnect"}  # type: ignore[typeddict-item]  # pyright: ignore[reportAssignmentType]
close: WebSocketCloseEvent = {"type": "websocket.close", "code": 1000, "reason": "bye"}
text_close: WebSocketCloseEvent = {"type": "websocket.close", "code": "1000"}  # type: ignore[typeddict-item]  # pyright: ignore[reportAssignmentType]
denial: WebSocketResponseStartEvent = {"type": "websocket.http.response.start", "status": 401}
no_denial: WebSocketResponseStartEvent = {"type": "websocket.http.response.start"}  # type: ignore[typeddict-item]  # pyright: ignore[reportAssignmentType]
denial_body: WebSocketResponseBodyEvent = {"type": "websocket.http.response.body", "body": b"no"}
text_denial: WebSocketResponseBodyEvent = {
    "type": "websocket.http.response.body",
    "body": "no",  # type: ignore[typeddict-item]  # pyright: ignore[reportAssignmentType]
}

# Lifespan

not_started: LifespanStartupFailedEvent = {"type": "lifespan.startup.failed", "message": "no"}
silent: LifespanStartupFailedEvent = {"type": "lifespan.startup.failed", "message": None}  # type: ignore[typeddict-item]  # pyright: ignore[reportAssignmentType]
not_stopped: LifespanShutdownFailedEvent = {"type": "lifespan.shutdown.failed"}
started_late: LifespanShutdownFailedEvent = {"type": "lifespan.startup.failed"}  # type: ignore[typeddict-item]  # pyright: ignore[reportAssignmentType]

# What can be sent at all

any_message: ASGISendEvent = {"type": "http.response.early_hint", "links": []}
other_way: ASGISendEvent = {"type": "http.request"}  # type: ignore[assignment, misc]  # pyright: ignore[reportAssignmentType]
unknown: ASGISendEvent = {"type": "http.response.end"}  # type: ignore[assignment, misc]  # pyright: ignore[reportAssignmentType]
untyped: ASGISendEvent = {"status": 200}  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]

# Messages of one protocol, and of the extensions that its server has


async def page(
    scope: HTTPScope,
    receive: ReceiveCallable[HTTPMessageToApplication],
    send: SendCallable[HTTPMessageToServer],
) -> None:
    message = await receive()
    if message["type"] == "http.request":
        assert_type(message, HTTPRequestEvent)
    else:
        assert_type(message, HTTPDisconnectEvent)
    await send(start)
    await send(path_send)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await send(accept)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    if allows(send, scope, "http.response.pathsend"):
        await send(path_send)
        await send({"type": "http.response.pathsend", "path": "/file"})
        await send(body)
        await send(push)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        if allows(send, scope, "http.response.push"):
            await send(push)
            await send(path_send)
    else:
        await send(path_send)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    if allows(send, scope, "http.response.zerocopysend"):
        await send(zero_copy)
    if allows(send, scope, "http.response.early_hint"):
        await send(hint)
    if allows(send, scope, "http.response.trailers"):
        await send(trailers)
    if allows(send, scope, "http.response.debug"):
        await send(debug)
    allows(send, scope, "http.response.pathsent")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    allows(send, scope, "websocket.http.response")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    assert_type(tls_of(scope), TLSExtension | None)


async def chat(
    scope: WebSocketScope,
    receive: ReceiveCallable[WebSocketMessageToApplication],
    send: SendCallable[WebSocketMessageToServer],
) -> None:
    message = await receive()
    if message["type"] == "websocket.receive":
        assert_type(message.get("text"), str | None)
        assert_type(message.get("bytes"), bytes | None)
    await send(accept)
    await send(sent_text)
    await send({"type": "websocket.send", "bytes": b"x"})
    await send(denial)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await send(received_text)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    if allows(send, scope, "websocket.http.response"):
        await send(denial)
        await send(denial_body)


async def life(
    scope: LifespanScope,
    receive: ReceiveCallable[LifespanMessageToApplication],
    send: SendCallable[LifespanMessageToServer],
) -> None:
    assert_type((await receive())["type"] == "lifespan.startup", bool)
    await send(not_started)
    await send(body)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# A server's `send` takes all messages, so it can be given to what sends some.


async def serve(send_anything: Callable[[ASGISendEvent], Awaitable[None]]) -> None:
    some: SendCallable[HTTPMessageToServer] = send_anything
    await some(start)


in_memory: HTTPResponseZeroCopySendEvent = {  # a `fileno` there is, though it only raises
    "type": "http.response.zerocopysend",
    "file": BytesIO(),
}
