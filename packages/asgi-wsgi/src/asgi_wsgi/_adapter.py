"""WsgiToAsgi, and what of one request belongs to PEP 3333; `_exchange` has the rest."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import IO
from wsgiref.types import WSGIApplication, WSGIEnvironment

from asgi_wsgi._environ import Scope, build_environ, with_kept_headers
from asgi_wsgi._errors import TooManyDuplicateHeadersError
from asgi_wsgi._exchange import Exchange
from asgi_wsgi._request_body import Receive
from asgi_wsgi._response import ExcInfo, Response
from asgi_wsgi._scopes import acknowledge_lifespan, refuse_websocket
from asgi_wsgi._send_queue import Send
from asgi_wsgi._settings import WINDOW, Settings, checked_limit


class WsgiToAsgi:
    """A WSGI application as an ASGI 3 application.

    Each request runs on one thread, from the call of the application to the `close()` of its
    response, in a context that has the context variables of the ASGI side. The threads are the
    adapter's own: they are started when they are needed, serve requests in the order in which they
    come, from any event loop, and end with the adapter. `lifespan` is acknowledged and a
    `websocket` refused.

    Args:
        wsgi_application: The application, called as `wsgi_application(environ, start_response)`.
        duplicate_header_limit: How often a request may repeat one header before it is answered
            with 400; 0 for any number.
        max_workers: How many requests run at a time; others wait. By default 12 more than there
            are processors, at most 32.
        thread_sensitive: True to run all requests on the thread for code that is bound to one,
            that of `sync_to_async` from asgi-sync, one after the other.
        request_window: How many bytes of a request body are held before the application reads
            them.
        response_window: How many bytes of a response may be on their way to the server while the
            application goes on.
        keep_underscore_headers: True to keep request headers with an underscore in their name,
            which an application cannot tell from those with a dash.

    Raises:
        TypeError: The application is not callable, or an argument is not of its type.
        ValueError: A number is too small, or `max_workers` is given for one thread.

    Source: https://peps.python.org/pep-3333/
    and https://asgi.readthedocs.io/en/latest/specs/www.html ("HTTP").
    """

    def __init__(
        self,
        wsgi_application: WSGIApplication,
        duplicate_header_limit: int = 100,
        *,
        max_workers: int | None = None,
        thread_sensitive: bool = False,
        request_window: int = WINDOW,
        response_window: int = WINDOW,
        keep_underscore_headers: bool = False,
    ) -> None:
        if not callable(wsgi_application):
            raise TypeError(
                "wsgi_application must be callable, as application(environ, start_response), not"
                f" {wsgi_application!r}"
            )
        self.wsgi_application = wsgi_application
        self.duplicate_header_limit: int | None = checked_limit(duplicate_header_limit)
        self._settings = Settings(
            max_workers=max_workers,
            thread_sensitive=thread_sensitive,
            request_window=request_window,
            response_window=response_window,
            keep_underscore_headers=keep_underscore_headers,
        )
        # Not at exit, where the pool has its own way to end.
        weakref.finalize(self, self._settings.pool.close).atexit = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope; see `WsgiToAsgiInstance.__call__`."""
        instance = WsgiToAsgiInstance(
            self.wsgi_application, self.duplicate_header_limit, adapter=self
        )
        await instance(scope, receive, send)


# Of instances that were made without an adapter.
_shared_settings = Settings()


class WsgiToAsgiInstance:
    """One scope served by a WSGI application.

    For subclasses, which may override what PEP 3333 names: `build_environ`, `start_response`, and
    `run_wsgi_app`. An instance serves one scope, once.

    Args:
        wsgi_application: As for `WsgiToAsgi`.
        duplicate_header_limit: As for `WsgiToAsgi`.
        adapter: Whose settings and threads to use; by default those of all instances that were
            made without one.
    """

    scope: Scope
    _exchange: Exchange

    def __init__(
        self,
        wsgi_application: WSGIApplication,
        duplicate_header_limit: int | None = 100,
        *,
        adapter: WsgiToAsgi | None = None,
    ) -> None:
        self.wsgi_application = wsgi_application
        self.duplicate_header_limit = duplicate_header_limit
        self._adapter = adapter  # whose threads end with it
        self._settings = _shared_settings if adapter is None else adapter._settings
        self._response: Response | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope, on the running event loop, which must be asyncio's.

        Returns when the response is complete and the application closed, or when the client has
        gone away and the application has stopped: its next read or `write` raises, its next chunk
        is not taken. If the client has gone before a thread is there, the application is not
        called.

        When the task is cancelled, the application is not called if it has not been yet; one that
        runs is stopped in the same way and closed, on its thread, which the task does not wait
        for.

        Raises:
            ValueError: The scope is not of type http, lifespan or websocket.
            RuntimeError: The application raised SystemExit, KeyboardInterrupt or GeneratorExit
                outside of the main thread, or CancelledError though nobody has cancelled it.
            BaseException: What the application, its `close()` or `send` raised, or the error
                of an application that breaks PEP 3333. The server answers with 500, or aborts the
                connection if a part of the response has been sent.

        Source: ASGI HTTP specification; PEP 3333, "Specification Details".
        """
        if scope["type"] == "http":
            self.scope = with_kept_headers(scope)
            self._exchange = Exchange(self.scope, receive, send, self._settings)
            self._response = self._exchange.response
            await self._exchange.serve(self.run_wsgi_app)
        elif scope["type"] == "lifespan":
            await acknowledge_lifespan(receive, send)
        elif scope["type"] == "websocket":
            await refuse_websocket(receive, send)
        else:
            raise ValueError(f"WSGI wrapper received a non-HTTP scope: {scope['type']!r}")

    def build_environ(self, scope: Scope, body: IO[bytes] | None) -> WSGIEnvironment:
        """Return the environ for one HTTP scope.

        Runs on the application's thread. Beyond PEP 3333 there are `wsgi.input_terminated`,
        `wsgi.file_wrapper`, `REMOTE_ADDR` and `REMOTE_PORT`, `HTTPS`, `RAW_URI` and `REQUEST_URI`
        (path and query, not decoded), and `asgi.scope`.

        Args:
            scope: An HTTP connection scope.
            body: What the application reads as `wsgi.input`.

        Raises:
            ValueError: A header came more often than `duplicate_header_limit`, or a text of the
                scope has a surrogate that stands for no byte.

        Source: PEP 3333, "environ Variables"; ASGI HTTP specification, "WSGI Compatibility".
        """
        return build_environ(
            scope,
            body,
            self.duplicate_header_limit,
            keep_underscores=self._settings.keep_underscore_headers,
        )

    def start_response(
        self,
        status: str,
        response_headers: list[tuple[str, str]],
        exc_info: ExcInfo | None = None,
    ) -> Callable[[bytes], object]:
        """Set status and headers, or replace them while they have not been sent.

        Called by the application, on its thread. Nothing is sent before the first chunk that is
        not empty, or the end.

        Args:
            status: Three digits, a space and a reason: `"200 OK"`.
            response_headers: Pairs of str, within latin-1.
            exc_info: What `sys.exc_info()` gave to an error handler that starts over.

        Returns:
            `write(data)`, which sends a chunk before it returns; to be called on this thread. It
            raises ValueError for bytes beyond the Content-Length, `ConnectionError` when the
            client has gone, and what `send` raises.

        Raises:
            TypeError: Status or a header is not made of str.
            ValueError: One of them cannot be sent, or it is a second call without exc_info.
            BaseException: The one in exc_info, where headers have been sent already.

        Source: PEP 3333, "The start_response() Callable" and "The write() Callable".
        """
        if self._response is None:
            self._response = Response()  # outside of a request, as tests of subclasses are
        try:
            self._response.start(status, response_headers, exc_info)
        finally:
            del exc_info  # its traceback comes to refer to this frame: a cycle
        return self._write

    async def run_wsgi_app(self, body: IO[bytes]) -> None:
        """Run the application from its call to its `close()`, on one worker thread.

        `__call__` awaits this once it has set `scope`. With all threads of the adapter busy, it
        waits for one.

        Args:
            body: The request body, which is closed once the application has ended.

        Raises:
            BaseException: What `__call__` says; nothing when the client has gone away.
        """
        await self._settings.run(self._exchange.link, self._run_on_worker, body)

    def _run_on_worker(self, body: IO[bytes]) -> None:
        self._exchange.take_up(self._answer, body)

    def _answer(self, body: IO[bytes]) -> None:
        try:
            environ = self.build_environ(self.scope, body)
        except TooManyDuplicateHeadersError:
            self._exchange.refuse(b"Bad Request: Too many duplicate headers")
            return
        iterable = self.wsgi_application(environ, self.start_response)
        if iterable is None:
            raise TypeError(
                "the WSGI application returned None, not an iterable of bytes, such as [body]"
            )
        self._exchange.respond(iterable)

    def _write(self, data: bytes) -> None:
        self._exchange.write(data)
