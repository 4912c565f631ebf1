"""One response: what the application may say, and which messages it becomes."""

from __future__ import annotations

import gc
import sys
import weakref
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asgi_wsgi._headers import parse_head
from asgi_wsgi._response import Response, Stage, as_bytes

START = {"type": "http.response.start", "status": 200, "headers": []}
END = {"type": "http.response.body"}


def chunk(body: bytes) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": True}


def error_info() -> Any:
    try:
        raise LookupError("the page failed")
    except LookupError:
        return sys.exc_info()


@pytest.fixture
def response() -> Response:
    return Response()


@pytest.mark.parametrize("status", ["304 Not Modified", "204 No Content", "101 Switching"])
def test_status_without_a_body_has_no_content_length(status: str) -> None:
    head = parse_head(status, [("Content-Length", "5"), ("ETag", "a")])
    assert head.headers == [(b"etag", b"a")]


def test_chunk_after_the_end_is_refused(response: Response) -> None:
    response.start("200 OK", [])
    response.add(b"a")
    response.finish()
    with pytest.raises(RuntimeError, match="after the end of its response"):
        response.add(b"b")


# Status


@pytest.mark.parametrize(
    ("status", "code"),
    [("200 OK", 200), ("404 Not Found", 404), ("204 ", 204), ("299 caf\xe9", 299)],
)
def test_status_is_the_number_before_the_reason(status: str, code: int) -> None:
    assert parse_head(status, []).status == code


@pytest.mark.parametrize(
    "status", ["204", "", "OK", "20 OK", "2000 OK", "099 OK", " 200 OK", "٢٠٠ OK"]
)
def test_status_without_number_or_reason_is_refused(status: str) -> None:
    with pytest.raises(ValueError, match="status must be three digits, a space and a reason"):
        parse_head(status, [])


@pytest.mark.parametrize("status", [200, b"200 OK", None])
def test_status_that_is_not_a_str_is_refused(status: Any) -> None:
    with pytest.raises(TypeError, match=r"status must be a str such as '200 OK', not "):
        parse_head(status, [])


# Headers


def test_header_names_are_lower_cased_and_pairs_are_tuples_of_bytes() -> None:
    headers = [("X-A", "B"), ("Set-Cookie", "c"), ("Set-Cookie", "d")]
    assert parse_head("200 OK", headers).headers == [
        (b"x-a", b"B"),
        (b"set-cookie", b"c"),
        (b"set-cookie", b"d"),
    ]


def test_header_values_are_latin_1() -> None:
    assert parse_head("200 OK", [("X", "caf\xe9\t!")]).headers == [(b"x", b"caf\xe9\t!")]


def test_header_value_outside_latin_1_is_refused() -> None:
    with pytest.raises(ValueError, match="'X' has a character outside latin-1 in '5 €'") as caught:
        parse_head("200 OK", [("X", "5 €")])
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b", "a\n", "\0", "a\x7f"])
def test_header_value_cannot_smuggle_another_line(value: str) -> None:
    with pytest.raises(ValueError, match="'X' has a control character"):
        parse_head("200 OK", [("X", value)])


@pytest.mark.parametrize("name", ["", "X Y", "X:", "X\r\n", "caf\xe9"])
def test_header_name_must_be_a_token(name: str) -> None:
    with pytest.raises(ValueError, match="is not a valid name of a response header"):
        parse_head("200 OK", [(name, "a")])


@pytest.mark.parametrize(
    "name", ["Connection", "keep-alive", "Transfer-Encoding", "TE", "Upgrade", "Trailers"]
)
def test_hop_by_hop_header_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"'{name}' is a hop-by-hop header.*leave it out"):
        parse_head("200 OK", [(name, "a")])


@pytest.mark.parametrize("header", [("X", 1), ("X", None), (b"X", b"a"), (1, "a")])
def test_header_that_is_not_made_of_str_is_refused(header: Any) -> None:
    with pytest.raises(TypeError, match="a response header must be a pair of str"):
        parse_head("200 OK", [header])


def test_content_length_is_read() -> None:
    assert parse_head("200 OK", [("content-LENGTH", "12")]).content_length == 12


@pytest.mark.parametrize("value", ["", "x", "-1", "1.5", "+1", "²"])
def test_content_length_must_be_a_number(value: str) -> None:
    with pytest.raises(ValueError, match="Content-Length must be one number of bytes, not"):
        parse_head("200 OK", [("Content-Length", value)])


def test_content_length_that_is_given_twice_is_sent_once() -> None:
    given = [("Content-Length", "5"), ("ETag", "a"), ("content-length", " 5")]
    head = parse_head("200 OK", given)
    assert sorted(head.headers) == [(b"content-length", b"5"), (b"etag", b"a")]
    assert head.content_length == 5


def test_spaces_around_the_value_of_a_header_are_not_sent() -> None:
    assert parse_head("200 OK", [("X-A", " \ta b\t ")]).headers == [(b"x-a", b"a b")]


def test_content_lengths_must_agree() -> None:
    headers = [("Content-Length", "1"), ("Content-Length", "3")]
    with pytest.raises(ValueError, match="not '1' and '3'"):
        parse_head("200 OK", headers)


# From start_response to the end


def test_headers_leave_with_the_first_chunk(response: Response) -> None:
    response.start("200 OK", [])
    assert response.add(b"a") == [START, chunk(b"a")]
    assert response.add(b"b") == [chunk(b"b")]
    assert response.finish() == [END]


def test_empty_chunk_sends_nothing(response: Response) -> None:
    response.start("200 OK", [])
    assert response.add(b"") == []
    assert response.add(b"a") == [START, chunk(b"a")]
    assert response.add(b"") == []


def test_headers_leave_at_the_end_of_an_empty_body(response: Response) -> None:
    response.start("200 OK", [])
    assert response.finish() == [START, END]


def test_empty_chunk_may_come_before_start_response(response: Response) -> None:
    """Middleware yields it for each chunk that it holds back."""
    assert response.add(b"") == []


def test_chunk_before_start_response_is_refused(response: Response) -> None:
    with pytest.raises(RuntimeError, match="must call start_response"):
        response.add(b"a")


def test_end_before_start_response_is_refused(response: Response) -> None:
    with pytest.raises(RuntimeError, match="must call start_response"):
        response.finish()


def test_second_start_response_is_refused(response: Response) -> None:
    response.start("200 OK", [])
    with pytest.raises(ValueError, match="start_response a second time without exc_info"):
        response.start("200 OK", [("X", "a")])
    assert response.finish() == [START, END]


def test_second_start_response_is_refused_also_after_a_failed_one(response: Response) -> None:
    with pytest.raises(ValueError, match="status must be"):
        response.start("200", [])
    with pytest.raises(ValueError, match="a second time without exc_info"):
        response.start("200 OK", [])


def test_error_handler_replaces_status_and_headers(response: Response) -> None:
    response.start("200 OK", [("Content-Length", "2"), ("X", "a")])
    response.start("500 Error", [("Y", "b")], error_info())
    start = {"type": "http.response.start", "status": 500, "headers": [(b"y", b"b")]}
    assert response.add(b"oops") == [start, chunk(b"oops")]


def test_error_handler_may_start_over_after_a_failed_start_response(response: Response) -> None:
    with pytest.raises(ValueError, match="status must be"):
        response.start("200", [])
    response.start("200 OK", [], error_info())
    assert response.finish() == [START, END]


def test_failed_replacement_leaves_nothing_to_send(response: Response) -> None:
    response.start("200 OK", [])
    with pytest.raises(ValueError, match="status must be"):
        response.start("500", [], error_info())
    with pytest.raises(RuntimeError, match="must call start_response, without an error"):
        response.finish()


def test_error_handler_that_is_too_late_gets_its_error_again(response: Response) -> None:
    response.start("200 OK", [])
    response.add(b"a")
    with pytest.raises(LookupError, match="the page failed"):
        response.start("500 Error", [], error_info())
    assert response.finish() == [END]


def test_error_handler_that_is_too_late_and_has_no_error_is_told(response: Response) -> None:
    response.start("200 OK", [])
    response.add(b"a")
    with pytest.raises(RuntimeError, match="after the headers had been sent"):
        response.start("500 Error", [], (None, None, None))


def test_error_that_is_raised_again_leaves_no_cycle(response: Response) -> None:
    class PageError(Exception):
        pass

    def fail_late() -> weakref.ref[PageError]:
        try:
            raise PageError
        except PageError as error:
            try:
                response.start("500 Error", [], sys.exc_info())
            except PageError:
                return weakref.ref(error)
        raise AssertionError("not reached")

    response.start("200 OK", [])
    response.add(b"a")
    gc.disable()
    try:
        assert fail_late()() is None
    finally:
        gc.enable()


# Bodies


def test_bytes_beyond_the_content_length_are_cut(response: Response) -> None:
    response.start("200 OK", [("Content-Length", "3")])
    assert response.add(b"ab")[1:] == [chunk(b"ab")]
    assert not response.is_complete
    assert response.add(b"cd") == [chunk(b"c")]
    assert response.is_complete
    assert response.add(b"e") == []
    assert response.finish() == [END]


def test_response_with_all_its_bytes_goes_on_until_the_application_ends(response: Response) -> None:
    """A generator may have work to do after its last chunk."""
    response.start("200 OK", [("Content-Length", "2")])
    response.add(b"ab")
    assert not response.is_complete
    assert response.finish() == [END]


@pytest.mark.parametrize("body", [b"", b"a"])
def test_fewer_bytes_than_the_content_length_are_an_error(response: Response, body: bytes) -> None:
    response.start("200 OK", [("Content-Length", "2")])
    response.add(body)
    with pytest.raises(RuntimeError, match=f"gave {len(body)} of the 2 bytes"):
        response.finish()


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified", "101 Switching"])
def test_status_without_a_body_sends_none(response: Response, status: str) -> None:
    response.start(status, [("Content-Length", "5")])
    messages = [*response.add(b"a"), *response.finish()]
    assert [message.get("body") for message in messages] == [None, None]
    assert response.is_complete


def test_head_request_gets_the_headers_alone() -> None:
    response = Response(to_head_request=True)
    response.start("200 OK", [("Content-Length", "5")])
    start = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]}
    assert response.add(b"a") == [start]
    assert response.is_complete
    assert not response.is_overfull
    assert response.finish() == [END]


# A request that is refused


def test_refused_request_has_its_reason_as_the_body(response: Response) -> None:
    headers = [(b"content-type", b"text/plain")]
    assert response.refuse_request(b"Bad") == [
        {"type": "http.response.start", "status": 400, "headers": headers},
        {"type": "http.response.body", "body": b"Bad"},
    ]
    assert response.stage is Stage.SENT


def test_refused_head_request_has_no_body() -> None:
    assert Response(to_head_request=True).refuse_request(b"Bad")[1:] == [END]


# What a chunk may be


@pytest.mark.parametrize("given", [b"a", bytearray(b"a"), memoryview(b"a")])
def test_chunk_may_be_any_kind_of_bytes(given: Any) -> None:
    assert type(as_bytes(given)) is bytes


@pytest.mark.parametrize("given", ["a", 97, None, ["a"]])
def test_chunk_that_is_not_bytes_is_refused(given: Any) -> None:
    message = f"must return an iterable of bytes.* of type {type(given).__name__}"
    with pytest.raises(TypeError, match=message):
        as_bytes(given)


# Any body and any Content-Length


@given(st.none() | st.integers(0, 20), st.lists(st.binary(max_size=8), max_size=6))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_what_is_sent_is_what_was_given_up_to_the_content_length(
    length: int | None, chunks: list[bytes]
) -> None:
    response = Response()
    response.start("200 OK", [] if length is None else [("Content-Length", str(length))])
    messages = [message for given in chunks for message in response.add(given)]
    whole = b"".join(chunks)
    try:
        messages += response.finish()
    except RuntimeError:
        assert length is not None
        assert len(whole) < length
    else:
        assert messages[0]["type"] == "http.response.start"
        assert messages[-1] == END
    assert b"".join(message.get("body", b"") for message in messages) == whole[:length]
