"""A real application through the adapter: uploads, streams, cookies, error pages."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import flask
import pytest

pytestmark = pytest.mark.asyncio

BOUNDARY = b"--boundary"
FORM = b"\r\n".join(
    [
        BOUNDARY,
        b'Content-Disposition: form-data; name="title"',
        b"",
        b"Spring",
        BOUNDARY,
        b'Content-Disposition: form-data; name="photo"; filename="a.bin"',
        b"Content-Type: application/octet-stream",
        b"",
        b"\x00\xff" * 1000,
        BOUNDARY + b"--",
        b"",
    ]
)
FORM_TYPE = (b"content-type", b"multipart/form-data; boundary=boundary")


@pytest.fixture
def app() -> flask.Flask:
    app = flask.Flask(__name__)
    app.config["SECRET_KEY"] = "for tests"

    @app.post("/upload")
    def upload() -> str:
        photo = flask.request.files["photo"].read()
        return f"{flask.request.form['title']}: {len(photo)}"

    @app.get("/stream")
    def stream() -> flask.Response:
        def generate() -> Iterator[str]:
            for number in range(3):
                yield f"{number} {flask.request.args['name']}\n"

        return flask.Response(flask.stream_with_context(generate()), mimetype="text/plain")

    @app.get("/visit")
    def visit() -> str:
        flask.session["visits"] = flask.session.get("visits", 0) + 1
        return f"{flask.session['visits']} {flask.request.cookies.get('theme')}"

    @app.get("/broken")
    def broken() -> str:
        raise LookupError("the view failed")

    @app.errorhandler(LookupError)
    def on_error(error: LookupError) -> tuple[str, int]:
        return f"sorry: {error}", 500

    @app.get("/<name>")
    def name(name: str) -> str:
        return flask.url_for("name", name=name, _external=True)

    return app


async def test_form_upload(server: Any, app: flask.Flask) -> None:
    length = (b"content-length", str(len(FORM)).encode())
    chunks = [FORM[:500], FORM[500:]]
    await server.call(app, chunks, method="POST", path="/upload", headers=[FORM_TYPE, length])
    assert (server.status, server.body) == (200, b"Spring: 2000")


async def test_chunked_form_upload(server: Any, app: flask.Flask) -> None:
    chunked = (b"transfer-encoding", b"chunked")
    chunks = [FORM[:500], FORM[500:]]
    await server.call(app, chunks, method="POST", path="/upload", headers=[FORM_TYPE, chunked])
    assert (server.status, server.body) == (200, b"Spring: 2000")


async def test_streamed_response(server: Any, app: flask.Flask) -> None:
    await server.call(app, path="/stream", query_string=b"name=x")
    bodies = [message["body"] for message in server.sent[1:-1]]
    assert bodies == [b"0 x\n", b"1 x\n", b"2 x\n"]


async def test_cookies_in_both_directions(server: Any, app: flask.Flask) -> None:
    await server.call(app, path="/visit")
    cookie = dict(server.headers)[b"set-cookie"].partition(b";")[0]
    server.sent.clear()
    headers = [(b"cookie", b"theme=dark"), (b"cookie", cookie)]  # as HTTP/2 may send them
    await server.call(app, path="/visit", headers=headers)
    assert server.body == b"2 dark"


async def test_error_handler(server: Any, app: flask.Flask) -> None:
    await server.call(app, path="/broken")
    assert (server.status, server.body) == (500, b"sorry: the view failed")


async def test_error_without_a_handler_propagates_where_flask_lets_it(
    server: Any, app: flask.Flask
) -> None:
    app.error_handler_spec.clear()
    app.testing = True
    with pytest.raises(LookupError, match="the view failed"):
        await server.call(app, path="/broken")
    assert server.sent == []


async def test_urls_below_a_root_path(server: Any, app: flask.Flask) -> None:
    headers = [(b"host", b"example.org")]
    await server.call(app, path="/app/caf\xe9", root_path="/app", scheme="https", headers=headers)
    assert server.body == b"https://example.org/app/caf%C3%A9"


async def test_head_request(server: Any, app: flask.Flask) -> None:
    await server.call(app, path="/name", method="HEAD")
    assert server.status == 200
    assert int(dict(server.headers)[b"content-length"]) > 0
    assert server.body == b""


async def test_request_is_torn_down(server: Any, app: flask.Flask) -> None:
    torn_down: list[object] = []
    app.teardown_request(torn_down.append)
    await server.call(app, path="/name")
    assert torn_down == [None]


async def test_range_of_a_file_is_read_without_what_lies_before_it(
    server: Any, app: flask.Flask
) -> None:
    class File(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            read_at.append(self.tell())
            return super().read(size)

    read_at: list[int] = []
    file = File(bytes(1000) + b"the end")
    app.add_url_rule("/file", view_func=lambda: flask.send_file(file, mimetype="text/plain"))
    await server.call(app, path="/file", headers=[(b"range", b"bytes=1000-")])
    assert server.status == 206
    assert server.body == b"the end"
    assert read_at[0] == 1000
    assert file.closed
