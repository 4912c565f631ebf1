"""Scopes: what a server tells an application of a connection when it calls it.

Left open, since the specification does not settle it, or says "should": header names of requests
that are not in lower case, `extensions` that are None, a version of ASGI that is missing, "3" as
the version of HTTP (which the section that leaves it out speaks of), what `path` begins with.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from asgi_server._validation import sections
from asgi_server._validation.checks import (
    BYTE_STRING,
    HEADERS,
    INTEGER,
    NAMESPACE,
    TEXT,
    TEXTS,
    Check,
    is_integer,
    not_matching,
    nullable,
    outside,
    pair_of,
    pseudo_header,
    refined,
    shown,
)
from asgi_server._validation.conversation import Conversation, Protocol
from asgi_server._validation.forms import Field, Form, Offer, broken_rules, settled
from asgi_server._validation.http import HTTP
from asgi_server._validation.lifespan import LIFESPAN
from asgi_server._validation.violations import violation
from asgi_server._validation.websocket import WEBSOCKET

__all__ = [
    "PROTOCOLS",
    "PUBLISHED_EXTENSIONS",
    "SCOPES",
    "TLS",
    "checked_scope",
    "conversation_of",
]

PROTOCOLS: Mapping[str, Protocol] = {
    protocol.name: protocol for protocol in (HTTP, WEBSOCKET, LIFESPAN)
}

PUBLISHED_EXTENSIONS = {"tls"} | {
    form.extension
    for protocol in PROTOCOLS.values()
    for form in protocol.sent.values()
    if form.extension is not None
}

_VERSION = r"\d+\.\d+"
# What a server understands that does not say: of HTTP and WebSocket 2.0, of Lifespan 1.0; no rule
# here tells those two apart.
_OLDEST_VERSION = (2, 0)


def _empty(value: Any) -> str | None:
    return None if value else f"must not be empty, not {value!r}"


def _not_empty(value: Any) -> str | None:
    return f"must be empty at first, not {shown(value)}" if value else None


def _wrong_version(asgi: Mapping[str, Any]) -> str | None:
    version = asgi.get("version", "2.0")
    return None if isinstance(version, str) else f"must have a str as 'version', not {version!r}"


def _wrong_spec_version(asgi: Mapping[str, Any]) -> str | None:
    version = asgi.get("spec_version", "2.0")
    if not isinstance(version, str):
        return f"must have a str as 'spec_version', not {version!r}"
    return not_matching(_VERSION, "a version such as '2.5' as 'spec_version'")(version)


def _lower_case(method: str) -> str | None:
    return None if method == method.upper() else f"must be in upper case, not {method!r}"


def _with_query(path: bytes) -> str | None:
    return "must not have the query string" if b"?" in path else None


def _extension_without_dict(extensions: Mapping[str, Any]) -> str | None:
    names = [name for name, value in extensions.items() if not isinstance(value, dict)]
    return f"must have a dict as the value of {names[0]!r}" if names else None


def _http_version(*versions: str) -> Check:
    words = f"one of {', '.join(map(repr, versions))}"
    return refined(TEXT, value=lambda v: None if v in versions else f"must be {words}, not {v!r}")


_ASGI = Field(
    "asgi",
    refined(NAMESPACE, version=_wrong_version, spec_version=_wrong_spec_version),
    is_required=True,
)
_EXTENSIONS = Field("extensions", nullable(refined(NAMESPACE, value=_extension_without_dict)))
_SCHEME = Field("scheme", refined(TEXT, empty=_empty))
_PATHS = (
    Field("path", TEXT, is_required=True),
    Field("raw_path", nullable(refined(BYTE_STRING, query=_with_query))),
    Field("root_path", TEXT),
)
_HEADERS = Field("headers", refined(HEADERS, pseudo=pseudo_header), is_required=True)
_ADDRESSES = (
    Field("client", nullable(pair_of("a host (str) and a port (int)", str, is_integer))),
    Field(
        "server",
        nullable(
            pair_of(
                "a host (str) and a port (int or None)", str, lambda p: p is None or is_integer(p)
            )
        ),
    ),
)
_COMMON = (_ASGI, _SCHEME, *_PATHS, _HEADERS, *_ADDRESSES, Field("state", NAMESPACE), _EXTENSIONS)


def _socket_path_too_new(scope: Mapping[str, Any]) -> str | None:
    server = scope.get("server")
    if server is None or [*server][1] is not None or _spec_version(scope) >= (2, 2):
        return None
    return "'server' without a port is new in version 2.2, which 'spec_version' is below"


_TOGETHER = {"server/version": _socket_path_too_new}

SCOPES: Mapping[str, Form] = {
    "http": Form(
        "http.scope",
        sections.HTTP_SCOPE,
        (
            Field("http_version", _http_version("1.0", "1.1", "2", "3"), is_required=True),
            Field("method", refined(TEXT, empty=_empty, uppercase=_lower_case), is_required=True),
            Field("query_string", BYTE_STRING, is_required=True),
            *_COMMON,
        ),
        _TOGETHER,
    ),
    "websocket": Form(
        "websocket.scope",
        sections.WEBSOCKET_SCOPE,
        (
            Field("http_version", _http_version("1.1", "2", "3")),
            Field("query_string", nullable(BYTE_STRING)),
            Field("subprotocols", TEXTS),
            *_COMMON,
        ),
        _TOGETHER,
    ),
    "lifespan": Form(
        "lifespan.scope",
        sections.LIFESPAN_SCOPE,
        (_ASGI, Field("state", refined(NAMESPACE, empty=_not_empty)), _EXTENSIONS),
    ),
}


def _chain_without_name(tls: Mapping[str, Any]) -> str | None:
    if [*tls.get("client_cert_chain", ())] and tls.get("client_cert_name") is None:
        return "'client_cert_name' must be there when 'client_cert_chain' is"
    return None


_TLS_NUMBER = refined(INTEGER, value=outside(0, 0xFFFF, "a number of 16 bits"))

TLS = Form(
    "tls",
    sections.TLS_SCOPE,
    (
        Field("server_cert", nullable(TEXT), is_required=True),
        Field("client_cert_chain", TEXTS),
        Field("client_cert_name", nullable(TEXT)),
        Field("client_cert_error", nullable(refined(TEXT, empty=_empty))),
        Field("tls_version", nullable(_TLS_NUMBER), is_required=True),
        Field("cipher_suite", nullable(_TLS_NUMBER), is_required=True),
    ),
    {"chain": _chain_without_name},
)


def checked_scope(scope: object, ignored: Collection[str]) -> dict[str, Any]:
    """Return `scope`, or an equal one to pass on; of a type that is not known, it may be anything.

    Args:
        scope: Anything.
        ignored: The rules that may be broken.

    Raises:
        ProtocolViolationError: The server broke a rule.
    """
    if not isinstance(scope, dict):
        finding = f"called with {shown(scope)}: a scope is a dict"
        raise violation("scope/dict", "server", sections.APPLICATIONS, finding)
    if not all(isinstance(key, str) for key in scope):
        finding = f"called with {shown(scope)}: all keys are Unicode strings"
        raise violation("scope/keys", "server", sections.STRINGS, finding)
    kind = scope.get("type")
    if not isinstance(kind, str):
        finding = f"called with {shown(scope)}: 'type' must be there, a Unicode string"
        raise violation("scope/type", "server", sections.APPLICATIONS, finding)
    if kind not in SCOPES:
        return scope
    scope = _checked(SCOPES[kind], scope, ignored)
    if not isinstance(_extensions(scope).get("tls"), dict):
        return scope
    given = scope["extensions"]["tls"]
    tls = _checked(TLS, given, ignored)
    if tls is given:
        return scope
    return {**scope, "extensions": {**scope["extensions"], "tls": tls}}


def _checked(form: Form, content: dict[str, Any], ignored: Collection[str]) -> dict[str, Any]:
    content = settled(form, content)
    for rule, fault in broken_rules(form, content, Offer(_OLDEST_VERSION, frozenset())):
        if rule not in ignored:
            raise violation(rule, "server", form.section, f"made {form.name!r}, in which {fault}")
    return content


def _extensions(scope: Mapping[str, Any]) -> dict[str, Any]:
    # With the rules ignored that would have held that, it may be no such dict.
    extensions = scope.get("extensions")
    return extensions if isinstance(extensions, dict) else {}


def _spec_version(scope: Mapping[str, Any]) -> tuple[int, ...]:
    asgi = scope.get("asgi")
    version = asgi.get("spec_version") if isinstance(asgi, dict) else None
    if not isinstance(version, str) or not re.fullmatch(_VERSION, version):
        return _OLDEST_VERSION
    return tuple(map(int, version.split(".")))


def conversation_of(scope: Mapping[str, Any], ignored: Collection[str]) -> Conversation:
    """Return the conversation, at its start, of a scope in which there is nothing wrong."""
    protocol = PROTOCOLS.get(scope["type"])
    extensions = frozenset(_extensions(scope))
    return Conversation(
        protocol,
        Offer(_spec_version(scope), extensions),
        takes_unknown=not extensions <= PUBLISHED_EXTENSIONS,
        ignored=ignored,
    )
