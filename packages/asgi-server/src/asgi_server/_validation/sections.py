"""The sections of the ASGI specification that rules come from.

Versions: ASGI 3.0, HTTP and WebSocket 2.5, Lifespan 2.0, TLS 0.2, and the extensions page.
"""

from __future__ import annotations

from asgi_server._validation.violations import Section

_SITE = "https://asgi.readthedocs.io/en/latest"


def _main(title: str, anchor: str) -> Section:
    return Section(title, f"{_SITE}/specs/main.html#{anchor}")


def _www(title: str, anchor: str) -> Section:
    return Section(title, f"{_SITE}/specs/www.html#{anchor}")


def _lifespan(title: str, anchor: str) -> Section:
    return Section(title, f"{_SITE}/specs/lifespan.html#{anchor}")


def _extension(title: str, anchor: str) -> Section:
    return Section(title, f"{_SITE}/extensions.html#{anchor}")


APPLICATIONS = _main("Applications", "applications")
CONNECTION_SCOPE = _main("Connection Scope", "connection-scope")
ERROR_HANDLING = _main("Error Handling", "error-handling")
EVENTS = _main("Events", "events")
EXTENSIONS = _main("Extensions", "extensions")
PROTOCOLS = _main("Protocol Specifications", "protocol-specifications")
STRINGS = _main("Strings and Unicode", "strings-and-unicode")

HTTP_SCOPE = _www("HTTP Connection Scope", "http-connection-scope")
HTTP_REQUEST = _www("Request - receive event", "request-receive-event")
HTTP_START = _www("Response Start - send event", "response-start-send-event")
HTTP_BODY = _www("Response Body - send event", "response-body-send-event")
HTTP_DISCONNECT = _www("Disconnect - receive event", "disconnect-receive-event")

WEBSOCKET_SCOPE = _www("Websocket Connection Scope", "websocket-connection-scope")
WEBSOCKET_CONNECT = _www("Connect - receive event", "connect-receive-event")
WEBSOCKET_ACCEPT = _www("Accept - send event", "accept-send-event")
WEBSOCKET_RECEIVE = _www("Receive - receive event", "receive-receive-event")
WEBSOCKET_SEND = _www("Send - send event", "send-send-event")
WEBSOCKET_DISCONNECT = _www("Disconnect - receive event", "disconnect-receive-event-ws")
WEBSOCKET_CLOSE = _www("Close - send event", "close-send-event")

LIFESPAN_SCOPE = _lifespan("Scope", "scope")
LIFESPAN_STATE = _lifespan("Lifespan State", "lifespan-state")
STARTUP = _lifespan("Startup - receive event", "startup-receive-event")
STARTUP_COMPLETE = _lifespan("Startup Complete - send event", "startup-complete-send-event")
STARTUP_FAILED = _lifespan("Startup Failed - send event", "startup-failed-send-event")
SHUTDOWN = _lifespan("Shutdown - receive event", "shutdown-receive-event")
SHUTDOWN_COMPLETE = _lifespan("Shutdown Complete - send event", "shutdown-complete-send-event")
SHUTDOWN_FAILED = _lifespan("Shutdown Failed - send event", "shutdown-failed-send-event")

DENIAL = _extension("Websocket Denial Response", "websocket-denial-response")
PUSH = _extension("HTTP/2 Server Push", "http-2-server-push")
ZERO_COPY_SEND = _extension("Zero Copy Send", "zero-copy-send")
PATH_SEND = _extension("Path Send", "path-send")
EARLY_HINTS = _extension("Early Hints", "early-hints")
TRAILERS = _extension("HTTP Trailers", "http-trailers")
DEBUG = _extension("Debug", "debug")
TLS_SCOPE = Section("TLS Connection Scope", f"{_SITE}/specs/tls.html#tls-connection-scope")
