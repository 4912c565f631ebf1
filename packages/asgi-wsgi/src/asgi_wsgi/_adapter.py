"""WsgiToAsgi, and the life of one request.

A request goes from the event loop to one worker thread and back:

1. On the event loop, the request body is read whole.
2. On one worker thread, the application is called, iterated and closed: one call across the
   bridge, so that it sees the context variables of the ASGI side, and `close()` sees its own.
3. Each chunk goes back to the event loop and waits there until the server has taken it. This is
   what makes the application as slow as its client.

Meanwhile the event loop watches for the client to go away, because a server may take the chunks
of a response that nobody reads for ever. The two threads share only `_Run`, below.
"""

from __future__ import annotations

import asyncio
import enum
import threading
from collections.abc import Awaitable, Callable
from typing import IO, Any, TypeAlias
from wsgiref.types import WSGIApplication, WSGIEnvironment

from asgi_sync import async_to_sync, sync_to_async
from asgi_wsgi._environ import Scope, TooManyDuplicateHeadersError, build_environ
from asgi_wsgi._request_body import ClientDisconnectedError, Receive, spool_request_body
from asgi_wsgi._response import ExcInfo, Message, Response

Send: TypeAlias = Callable[[Any], Awaitable[Any]]


class WsgiToAsgi:
    """A WSGI application as an ASGI 3 application.

    Requests run at the same time, each on one worker thread, as many as the pool of asgi-sync for
    calls that are not thread-sensitive runs; one that waits, for `send` or in `async_to_sync`,
    does not count. `lifespan` is acknowledged and a `websocket` refused.

    Args:
        wsgi_application: The application, called as `wsgi_application(environ, start_response)`.
        duplicate_header_limit: How often a request may repeat one header before it is answered
            with 400; 0 for any number.
    """

    def __init__(self, wsgi_application: WSGIApplication, duplicate_header_limit: int = 100):
        self.wsgi_application = wsgi_application
        self.duplicate_header_limit = duplicate_header_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope; see `WsgiToAsgiInstance.__call__`."""
        instance = WsgiToAsgiInstance(self.wsgi_application, self.duplicate_header_limit)
        await instance(scope, receive, send)


class WsgiToAsgiInstance:
    """One scope served by a WSGI application; the parameters are those of `WsgiToAsgi`.

    For subclasses, which may override what PEP 3333 names: `build_environ`, `start_response`, and
    `run_wsgi_app`. An instance serves one scope, once.
    """

    scope: Scope
    _run: _Run

    def __init__(self, wsgi_application: WSGIApplication, duplicate_header_limit: int = 100):
        self.wsgi_application = wsgi_application
        self.duplicate_header_limit = duplicate_header_limit
        self._response = Response()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope, on the running event loop, which must be asyncio's.

        Returns when the response is complete and the application closed, or when the client has
        gone away and the application has stopped at its next chunk; if it went away before its
        request was complete, the application is never called.

        When the task is cancelled, the application is not called if it has not been yet; one that
        runs stops at its next chunk and is closed, on its thread, which the task does not wait for.

        Raises:
            ValueError: The scope is not of type http, lifespan or websocket.
            BaseException: What the application, its `close()` or `send` raised, or the error
                of an application that breaks PEP 3333. The server answers with 500, or aborts the
                connection if a part of the response has been sent.

        Source: ASGI HTTP specification; PEP 3333, "Specification Details".
        """
        if scope["type"] == "http":
            await self._serve_http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await _acknowledge_lifespan(receive, send)
        elif scope["type"] == "websocket":
            await _refuse_websocket(receive, send)
        else:
            raise ValueError(f"WSGI wrapper received a non-HTTP scope: {scope['type']!r}")

    def build_environ(self, scope: Scope, body: IO[bytes] | None) -> WSGIEnvironment:
        """Return the environ for one HTTP scope.

        Runs on the application's thread. Beyond PEP 3333 there are `wsgi.input_terminated`,
        `REMOTE_ADDR` and `REMOTE_PORT`, `HTTPS`, `RAW_URI` and `REQUEST_URI` (path and
        query, not decoded), and `asgi.scope`.

        Args:
            scope: An HTTP connection scope.
            body: What the application reads as `wsgi.input`.

        Raises:
            ValueError: A header came more often than `duplicate_header_limit`, or a text of the
                scope has a surrogate that stands for no byte.

        Source: PEP 3333, "environ Variables"; ASGI HTTP specification, "WSGI Compatibility".
        """
        return build_environ(scope, body, self.duplicate_header_limit)

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
        try:
            self._response.start(status, response_headers, exc_info)
        finally:
            del exc_info  # its traceback comes to refer to this frame: a cycle
        return self._write

    async def run_wsgi_app(self, body: IO[bytes]) -> None:
        """Run the application from its call to its `close()`, on one worker thread.

        `__call__` awaits this once it has read the body and set `scope`. The worker is any of
        those for calls that are not thread-sensitive; with all of them busy, this waits for one.

        Args:
            body: The request body, which is closed once the application has ended.

        Raises:
            BaseException: What `__call__` says; nothing when the client has gone away.
        """
        await sync_to_async(self._run_on_worker, thread_sensitive=False)(body)

    async def _serve_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await spool_request_body(receive)
        except ClientDisconnectedError:
            return
        self.scope = scope
        self._response = Response(to_head_request=scope["method"] == "HEAD")
        self._run = run = _Run(send)
        watcher = asyncio.create_task(_stop_at_disconnect(run, receive))
        try:
            await self.run_wsgi_app(body)
        finally:
            if run.stop() is _RunStage.NEVER_RAN:
                body.close()
            watcher.cancel()
            await asyncio.wait([watcher])

    def _run_on_worker(self, body: IO[bytes]) -> None:
        if not self._run.start():
            return  # and the event loop closes the body
        with body:
            try:
                self._answer(body)
            except ClientDisconnectedError:
                # Our own, to stop the application. It ends here and not in the task, which may
                # have been cancelled: then the bridge would report it as an error nobody awaits.
                pass

    def _answer(self, body: IO[bytes]) -> None:
        try:
            environ = self.build_environ(self.scope, body)
        except TooManyDuplicateHeadersError:
            reason = b"Bad Request: Too many duplicate headers"
            self._run.send_all(self._response.refuse_request(reason))
        else:
            self._run_application(environ)

    def _run_application(self, environ: WSGIEnvironment) -> None:
        iterable = self.wsgi_application(environ, self.start_response)
        if iterable is None:
            raise TypeError(
                "the WSGI application returned None, not an iterable of bytes, such as [body]"
            )
        try:
            for chunk in iterable:
                self._run.send_all(self._response.add(chunk))
                if self._response.is_complete:
                    break
            self._run.check()  # bytes that are missing after a failed write() are no error
            self._run.send_all(self._response.finish())
        finally:
            close = getattr(iterable, "close", None)
            if close is not None:
                close()

    def _write(self, data: bytes) -> None:
        self._run.send_all(self._response.add(data))
        if self._response.is_overfull:
            raise ValueError("the WSGI application wrote more bytes than its Content-Length")


class _RunStage(enum.Enum):
    """The stages of a run; `_Run` changes them under its lock.

    from      to          thread       when
    WAITING   RUNNING     worker       it takes up the run
    WAITING   NEVER_RAN   event loop   cancelled, or the client went away, before that
    RUNNING   STOPPED     event loop   cancelled, the client went away, a send failed, or the end
    """

    WAITING = enum.auto()
    RUNNING = enum.auto()
    NEVER_RAN = enum.auto()
    STOPPED = enum.auto()


class _Run:
    """One run of the application: whether it may begin, and may still send.

    Shared by the event loop and the worker thread.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._send_all_from_worker = async_to_sync(self._send_all)
        self._lock = threading.Lock()
        self._stage = _RunStage.WAITING

    def start(self) -> bool:
        """Take up the run, on the worker; False if it was stopped before."""
        with self._lock:
            if self._stage is _RunStage.WAITING:
                self._stage = _RunStage.RUNNING
            return self._stage is _RunStage.RUNNING

    def stop(self) -> _RunStage:
        """Let nothing more be sent; return NEVER_RAN if the worker will not touch the request."""
        with self._lock:
            if self._stage is _RunStage.WAITING:
                self._stage = _RunStage.NEVER_RAN
            elif self._stage is _RunStage.RUNNING:
                self._stage = _RunStage.STOPPED
            return self._stage

    def send_all(self, messages: list[Message]) -> None:
        """Send, from the worker, and wait until the server has taken all.

        Raises:
            ClientDisconnectedError: The run has been stopped.
            BaseException: What `send` raised, which stops the run.
        """
        if messages:
            self._send_all_from_worker(messages)

    def check(self) -> None:
        """Raise ClientDisconnectedError if the run has been stopped."""
        if self._stage is _RunStage.STOPPED:
            raise ClientDisconnectedError("the client has disconnected, or its request is over")

    async def _send_all(self, messages: list[Message]) -> None:
        for message in messages:
            # Asked on the event loop, where runs are stopped: a worker that asked beforehand
            # could be stopped between the question and the send.
            self.check()
            try:
                await self._send(message)
            except BaseException:
                self.stop()  # an application that catches this in write() must not go on
                raise


async def _stop_at_disconnect(run: _Run, receive: Receive) -> None:
    try:
        message = await receive()
    except Exception:
        # After the body only a disconnect can come, and a receive() that cannot wait for it
        # (one of a test, or of a middleware) is no reason to fail a request that needs no more.
        return
    if message["type"] == "http.disconnect":
        run.stop()


async def _acknowledge_lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await send({"type": "lifespan.shutdown.complete"})
            return


async def _refuse_websocket(receive: Receive, send: Send) -> None:
    message = await receive()
    if message["type"] == "websocket.connect":
        await send({"type": "websocket.close"})
