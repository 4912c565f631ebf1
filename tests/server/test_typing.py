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
    "HTTPResponseEarlyHintEvent": ("http.response.early_hint", "links!"),
    "HTTPResponseZeroCopySendEvent": (
        "http.response.zerocopysend",
        "file! offset count more_body",
    ),
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

# Two classes that type checkers see in place of one, which cannot say "exactly one of two keys".
EITHER = {
    "WebSocketReceiveEvent": ("WebSocketReceiveTextEvent", "WebSocketReceiveBytesEvent"),
    "WebSocketSendEvent": ("WebSocketSendTextEvent", "WebSocketSendBytesEvent"),
}

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
    "HTTPMessageToApplication",
    "HTTPMessageToServer",
    "LifespanMessageToApplication",
    "LifespanMessageToServer",
    "ReceiveCallable",
    "SendCallable",
    "SupportsFileno",
    "TLSExtension",
    "WebSocketDenialEvent",
    "WebSocketMessageToApplication",
    "WebSocketMessageToServer",
    *(name for names in EITHER.values() for name in names),
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


@pytest.mark.parametrize("name", EITHER)
def test_message_with_text_or_bytes_has_one_of_them_and_may_have_the_other_as_none(
    name: str,
) -> None:
    for class_name, key, other in zip(
        EITHER[name], ("text", "bytes"), ("bytes", "text"), strict=True
    ):
        hints = get_type_hints(named(class_name))
        assert named(class_name).__required_keys__ == {"type", key}
        assert named(class_name).__optional_keys__ == {other}
        assert hints["type"] == get_type_hints(named(name))["type"]
        assert (hints[key], hints[other]) == ({"text": str, "bytes": bytes}[key], type(None))


@pytest.mark.parametrize("name", EITHER)
def test_message_with_text_or_bytes_can_be_made_by_a_call_as_in_asgiref(name: str) -> None:
    made = named(name)(type=MESSAGES[name][0], text="x")
    assert made == {"type": MESSAGES[name][0], "text": "x"}


def test_tls_extension() -> None:
    tls = asgi_typing.TLSExtension
    optional = {"client_cert_chain", "client_cert_name", "client_cert_error"}

    assert tls.__required_keys__ == {"server_cert", "tls_version", "cipher_suite"}
    assert tls.__optional_keys__ == optional
    assert {key for key, hint in get_type_hints(tls).items() if type(None) in get_args(hint)} == {
        "server_cert",
        "tls_version",
        "cipher_suite",
        "client_cert_name",
        "client_cert_error",
    }


def test_messages_of_a_protocol_are_all_that_it_has_without_an_extension() -> None:
    extensions = {
        "HTTPResponseZeroCopySendEvent",
        "HTTPResponseEarlyHintEvent",
        "HTTPResponsePathsendEvent",
        "HTTPResponseTrailersEvent",
        "HTTPResponseDebugEvent",
        "HTTPServerPushEvent",
        "WebSocketResponseStartEvent",
        "WebSocketResponseBodyEvent",
    }
    for protocol in ("HTTP", "WebSocket", "Lifespan"):
        for events, way in [(RECEIVE_EVENTS, "Application"), (SEND_EVENTS, "Server")]:
            of_protocol = {name for name in events if name.startswith(protocol)}
            messages = get_args(named(f"{protocol}MessageTo{way}"))
            assert set(messages) == {named(name) for name in of_protocol - extensions}
    assert {named(name) for name in extensions} < set(get_args(asgi_typing.ASGISendEvent))


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
