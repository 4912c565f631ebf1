"""Random ASGI scopes, messages and WSGI applications, as strategies of hypothesis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from hypothesis import strategies as st

# Surrogates included: servers decode with `surrogateescape`, and hypothesis leaves them out.
_any_text = st.text(st.characters(exclude_categories=()), max_size=8)
_path = st.one_of(_any_text, _any_text.map("/".__add__), st.just("/app/x"))
_header_name = st.one_of(
    st.sampled_from(
        [b"host", b"cookie", b"content-type", b"x-tag", b"x_tag", b"transfer-encoding", b"expect"]
    ),
    st.binary(max_size=6),
)
_length = st.sampled_from([b"0", b"5", b"70000", b"9" * 30, b"-1", b"", b"x", b"1, 2", b"\xb2"])
_header = st.one_of(
    st.tuples(_header_name, st.binary(max_size=8)), st.tuples(st.just(b"content-length"), _length)
)
_address = st.one_of(
    st.none(),
    st.tuples(_any_text, st.one_of(st.none(), st.integers(0, 65_535))),
)
_required = {
    "type": st.just("http"),
    "http_version": st.sampled_from(["1.0", "1.1", "2", "3"]),
    "method": st.one_of(st.sampled_from(["GET", "POST", "HEAD", "OPTIONS"]), _any_text),
    "path": _path,
    "query_string": st.binary(max_size=8),
    "headers": st.lists(_header, max_size=6),
}
_optional = {
    "asgi": st.just({"version": "3.0"}),
    "scheme": st.sampled_from(["http", "https", "ws"]),
    "raw_path": st.one_of(st.none(), st.binary(max_size=8)),
    "root_path": st.one_of(st.just("/app"), _any_text),
    "client": _address,
    "server": _address,
    "extensions": st.one_of(st.none(), st.just({})),
    "state": st.just({}),
}
http_scopes = st.fixed_dictionaries(_required, optional=_optional)

_chunk = st.one_of(st.binary(max_size=20), st.sampled_from([b"a\nb", bytes(70_000)]))
_reads = st.one_of(
    st.tuples(st.sampled_from(["read", "readline"]), st.sampled_from([-1, None, 0, 1, 7, 70_001])),
    st.tuples(st.just("readlines"), st.sampled_from([-1, 0, 1, 100])),
    st.tuples(st.just("list"), st.none()),
)


@dataclass(frozen=True)
class Application:
    """A WSGI application that keeps to the rules, but for the length of its response.

    Attributes:
        reads: Methods of `wsgi.input`, and what they are called with.
        status: What it answers.
        chunks: Of its response.
        length: Its Content-Length, if it gives one.
        writes: How many of the chunks go through `write`.
    """

    reads: list[tuple[str, Any]]
    status: str
    chunks: list[bytes]
    length: int | None
    writes: int

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        results = environ["asgi.scope"]["results"]
        for read in self.reads:
            results.append(perform(environ["wsgi.input"], *read))
        headers = [] if self.length is None else [("Content-Length", str(self.length))]
        write = start_response(self.status, headers)
        for chunk in self.chunks[: self.writes]:
            write(chunk)
        return self.chunks[self.writes :]


def perform(stream: Any, name: str, argument: Any) -> Any:
    """Read in one of the ways that there are."""
    if name == "list":
        return list(stream)
    return getattr(stream, name)(argument)


applications = st.builds(
    Application,
    reads=st.lists(_reads, max_size=4),
    status=st.sampled_from(["200 OK", "204 No Content", "304 Not Modified", "404 Not Found"]),
    chunks=st.lists(_chunk, max_size=4),
    length=st.one_of(st.none(), st.integers(0, 60)),
    writes=st.integers(0, 2),
)


def _request(body: bytes, more_body: bool) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more_body}


@st.composite
def request_messages(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Return the messages of a request: a whole one, or one whose client leaves."""
    messages = [_request(chunk, True) for chunk in draw(st.lists(_chunk, max_size=4))]
    for message in messages:
        # Each may be left out where it has its default.
        if not message["body"] and draw(st.booleans()):
            del message["body"]
    if draw(st.integers(0, 3)):
        last = _request(draw(_chunk), False)
        if draw(st.booleans()):
            del last["more_body"]
        return [*messages, last]
    return [*messages, {"type": "http.disconnect"}]
