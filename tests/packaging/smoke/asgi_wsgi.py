"""asgi-wsgi with asgi-sync: a WSGI application answers an ASGI request with a body."""

import asyncio

import asgi_wsgi
from asgi_wsgi import WsgiToAsgi, WsgiToAsgiInstance


def check(holds: bool, what: str) -> None:
    if not holds:
        raise SystemExit(f"asgi_wsgi: {what}")


def check_names() -> None:
    missing = {"WsgiToAsgi", "WsgiToAsgiInstance"} - set(asgi_wsgi.__all__)
    check(not missing, f"not public: {sorted(missing)}")
    for name in asgi_wsgi.__all__:
        check(hasattr(asgi_wsgi, name), f"asgi_wsgi.{name} does not exist")
    check(isinstance(WsgiToAsgiInstance, type), "WsgiToAsgiInstance is not a class")


def hello(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Path", environ["PATH_INFO"])])
    return [b"Hello, ", body]


SCOPE = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.5"},
    "http_version": "1.1",
    "method": "POST",
    "scheme": "http",
    "path": "/greet",
    "raw_path": b"/greet",
    "query_string": b"",
    "root_path": "",
    "headers": [(b"host", b"example.org"), (b"content-length", b"5")],
    "client": ("127.0.0.1", 50000),
    "server": ("127.0.0.1", 80),
}


async def respond(application) -> list[dict]:
    requests = asyncio.Queue()
    requests.put_nowait({"type": "http.request", "body": b"wo", "more_body": True})
    requests.put_nowait({"type": "http.request", "body": b"rld", "more_body": False})
    sent = []

    async def send(message):
        sent.append(message)

    await application(SCOPE, requests.get, send)
    return sent


def check_hello() -> None:
    start, *body = asyncio.run(respond(WsgiToAsgi(hello)))
    check(start["type"] == "http.response.start", f"the first message is {start}")
    check(start["status"] == 200, f"the status is {start['status']}")
    check((b"x-path", b"/greet") in start["headers"], f"the headers are {start['headers']}")
    check(b"".join(m.get("body", b"") for m in body) == b"Hello, world", f"the body is {body}")
    check(body[-1] == {"type": "http.response.body"}, f"the last message is {body[-1]}")


if __name__ == "__main__":
    check_names()
    check_hello()
