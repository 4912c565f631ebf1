"""What a WSGI application sees of a request, under every server, with a real client.

The environ; headers; the request body. All applications run inside `wsgiref.validate`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from helpers.asgi_servers import SERVER_KINDS, ServerKind
from helpers.served import Served, serving
from helpers.server_threads import PATIENCE

PLAIN = [("Content-Type", "text/plain")]


def environ_of(served: Served, method: str, url: str, **request: Any) -> WSGIEnvironment:
    """Send a request, and return the environ that the application was called with."""
    seen: WSGIEnvironment = {}

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        seen.update(environ)
        start_response("200 OK", PLAIN)
        return [b"seen"]

    served.serve(application)
    answer = served.client.request(method, url, **request)
    assert (answer.status_code, answer.content) == (200, b"seen"), served.errors
    return seen


def answer_of(served: Served, read: Callable[[Any], object], chunks: list[bytes]) -> str:
    """Send a body in chunks, and return as text what `read` has returned for `wsgi.input`."""

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        found = repr(read(environ["wsgi.input"]))
        start_response("200 OK", PLAIN)
        return [found.encode()]

    served.serve(application)
    answer = served.client.post("/", content=iter(chunks))
    assert answer.status_code == 200, served.errors
    return answer.text


# The environ


def test_method_path_and_query(served: Served) -> None:
    environ = environ_of(served, "PATCH", "/a/b?c=d&e=%20")
    assert environ["REQUEST_METHOD"] == "PATCH"
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("", "/a/b")
    assert environ["QUERY_STRING"] == "c=d&e=%20"


def test_path_has_the_bytes_of_the_request_as_latin_1(served: Served) -> None:
    environ = environ_of(served, "GET", "/caf%C3%A9%20x")
    assert environ["PATH_INFO"] == "/caf\xc3\xa9 x"


def test_request_uri_is_not_decoded(served: Served) -> None:
    environ = environ_of(served, "GET", "/a%2Fb?c=%C3%A9")
    assert environ["REQUEST_URI"] == environ["RAW_URI"] == "/a%2Fb?c=%C3%A9"


def test_addresses_of_both_ends(served: Served) -> None:
    environ = environ_of(served, "GET", "/")
    port = served.client.base_url.port or 80
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert int(environ["REMOTE_PORT"]) > 0
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("127.0.0.1", str(port))
    assert environ["HTTP_HOST"] == served.client.base_url.netloc.decode()


def test_protocol_and_scheme(served: Served) -> None:
    environ = environ_of(served, "GET", "/")
    assert environ["SERVER_PROTOCOL"] == ("HTTP/2" if served.kind.is_http2 else "HTTP/1.1")
    assert environ["wsgi.url_scheme"] == "http"


def test_keys_of_the_gateway(served: Served) -> None:
    environ = environ_of(served, "GET", "/")
    assert environ["wsgi.version"] == (1, 0)
    assert environ["wsgi.multithread"] is True
    assert environ["wsgi.run_once"] is False
    assert environ["wsgi.input_terminated"] is True
    assert environ["asgi.scope"]["type"] == "http"


@pytest.mark.parametrize("kind", SERVER_KINDS, ids=str)
def test_root_path_of_the_server_is_the_script_name(kind: ServerKind) -> None:
    """Uvicorn adds it to the path of the scope; behind hypercorn a proxy may have kept it."""
    with serving(kind, root_path="/app") as served:
        expected = {"/": "/", "/x": "/x", "/apple": "/apple"}
        if kind.name.startswith("hypercorn"):
            expected["/app/x"] = "/x"
        environs = {url: environ_of(served, "GET", url) for url in expected}
    assert {environ["SCRIPT_NAME"] for environ in environs.values()} == {"/app"}
    assert {url: environ["PATH_INFO"] for url, environ in environs.items()} == expected


# Headers


def test_header_is_a_variable(served: Served) -> None:
    environ = environ_of(served, "GET", "/", headers={"X-Some-Name": "its value"})
    assert environ["HTTP_X_SOME_NAME"] == "its value"


def test_header_value_is_latin_1(served: Served) -> None:
    environ = environ_of(served, "GET", "/", headers=[(b"X-Name", b"caf\xe9")])
    assert environ["HTTP_X_NAME"] == "caf\xe9"


def test_type_and_length_of_the_body_have_no_prefix(served: Served) -> None:
    headers = {"Content-Type": "text/csv"}
    environ = environ_of(served, "POST", "/", headers=headers, content=b"1,2")
    assert (environ["CONTENT_TYPE"], environ["CONTENT_LENGTH"]) == ("text/csv", "3")
    assert not {"HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"} & environ.keys()


def test_cookies_of_several_headers_are_one_list(served: Served) -> None:
    environ = environ_of(served, "GET", "/", headers=[("cookie", "a=1"), ("cookie", "b=2")])
    assert environ["HTTP_COOKIE"] == "a=1; b=2"


def test_other_repeated_headers_are_joined_with_a_comma(served: Served) -> None:
    environ = environ_of(served, "GET", "/", headers=[("x-tag", "a"), ("x-tag", "b")])
    assert environ["HTTP_X_TAG"].replace(" ", "") == "a,b"


def test_header_with_an_underscore_cannot_pose_as_another(served: Served) -> None:
    environ = environ_of(served, "GET", "/", headers=[("x-user", "me"), ("x_user", "admin")])
    assert environ["HTTP_X_USER"] == "me"


def test_too_many_duplicates_are_a_bad_request(served: Served) -> None:
    calls: list[WSGIEnvironment] = []

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        calls.append(environ)
        start_response("200 OK", PLAIN)
        return []

    served.serve(application, duplicate_header_limit=2)
    answer = served.client.get("/", headers=[("x-tag", "a")] * 3)
    assert answer.status_code == 400
    assert answer.text == "Bad Request: Too many duplicate headers"
    assert calls == []


# The request body

CHUNKS = [b"one\ntw", b"o\n", b"three"]


def by_iteration(stream: Any) -> list[bytes]:
    return list(stream)


def by_small_reads(stream: Any) -> bytes:
    return b"".join(iter(lambda: stream.read(2), b""))


def by_lines(stream: Any) -> list[bytes]:
    return [stream.readline(), stream.readline(2), stream.readline(), stream.readline(100)]


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        (by_iteration, [b"one\n", b"two\n", b"three"]),
        (by_small_reads, b"one\ntwo\nthree"),
        (by_lines, [b"one\n", b"tw", b"o\n", b"three"]),
        (lambda stream: stream.readlines(), [b"one\n", b"two\n", b"three"]),
        (lambda stream: (stream.read(1000), stream.read(1)), (b"one\ntwo\nthree", b"")),
    ],
    ids=["iteration", "small reads", "lines", "readlines", "to the end"],
)
def test_body_of_unknown_length_is_read(
    served: Served, read: Callable[[Any], object], expected: object
) -> None:
    assert answer_of(served, read, CHUNKS) == repr(expected)


def test_body_of_known_length_is_read(served: Served) -> None:
    def echo(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        length = int(environ["CONTENT_LENGTH"])
        start_response("200 OK", PLAIN)
        return [environ["wsgi.input"].read(length)]

    served.serve(echo)
    body = bytes(range(256)) * 1000
    assert served.client.put("/", content=body).content == body


def test_request_without_a_body_has_an_empty_one(served: Served) -> None:
    assert answer_of(served, lambda stream: (stream.read(10), stream.readline()), []) == repr(
        (b"", b"")
    )


@pytest.mark.parametrize("size", [0, 1, 40_000])
def test_body_that_is_not_read_does_not_disturb_the_next_on_its_connection(
    served: Served, size: int
) -> None:
    for number in range(3):
        chunks = [b"x" * 30_000] * 4
        found = answer_of(served, lambda stream, n=number: (n, stream.read(size)), chunks)
        assert found == repr((number, b"x" * size))


def test_application_is_called_before_the_body_is_complete(served: Served) -> None:
    first_is_read = threading.Event()

    def read(stream: Any) -> list[bytes]:
        first = stream.read(5)
        first_is_read.set()
        return [first, stream.read(100)]

    def chunks() -> Iterator[bytes]:
        yield b"first"
        assert first_is_read.wait(PATIENCE)
        yield b"second"

    assert answer_of(served, read, chunks()) == repr([b"first", b"second"])


def test_request_body_larger_than_all_windows_arrives_whole(served: Served) -> None:
    def read(stream: Any) -> int:
        return sum(len(block) for block in iter(lambda: stream.read(10_000), b""))

    assert answer_of(served, read, [bytes(65_536)] * 64) == repr(64 * 65_536)
