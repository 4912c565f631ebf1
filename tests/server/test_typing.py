"""The types against the ASGI specification: HTTP and WebSocket 2.5, Lifespan 2.0, extensions.

The tables say what the specification says, key by key: "!" marks one that must be there.
"""

from __future__ import annotations

from typing import Any, get_args, get_type_hints, is_typeddict

import pytest

from asgi_server import typing as asgi_typing

SCOPES = {
    "HTTPScope": (
        "http",
        """asgi! http_version! method! scheme path! raw_path query_string! root_path headers!
        client server state extensions""",
    ),
    "WebSocketScope": (
        "websocket",
        """asgi! http_version scheme path! raw_path query_string root_path headers!
        client server subprotocols state extensions""",
    ),
    "LifespanScope": ("lifespan", "asgi! state"),
}

# To the application
RECEIVE_EVENTS = {
    "HTTPRequestEvent": ("http.request", "body more_body"),
    "HTTPDisconnectEvent": ("http.disconnect", ""),
    "WebSocketConnectEvent": ("websocket.connect", ""),
    "WebSocketReceiveEvent": ("websocket.receive", "bytes text"),
    "WebSocketDisconnectEvent": ("websocket.disconnect", "code! reason"),
    "LifespanStartupEvent": ("lifespan.startup", ""),
    "LifespanShutdownEvent": ("lifespan.shutdown", ""),
}

# To the server
SEND_EVENTS = {
    "HTTPResponseStartEvent": ("http.response.start", "status! headers trailers"),
    "HTTPResponseBodyEvent": ("http.response.body", "body more_body"),
    "HTTPResponseTrailersEvent": ("http.response.trailers", "headers! more_trailers"),
    "HTTPResponsePathsendEvent": ("http.response.pathsend", "path!"),
    "HTTPResponseDebugEvent": ("http.response.debug", "info!"),
    "HTTPServerPushEvent": ("http.response.push", "path! headers!"),
    "WebSocketAcceptEvent": ("websocket.accept", "subprotocol headers"),
    "WebSocketSendEvent": ("websocket.send", "bytes text"),
    "WebSocketCloseEvent": ("websocket.close", "code reason"),
    "WebSocketResponseStartEvent": ("websocket.http.response.start", "status! headers"),
    "WebSocketResponseBodyEvent": ("websocket.http.response.body", "body more_body"),
    "LifespanStartupCompleteEvent": ("lifespan.startup.complete", ""),
    "LifespanStartupFailedEvent": ("lifespan.startup.failed", "message"),
    "LifespanShutdownCompleteEvent": ("lifespan.shutdown.complete", ""),
    "LifespanShutdownFailedEvent": ("lifespan.shutdown.failed", "message"),
}

MESSAGES = SCOPES | RECEIVE_EVENTS | SEND_EVENTS

# Keys whose missing value is None in the specification, or "missing or None".
MAY_BE_NONE = {
    ("HTTPScope", "raw_path"),
    ("HTTPScope", "client"),
    ("HTTPScope", "server"),
    ("HTTPScope", "extensions"),
    ("WebSocketScope", "raw_path"),
    ("WebSocketScope", "query_string"),
    ("WebSocketScope", "client"),
    ("WebSocketScope", "server"),
    ("WebSocketScope", "extensions"),
    ("WebSocketAcceptEvent", "subprotocol"),
    ("WebSocketReceiveEvent", "bytes"),
    ("WebSocketReceiveEvent", "text"),
    ("WebSocketSendEvent", "bytes"),
    ("WebSocketSendEvent", "text"),
    ("WebSocketDisconnectEvent", "reason"),
    ("WebSocketCloseEvent", "reason"),
}

OTHERS = {
    "ASGIVersions",
    "WWWScope",
    "Scope",
    "ASGIReceiveEvent",
    "ASGISendEvent",
    "ASGIReceiveCallable",
    "ASGISendCallable",
    "ASGI2Protocol",
    "ASGI2Application",
    "ASGI3Application",
    "ASGIApplication",
}


def named(name: str) -> Any:
    return getattr(asgi_typing, name)


def test_public_names_are_those_of_the_specification() -> None:
    assert set(asgi_typing.__all__) == MESSAGES.keys() | OTHERS
    assert len(asgi_typing.__all__) == len(set(asgi_typing.__all__))


@pytest.mark.parametrize("name", MESSAGES)
def test_type_key_is_required_and_has_the_one_value_of_the_specification(name: str) -> None:
    value, _ = MESSAGES[name]

    assert is_typeddict(named(name))
    assert "type" in named(name).__required_keys__
    assert get_args(get_type_hints(named(name))["type"]) == (value,)


@pytest.mark.parametrize("name", MESSAGES)
def test_keys_are_required_or_optional_as_in_the_specification(name: str) -> None:
    keys = MESSAGES[name][1].split()
    required = {key.removesuffix("!") for key in keys if key.endswith("!")}
    optional = {key for key in keys if not key.endswith("!")}

    assert named(name).__required_keys__ == required | {"type"}
    assert named(name).__optional_keys__ == optional


def test_versions_of_asgi() -> None:
    versions = asgi_typing.ASGIVersions

    assert get_args(get_type_hints(versions)["version"]) == ("2.0", "3.0")
    assert versions.__required_keys__ == {"version"}
    assert versions.__optional_keys__ == {"spec_version"}


@pytest.mark.parametrize("name", MESSAGES)
def test_only_keys_that_default_to_none_may_be_none(name: str) -> None:
    may_be_none = {
        key for key, hint in get_type_hints(named(name)).items() if type(None) in get_args(hint)
    }

    assert {(name, key) for key in may_be_none} == {pair for pair in MAY_BE_NONE if pair[0] == name}


def test_scopes() -> None:
    assert set(get_args(asgi_typing.Scope)) == {named(name) for name in SCOPES}
    assert set(get_args(asgi_typing.WWWScope)) == {
        asgi_typing.HTTPScope,
        asgi_typing.WebSocketScope,
    }


def test_receive_events_are_those_that_servers_send() -> None:
    assert set(get_args(asgi_typing.ASGIReceiveEvent)) == {named(name) for name in RECEIVE_EVENTS}


def test_send_events_are_those_that_applications_send() -> None:
    assert set(get_args(asgi_typing.ASGISendEvent)) == {named(name) for name in SEND_EVENTS}


def test_type_values_tell_the_events_of_one_direction_apart() -> None:
    for events in [RECEIVE_EVENTS, SEND_EVENTS]:
        values = [value for value, _ in events.values()]
        assert len(values) == len(set(values))


def test_callables() -> None:
    receive, send = asgi_typing.ASGIReceiveCallable, asgi_typing.ASGISendCallable

    assert get_args(receive)[0] == []
    assert get_args(get_args(receive)[1]) == (asgi_typing.ASGIReceiveEvent,)
    assert get_args(send)[0] == [asgi_typing.ASGISendEvent]
    assert get_args(asgi_typing.ASGI3Application)[0] == [asgi_typing.Scope, receive, send]
    assert get_args(asgi_typing.ASGI2Application) == (asgi_typing.ASGI2Protocol,)
    assert set(get_args(asgi_typing.ASGIApplication)) == {
        asgi_typing.ASGI2Application,
        asgi_typing.ASGI3Application,
    }
