"""What can be asked of an adapter, and how it is told that something cannot."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from helpers.wsgi_applications import hello

from asgi_wsgi import WsgiToAsgi

NUMBERS = ["max_workers", "request_window", "response_window", "duplicate_header_limit"]


def test_parameters_are_those_of_asgiref_and_more_by_keyword() -> None:
    parameters = inspect.signature(WsgiToAsgi).parameters.values()
    by_position = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    by_keyword = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    assert by_position == ["wsgi_application", "duplicate_header_limit"]
    assert by_keyword == [
        "max_workers",
        "thread_sensitive",
        "request_window",
        "response_window",
        "keep_underscore_headers",
    ]


@pytest.mark.parametrize("application", [None, "module:app", 1])
def test_application_that_cannot_be_called_is_refused(application: Any) -> None:
    with pytest.raises(TypeError, match="wsgi_application must be callable"):
        WsgiToAsgi(application)


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", ["1", 1.5, True])
def test_number_that_is_none_is_refused(name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"^{name} must be an int, not "):
        WsgiToAsgi(hello, **{name: value})


@pytest.mark.parametrize("name", NUMBERS)
def test_number_that_is_too_small_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be at least [01], not -1"):
        WsgiToAsgi(hello, **{name: -1})


@pytest.mark.parametrize("name", ["max_workers", "request_window", "response_window"])
def test_zero_is_too_small(name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be at least 1, not 0"):
        WsgiToAsgi(hello, **{name: 0})  # type: ignore[arg-type]


@pytest.mark.parametrize("limit", [0, None])
def test_any_number_of_duplicate_headers_can_be_allowed(limit: Any) -> None:
    assert WsgiToAsgi(hello, limit).duplicate_header_limit == limit


def test_number_of_threads_makes_no_sense_for_one() -> None:
    with pytest.raises(ValueError, match="max_workers cannot be given with thread_sensitive=True"):
        WsgiToAsgi(hello, thread_sensitive=True, max_workers=2)


@pytest.mark.asyncio
async def test_headers_with_underscores_are_kept_if_the_adapter_is_told_to(
    server: Any, http_scope: Any
) -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [environ["HTTP_X_USER"].encode()]

    app = WsgiToAsgi(application, keep_underscore_headers=True)
    await app(http_scope(headers=[(b"x_user", b"ann")]), server.receive, server.send)
    assert server.body == b"ann"
