"""What a server offers, asked of its scope."""

from __future__ import annotations

from typing import Any, get_args, get_overloads, get_type_hints

import pytest
from helpers.asgi_messages import EXTENSIONS, TLS, scope

from asgi_server.extensions import allows, tls_of


async def send(message: Any) -> None:
    raise AssertionError("it is not called")


@pytest.mark.parametrize("name", EXTENSIONS)
def test_extension_is_allowed_only_where_the_scope_has_it(name: str) -> None:
    kind: Any = "websocket" if name.startswith("websocket") else "http"
    others = {other: {} for other in EXTENSIONS if other != name}
    assert allows(send, scope(kind, extensions={name: {}}), name)  # type: ignore[call-overload]
    for extensions in ({}, None, others):
        assert not allows(send, scope(kind, extensions=extensions), name)  # type: ignore[call-overload]
    assert not allows(send, scope(kind, "extensions"), name)  # type: ignore[call-overload]


def test_every_published_extension_with_messages_has_a_type_of_its_own() -> None:
    names = [get_args(get_type_hints(o)["extension"])[0] for o in get_overloads(allows)]
    assert sorted(names) == sorted(EXTENSIONS)


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_tls_is_what_the_scope_says(kind: Any) -> None:
    assert tls_of(scope(kind, extensions={"tls": TLS})) is TLS  # type: ignore[arg-type]


def test_tls_is_none_without_the_extension() -> None:
    for given in (scope("http", "extensions"), scope("http", extensions=None)):
        assert tls_of(given) is None  # type: ignore[arg-type]
