"""A Flask application under every server: uploads, streams, cookies, error pages, teardown."""

from __future__ import annotations

import contextvars
import hashlib
import threading
from collections.abc import Iterator
from typing import Any

import flask
import pytest
from helpers.served import Served
from helpers.server_threads import PATIENCE

from asgi_wsgi import WsgiToAsgi

tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant")


@pytest.fixture
def app() -> flask.Flask:
    app = flask.Flask(__name__)
    app.config["SECRET_KEY"] = "for tests"

    @app.post("/upload")
    def upload() -> dict[str, Any]:
        photo = flask.request.files["photo"]
        digest = hashlib.sha256()
        while block := photo.stream.read(10_000):
            digest.update(block)
        return {
            "title": flask.request.form["title"],
            "name": photo.filename,
            "digest": digest.hexdigest(),
        }

    @app.get("/visit")
    def visit() -> str:
        flask.session["visits"] = flask.session.get("visits", 0) + 1
        return f"{flask.session['visits']} {flask.request.cookies.get('theme')}"

    @app.get("/broken")
    def broken() -> str:
        raise LookupError("the view failed")

    @app.errorhandler(LookupError)
    def on_error(error: LookupError) -> tuple[str, int]:
        return f"sorry: {error}", 503

    return app


# As a client sends it that does not know how long its form will be, and as one that does.
@pytest.mark.parametrize("is_chunked", [False, True], ids=["with a length", "chunked"])
def test_form_with_a_large_file(served: Served, app: flask.Flask, is_chunked: bool) -> None:
    """Larger than what Werkzeug keeps in memory, 500 KiB."""
    photo = bytes(range(256)) * 4_000
    served.serve(app)
    request = served.client.build_request(
        "POST", "/upload", data={"title": "Spring"}, files={"photo": ("a.bin", photo)}
    )
    if is_chunked:
        body = request.read()
        chunks = (body[start : start + 50_000] for start in range(0, len(body), 50_000))
        headers = {"content-type": request.headers["content-type"]}
        request = served.client.build_request("POST", "/upload", content=chunks, headers=headers)
    answer = served.client.send(request)
    expected = hashlib.sha256(photo).hexdigest()
    assert answer.json() == {"title": "Spring", "name": "a.bin", "digest": expected}


def test_streamed_response_has_the_request_and_comes_as_it_is_made(
    served: Served, app: flask.Flask
) -> None:
    go_on = threading.Event()

    @app.get("/stream")
    def stream() -> flask.Response:
        def generate() -> Iterator[str]:
            yield f"one {flask.request.args['name']}\n"
            assert go_on.wait(PATIENCE)
            yield f"two {flask.request.args['name']}\n"

        return flask.Response(flask.stream_with_context(generate()), mimetype="text/plain")

    served.serve(app)
    with served.client.stream("GET", "/stream?name=x") as answer:
        lines = answer.iter_lines()
        assert next(lines) == "one x"
        go_on.set()
        assert list(lines) == ["two x"]


def test_session_and_other_cookies(served: Served, app: flask.Flask) -> None:
    served.serve(app)
    with served.connect() as client:
        client.cookies.set("theme", "dark")
        visits = [client.get("/visit").text for _ in range(3)]
    assert visits == ["1 dark", "2 dark", "3 dark"]


def test_error_handler(served: Served, app: flask.Flask) -> None:
    served.serve(app)
    answer = served.client.get("/broken")
    assert (answer.status_code, answer.text) == (503, "sorry: the view failed")
    assert served.errors == []


def test_error_without_a_handler_is_flasks_own_page(served: Served, app: flask.Flask) -> None:
    app.error_handler_spec.clear()
    served.serve(app)
    answer = served.client.get("/broken")
    assert answer.status_code == 500
    assert "Internal Server Error" in answer.text


def test_teardown_sees_the_request_and_the_context_of_the_asgi_side(
    served: Served, app: flask.Flask
) -> None:
    torn_down: list[tuple[str, str, str]] = []

    @app.get("/page")
    def page() -> str:
        flask.g.opened = "connection"
        return tenant.get()

    @app.teardown_request
    def tear_down(error: BaseException | None) -> None:
        torn_down.append((flask.request.path, flask.g.opened, tenant.get()))

    adapter = WsgiToAsgi(app)

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        tenant.set("acme")
        await adapter(scope, receive, send)

    served.serve_asgi(middleware)
    assert served.client.get("/page").text == "acme"
    served.wait_idle()
    assert torn_down == [("/page", "connection", "acme")]


def test_client_that_leaves_a_stream_has_it_torn_down(served: Served, app: flask.Flask) -> None:
    is_torn_down = threading.Event()
    app.teardown_request(lambda error: is_torn_down.set())

    @app.get("/forever")
    def forever() -> flask.Response:
        def generate() -> Iterator[bytes]:
            while True:
                yield bytes(10_000)

        return flask.Response(flask.stream_with_context(generate()))

    served.serve(app)
    with served.connect() as client, client.stream("GET", "/forever") as answer:
        assert next(answer.iter_raw())
    assert is_torn_down.wait(PATIENCE)
