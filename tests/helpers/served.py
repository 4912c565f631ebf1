"""A WSGI application behind the adapter on a server that goes on running for the next one."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment
from wsgiref.validate import validator

import httpx
import pytest

from asgi_wsgi import WsgiToAsgi
from helpers.asgi_servers import Connect, ServerKind
from helpers.server_threads import PATIENCE


class Served:
    """What a test asks: an application to be served, and clients.

    Attributes:
        kind: The server.
        client: A client that all tests of the server share; its connections are kept alive.
        connect: Makes another client.
    """

    def __init__(self, kind: ServerKind, switch: Switch, connect: Connect, client: httpx.Client):
        self.kind = kind
        self.client = client
        self.connect = connect
        self._switch = switch

    def serve(self, wsgi_application: Any, *, validated: bool = True, **options: Any) -> None:
        """Serve an application from the next request on.

        Args:
            wsgi_application: The application.
            validated: Whether to have wsgiref check it and the adapter; not where the application
                breaks the rules itself, or has to have the very objects of the adapter.
            options: Of `WsgiToAsgi`.
        """
        checked = validator(wsgi_application) if validated else wsgi_application
        self._switch.application = WsgiToAsgi(checked, **options)

    def serve_asgi(self, application: Any) -> None:
        """Serve an ASGI application, such as a middleware around the adapter."""
        self._switch.application = application

    def wait_idle(self) -> None:
        """Wait until no request is being served."""
        self._switch.wait_idle()

    def assert_breaks(self, wsgi_application: Any) -> None:
        """Fail if a client can take the response of an application for a whole one."""
        if not self.kind.ends_broken_responses:
            _assert_breaks_at_the_end_of(self.kind, wsgi_application)
            return
        self.serve(wsgi_application)
        with self.connect() as client, pytest.raises(httpx.RemoteProtocolError):
            client.get("/")

    def assert_goes_on(self) -> None:
        """Fail if another request is not served."""
        self.serve(_hello)
        with self.connect() as client:
            assert client.get("/").content == b"hello"

    @property
    def errors(self) -> list[BaseException]:
        """What the adapter has raised."""
        return self._switch.errors


def _hello(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


def _assert_breaks_at_the_end_of(kind: ServerKind, wsgi_application: Any) -> None:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(serving(kind))
        server.serve(wsgi_application)
        with server.connect() as client, client.stream("GET", "/") as answer:
            server.wait_idle()
            stack.close()
            with pytest.raises(httpx.RemoteProtocolError):
                answer.read()


class Switch:
    """An ASGI application that hands on to another one, which may change between requests."""

    def __init__(self) -> None:
        self.application: Any = None
        self.errors: list[BaseException] = []
        self._changed = threading.Condition()
        self._requests = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await WsgiToAsgi(lambda environ, start_response: [])(scope, receive, send)
            return
        with self._counted():
            try:
                await self.application(scope, receive, send)
            except BaseException as error:
                self.errors.append(error)
                raise

    def wait_idle(self) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self._requests == 0, PATIENCE)

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        with self._changed:
            self._requests += 1
        try:
            yield
        finally:
            with self._changed:
                self._requests -= 1
                self._changed.notify_all()


@contextlib.contextmanager
def serving(kind: ServerKind, root_path: str = "") -> Iterator[Served]:
    """Start a server; it has stopped afterwards."""
    switch = Switch()
    with kind.start(switch, root_path) as connect, connect() as client:
        yield Served(kind, switch, connect, client)
