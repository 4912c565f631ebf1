"""What type checkers know of the WSGI adapter: a WSGI application in, an ASGI one out."""

from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from asgi_server.typing import ASGI3Application
from asgi_wsgi import WsgiToAsgi


def hello(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


typed: WSGIApplication = hello
application: ASGI3Application = WsgiToAsgi(hello)
limited = WsgiToAsgi(hello, duplicate_header_limit=10)


async def not_wsgi(scope: object) -> None:
    raise NotImplementedError


WsgiToAsgi(not_wsgi)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
WsgiToAsgi(hello, duplicate_header_limit="10")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
