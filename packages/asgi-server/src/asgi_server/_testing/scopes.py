"""Connection scopes as a server would make them. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias
from urllib.parse import quote, unquote

__all__ = ["Headers", "encode_headers", "http_scope", "lifespan_scope", "websocket_scope"]

Text: TypeAlias = str | bytes
Headers: TypeAlias = Mapping[str, str] | Iterable[tuple[Text, Text]]

# What RFC 3986 allows in a path or query, and the sign of what is quoted already.
_UNQUOTED = "/%:@!$&'()*+,;=?-._~"


def http_scope(
    method: str,
    target: str,
    headers: list[tuple[bytes, bytes]],
    *,
    extensions: Iterable[str],
    state: Mapping[str, Any] | None,
    overrides: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return the scope of an HTTP request.

    Source: https://asgi.readthedocs.io/en/latest/specs/www.html ("HTTP Connection Scope").
    """
    scope = {
        "type": "http",
        # As uvicorn and hypercorn say. From 2.4 on, `send` raises when the client has gone.
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method.upper(),
        "scheme": "http",
        **_connection(target, headers, extensions, state),
    }
    return {**scope, **(overrides or {})}


def websocket_scope(
    target: str,
    headers: list[tuple[bytes, bytes]],
    *,
    subprotocols: Iterable[str],
    extensions: Iterable[str],
    state: Mapping[str, Any] | None,
    overrides: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return the scope of a WebSocket connection.

    Source: https://asgi.readthedocs.io/en/latest/specs/www.html ("Websocket Connection Scope").
    """
    scope = {
        "type": "websocket",
        # The first with a reason in `websocket.disconnect`.
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "scheme": "ws",
        **_connection(target, headers, extensions, state),
        "subprotocols": list(subprotocols),
    }
    return {**scope, **(overrides or {})}


def lifespan_scope(state: dict[str, Any], overrides: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the scope of the lifespan protocol; the application fills `state`.

    Source: https://asgi.readthedocs.io/en/latest/specs/lifespan.html ("Scope").
    """
    asgi = {"version": "3.0", "spec_version": "2.0"}
    return {"type": "lifespan", "asgi": asgi, "state": state, **(overrides or {})}


def encode_headers(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Return the headers as a scope has them: pairs of bytes, the names in lower case."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return [(_encode(name).lower(), _encode(value)) for name, value in pairs]


def with_default(
    headers: list[tuple[bytes, bytes]], name: bytes, value: bytes
) -> list[tuple[bytes, bytes]]:
    """Return the headers, and one more if none of that name is among them."""
    if any(given == name for given, _ in headers):
        return headers
    return [*headers, (name, value)]


def _connection(
    target: str,
    headers: list[tuple[bytes, bytes]],
    extensions: Iterable[str],
    state: Mapping[str, Any] | None,
) -> dict[str, Any]:
    if isinstance(extensions, str):
        raise TypeError(f"extensions is a collection of names, such as [{extensions!r}]")
    raw_path, query = _split(target)
    connection: dict[str, Any] = {
        "path": unquote(raw_path.decode("ascii")),
        "raw_path": raw_path,
        "query_string": query,
        "root_path": "",
        "headers": with_default(headers, b"host", b"testserver"),
        "client": ("127.0.0.1", 50000),
        "server": ("testserver", 80),
        "extensions": {name: {} for name in extensions},
    }
    if state is not None:
        # Each request has a copy: what it sets is not seen by others, what it changes is.
        connection["state"] = dict(state)
    return connection


def _split(target: str) -> tuple[bytes, bytes]:
    """Split a request target into the path and the query, quoted where they are not yet."""
    if not target.startswith("/") and target != "*":
        raise ValueError(
            f"{target!r} is not what a client requests: give the path, from '/' on, and the query,"
            " such as '/items?page=2'; the host belongs into the headers"
        )
    path, _, query = quote(target, safe=_UNQUOTED).partition("?")
    return path.encode("ascii"), query.encode("ascii")


def _encode(text: Text) -> bytes:
    if isinstance(text, bytes):
        return text
    if not isinstance(text, str):
        raise TypeError(f"a header is made of str or bytes, not {text!r}")
    return text.encode("latin-1")
