from __future__ import annotations

import sys
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asgi_wsgi import WsgiToAsgiInstance
from asgi_wsgi._environ import _known_variable, build_environ, header_variables
from asgi_wsgi._errors import TooManyDuplicateHeadersError

MakeScope = Callable[..., dict[str, Any]]


def test_names_of_headers_that_are_long_are_not_kept() -> None:
    kept = _known_variable.cache_info().currsize
    variables = header_variables([(b"a" * 60_000, b"1"), (b"host", b"2")], 0)
    assert variables == {"HTTP_" + "A" * 60_000: "1", "HTTP_HOST": "2"}
    assert _known_variable.cache_info().currsize <= kept + 1


@pytest.mark.parametrize("is_length_first", [False, True])
def test_content_length_is_left_out_beside_a_transfer_encoding(is_length_first: bool) -> None:
    """It does not count, and an application that trusts it reads another body than is sent."""
    headers = [(b"transfer-encoding", b"chunked"), (b"content-length", b"5")]
    variables = header_variables(headers[::-1] if is_length_first else headers, 0)
    assert variables == {"HTTP_TRANSFER_ENCODING": "chunked"}


def test_environ_has_what_pep_3333_requires(http_scope: MakeScope) -> None:
    body = BytesIO()
    environ = build_environ(http_scope(method="POST", path="/a", query_string=b"b=c"), body, 0)
    assert type(environ) is dict
    assert environ["REQUEST_METHOD"] == "POST"
    assert environ["SCRIPT_NAME"] == ""
    assert environ["PATH_INFO"] == "/a"
    assert environ["QUERY_STRING"] == "b=c"
    assert environ["SERVER_NAME"] == "192.0.2.2"
    assert environ["SERVER_PORT"] == "8000"
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert environ["wsgi.version"] == (1, 0)
    assert environ["wsgi.url_scheme"] == "http"
    assert environ["wsgi.input"] is body
    assert environ["wsgi.errors"] is sys.stderr
    assert environ["wsgi.multithread"] is True
    assert environ["wsgi.multiprocess"] is True
    assert environ["wsgi.run_once"] is False


def test_instance_builds_an_environ_without_an_application(http_scope: MakeScope) -> None:
    instance = WsgiToAsgiInstance(None)  # type: ignore[arg-type]
    instance.scope = http_scope(path="/a")
    assert instance.build_environ(instance.scope, None)["PATH_INFO"] == "/a"


def test_body_ends_at_the_end_of_its_stream(http_scope: MakeScope) -> None:
    """Otherwise Flask does not read a body without Content-Length."""
    assert build_environ(http_scope(), None, 0)["wsgi.input_terminated"] is True


def test_environ_gives_access_to_the_scope(http_scope: MakeScope) -> None:
    scope = http_scope()
    assert build_environ(scope, None, 0)["asgi.scope"] is scope


def test_optional_keys_of_a_scope_may_be_missing() -> None:
    scope = {"type": "http", "method": "GET", "path": "/"}
    environ = build_environ(scope, None, 0)
    assert environ["QUERY_STRING"] == ""
    assert environ["SERVER_NAME"] == "localhost"
    assert environ["SERVER_PORT"] == "80"
    assert "REMOTE_ADDR" not in environ
    assert "REMOTE_PORT" not in environ


# Paths


@pytest.mark.parametrize(
    ("root_path", "path", "script_name", "path_info"),
    [
        ("", "/a", "", "/a"),
        ("", "", "", ""),
        ("/", "/a", "", "/a"),
        # The path includes root_path: the ASGI specification.
        ("/app", "/app/a", "/app", "/a"),
        ("/app", "/app/", "/app", "/"),
        ("/app", "/app", "/app", ""),
        ("/app/", "/app/a", "/app", "/a"),
        ("/app/v1", "/app/v1/a", "/app/v1", "/a"),
        # It does not.
        ("/app", "/a", "/app", "/a"),
        ("/app", "/", "/app", "/"),
        # It begins with the same letters only.
        ("/app", "/apple", "/app", "/apple"),
        ("/app", "/app-2/a", "/app", "/app-2/a"),
    ],
)
def test_root_path_is_cut_from_the_path_by_whole_segments(
    http_scope: MakeScope, root_path: str, path: str, script_name: str, path_info: str
) -> None:
    environ = build_environ(http_scope(root_path=root_path, path=path), None, 0)
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == (script_name, path_info)


def test_paths_are_utf_8_read_as_latin_1(http_scope: MakeScope) -> None:
    environ = build_environ(http_scope(root_path="/ä", path="/ä/é€"), None, 0)
    assert environ["SCRIPT_NAME"].encode("latin-1") == "/ä".encode()
    assert environ["PATH_INFO"].encode("latin-1") == "/é€".encode()


def test_bytes_that_the_server_could_not_decode_are_given_back(http_scope: MakeScope) -> None:
    path = b"/\xff".decode("utf-8", "surrogateescape")
    assert build_environ(http_scope(path=path), None, 0)["PATH_INFO"] == "/\xff"


def test_surrogate_that_stands_for_no_byte_is_refused(http_scope: MakeScope) -> None:
    with pytest.raises(UnicodeEncodeError):
        build_environ(http_scope(path="/\ud800"), None, 0)


def test_query_string_is_latin_1(http_scope: MakeScope) -> None:
    assert build_environ(http_scope(query_string=b"a=\xff"), None, 0)["QUERY_STRING"] == "a=\xff"


@pytest.mark.parametrize("variable", ["RAW_URI", "REQUEST_URI"])
def test_request_uri_is_what_the_client_sent(http_scope: MakeScope, variable: str) -> None:
    scope = http_scope(path="/a/b c", raw_path=b"/a%2Fb%20c", query_string=b"d=%20")
    assert build_environ(scope, None, 0)[variable] == "/a%2Fb%20c?d=%20"


def test_request_uri_has_the_query_once_where_raw_path_has_it_too(http_scope: MakeScope) -> None:
    scope = http_scope(path="/a", raw_path=b"/a?b", query_string=b"b")
    assert build_environ(scope, None, 0)["REQUEST_URI"] == "/a?b"


def test_request_uri_is_quoted_where_the_server_keeps_no_raw_path(http_scope: MakeScope) -> None:
    environ = build_environ(http_scope(root_path="/app", path="/app/é b@c?"), None, 0)
    assert environ["REQUEST_URI"] == "/app/%C3%A9%20b@c%3F"


# Server and client


def test_https_is_told_in_both_ways(http_scope: MakeScope) -> None:
    environ = build_environ(http_scope(scheme="https"), None, 0)
    assert environ["wsgi.url_scheme"] == "https"
    assert environ["HTTPS"] == "on"


def test_http_has_no_https_variable(http_scope: MakeScope) -> None:
    assert "HTTPS" not in build_environ(http_scope(), None, 0)


@pytest.mark.parametrize(
    ("server", "scheme", "name", "port"),
    [
        (("example.org", 8000), "https", "example.org", "8000"),
        (["example.org", 8000], "http", "example.org", "8000"),
        (("", 8000), "http", "localhost", "8000"),
        (None, "http", "localhost", "80"),
        (None, "https", "localhost", "443"),
        (("/run/server.sock", None), "http", "localhost", "80"),
    ],
)
def test_server_name_and_port_are_never_empty(
    http_scope: MakeScope, server: Any, scheme: str, name: str, port: str
) -> None:
    environ = build_environ(http_scope(server=server, scheme=scheme), None, 0)
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == (name, port)


def test_client_address_and_port_are_strings(http_scope: MakeScope) -> None:
    environ = build_environ(http_scope(client=["2001:db8::1", 50000]), None, 0)
    assert environ["REMOTE_ADDR"] == "2001:db8::1"
    assert environ["REMOTE_PORT"] == "50000"


def test_client_that_the_server_does_not_know_is_left_out(http_scope: MakeScope) -> None:
    environ = build_environ(http_scope(client=None), None, 0)
    assert "REMOTE_ADDR" not in environ
    assert "REMOTE_PORT" not in environ


# Headers


def test_headers_become_http_variables(http_scope: MakeScope) -> None:
    headers = [(b"x-a", b"1"), [b"X-B", b"\xff"]]
    environ = build_environ(http_scope(headers=headers), None, 0)
    assert environ["HTTP_X_A"] == "1"
    assert environ["HTTP_X_B"] == "\xff"


def test_content_headers_have_no_prefix(http_scope: MakeScope) -> None:
    headers = [(b"content-type", b"text/plain"), (b"Content-Length", b"3")]
    environ = build_environ(http_scope(headers=headers), None, 0)
    assert environ["CONTENT_TYPE"] == "text/plain"
    assert environ["CONTENT_LENGTH"] == "3"
    assert not [name for name in environ if name.startswith("HTTP_")]


def test_header_names_stay_within_latin_1(http_scope: MakeScope) -> None:
    """The upper case of `ÿ` is outside latin-1, and that of `ß` is two letters."""
    environ = build_environ(http_scope(headers=[(b"x-\xff\xdf", b"1")]), None, 0)
    assert environ["HTTP_X_\xff\xdf"] == "1"


def test_repeated_header_is_joined_by_commas(http_scope: MakeScope) -> None:
    headers = [(b"accept", b"a"), (b"x", b"1"), (b"Accept", b"b")]
    assert build_environ(http_scope(headers=headers), None, 0)["HTTP_ACCEPT"] == "a,b"


def test_cookies_are_joined_by_semicolons(http_scope: MakeScope) -> None:
    headers = [(b"cookie", b"a=1"), (b"cookie", b"b=2")]
    assert build_environ(http_scope(headers=headers), None, 0)["HTTP_COOKIE"] == "a=1; b=2"


@pytest.mark.parametrize("name", [b"x_user", b"x-remote_user", b"content_length", b"_"])
def test_header_with_an_underscore_is_dropped(http_scope: MakeScope, name: bytes) -> None:
    """It would pass for the header with a dash, which a proxy may have checked."""
    environ = build_environ(http_scope(headers=[(name, b"forged")]), None, 0)
    assert "forged" not in environ.values()


def test_header_with_an_underscore_can_be_kept(http_scope: MakeScope) -> None:
    headers = [(b"x_user", b"a")]
    environ = build_environ(http_scope(headers=headers), None, 0, keep_underscores=True)
    assert environ["HTTP_X_USER"] == "a"


def test_header_may_come_as_often_as_the_limit_says(http_scope: MakeScope) -> None:
    environ = build_environ(http_scope(headers=[(b"a", b"1")] * 3), None, 3)
    assert environ["HTTP_A"] == "1,1,1"


def test_header_that_comes_more_often_is_refused(http_scope: MakeScope) -> None:
    message = "Too many duplicate headers: HTTP_A exceeds limit of 3"
    with pytest.raises(TooManyDuplicateHeadersError, match=f"^{message}$"):
        build_environ(http_scope(headers=[(b"a", b"1")] * 4), None, 3)


def test_limit_counts_each_header_for_itself(http_scope: MakeScope) -> None:
    headers = [(b"a", b"1"), (b"b", b"2"), (b"a", b"3"), (b"b", b"4")]
    assert build_environ(http_scope(headers=headers), None, 2)["HTTP_B"] == "2,4"


@pytest.mark.parametrize("limit", [0, None])
def test_limit_can_be_switched_off(http_scope: MakeScope, limit: int | None) -> None:
    environ = build_environ(http_scope(headers=[(b"a", b"")] * 200), None, limit)
    assert environ["HTTP_A"] == "," * 199


# Everything that a client can send

any_text = st.text(st.characters())  # surrogates included
addresses = st.none() | st.tuples(any_text, st.none() | st.integers(0, 65535))
scopes = st.fixed_dictionaries(
    {"type": st.just("http"), "method": st.sampled_from(["GET", "POST"]), "path": any_text},
    optional={
        "http_version": st.sampled_from(["1.0", "1.1", "2", "3"]),
        "scheme": st.sampled_from(["http", "https"]),
        "raw_path": st.none() | st.binary(),
        "query_string": st.binary(),
        "root_path": any_text,
        "headers": st.lists(
            st.tuples(
                st.binary() | st.sampled_from([b"cookie", b"content-type", b"x_y"]), st.binary()
            )
        ),
        "client": addresses,
        "server": addresses,
    },
)


@given(scopes, st.integers(0, 3))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_any_scope_gives_native_strings_or_a_value_error(scope: dict[str, Any], limit: int) -> None:
    try:
        environ = build_environ(scope, None, limit)
    except (TooManyDuplicateHeadersError, UnicodeEncodeError):
        return
    for name, value in environ.items():
        if not name.startswith(("wsgi.", "asgi.")):
            assert type(value) is str
            value.encode("latin-1")
    assert environ["SERVER_NAME"]
    assert environ["SERVER_PORT"]
