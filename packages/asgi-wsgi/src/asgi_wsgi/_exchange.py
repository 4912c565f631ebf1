"""One request and its response: what the event loop does, and what the worker thread does.

The event loop awaits one call, on one worker thread, of the application, its iteration and its
`close()`. So all three are in one context, and asgi-sync carries that context, and the data of a
`Local`, there and back. What happens meanwhile is in `_link` (how the two threads wake each other,
and every way in which a request can end), `_request_body` and `_send_queue`.

A body that is complete when the application returns, a list without `close`, is sent when the
worker thread has ended, by the request's own task: one crossing there, one back, no other task.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Iterable
from typing import IO, cast

from asgi_wsgi._environ import Scope
from asgi_wsgi._errors import comes_of_disconnect
from asgi_wsgi._files import FileWrapper, file_message
from asgi_wsgi._input import RequestBody
from asgi_wsgi._link import Link
from asgi_wsgi._request_body import BodyBuffer, Receive
from asgi_wsgi._response import Message, Response
from asgi_wsgi._send_queue import Send, SendQueue
from asgi_wsgi._settings import Settings

logger = logging.getLogger("asgi_wsgi")


class Exchange:
    """One request and its response; made on the event loop, in the request's task."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, settings: Settings) -> None:
        self.response = Response(to_head_request=scope["method"] == "HEAD")
        self.link = Link(thread_sensitive=settings.thread_sensitive)
        self._pool = settings.pool
        self._scope = scope
        self._length, self._is_held_back = _announced_body(scope)
        self._window = settings.request_window
        self._buffer = BodyBuffer(
            self.link, receive, self._window, self._length, is_held_back=self._is_held_back
        )
        self._queue = SendQueue(self.link, send, settings.response_window, watch=self._buffer.watch)
        self._body = cast(IO[bytes], RequestBody(self._buffer))
        self._extensions = scope.get("extensions")
        if self._length and self._may_arrive_early():
            self._buffer.prefetch()

    # The event loop

    async def serve(self, run: Callable[[IO[bytes]], Awaitable[None]]) -> None:
        """Run the application by `run(body)`, and send what it has left to be sent.

        Raises:
            BaseException: What `run` or `send` raised.
        """
        try:
            try:
                await self._run_to_its_end(run)
            except Exception:
                await self._flush_after_error()
                raise
            await self._queue.flush()
        except GeneratorExit:
            # The coroutine is being closed, its loop gone: nothing can be awaited.
            self.link.stop("the event loop of the request has gone")
            raise
        except BaseException:
            await self._end()
            raise
        await self._end()

    async def _run_to_its_end(self, run: Callable[[IO[bytes]], Awaitable[None]]) -> None:
        try:
            await self._run(run)
        except asyncio.CancelledError as error:
            if _is_cancelled():
                raise
            # The application's own: of async code that it has called, say. Out of this task it
            # would be the end of one that nobody waits for, and some servers would not answer.
            raise _exit_as_error(error) from error

    async def _run(self, run: Callable[[IO[bytes]], Awaitable[None]]) -> None:
        is_queued = self._pool.is_full and not self.link.thread_sensitive
        if not (is_queued and self._may_arrive_early()):
            await run(self._body)
            return
        # It may take long until a thread is there. A client that goes away gives up its place.
        self._buffer.watch()
        await self.link.until_stopped(run(self._body))

    def _may_arrive_early(self) -> bool:
        """Whether all of the request fits in the window, and the client does not hold it back."""
        if self._is_held_back:
            return False
        return _has_no_body(self._scope) if self._length is None else self._length <= self._window

    async def _flush_after_error(self) -> None:
        """Send what the application has given before its error, which is the one to be told."""
        try:
            await self._queue.flush()
        except Exception as error:
            logger.debug("send() failed after the WSGI application had", exc_info=error)

    async def _end(self) -> None:
        try:
            await self.link.end()
        finally:
            self._buffer.forget_error()
            if not self.link.has_begun:
                self._body.close()

    # The worker thread

    def take_up(self, answer: Callable[[IO[bytes]], None], body: IO[bytes]) -> None:
        """Do `answer(body)`, unless the request is over already.

        Raises what that does, unless it comes of the end of the request, or is for the thread that
        runs the application and no other.
        """
        if not self.link.begin():
            return
        try:
            with body:
                answer(body)
        except Exception as error:
            # It ends here and not in the task: that may have been cancelled, and the bridge would
            # report an error that nobody awaits.
            if not (self.link.is_stopped and comes_of_disconnect(error)):
                raise
            logger.debug("The WSGI application was stopped", exc_info=error)
        except (SystemExit, KeyboardInterrupt, GeneratorExit) as error:
            # On the event loop they would end the server, or pass for the end of the coroutine.
            # In the main thread, and there alone, they may come of a signal.
            if threading.current_thread() is threading.main_thread():
                raise
            raise _exit_as_error(error) from error
        finally:
            self.link.leave()

    def write(self, data: bytes) -> None:
        """What `start_response` returns: send a chunk, and wait until it has left."""
        self._put(self.response.add(data))
        self._queue.wait_sent()
        if self.response.is_overfull:
            raise ValueError("the WSGI application wrote more bytes than its Content-Length")

    def refuse(self, reason: bytes) -> None:
        """Answer the request with 400."""
        self._queue.put_for_flush(self.response.refuse_request(reason))

    def respond(self, iterable: Iterable[bytes]) -> None:
        """Send the body that the application has returned, and close it.

        Raises:
            ClientDisconnectedError: The request is over.
            BaseException: What the body or `send` raised, or the error of an application that
                breaks PEP 3333.
        """
        if type(iterable) in (list, tuple):
            # Nothing to wait for and nothing to close.
            self._queue.put_for_flush(self._complete(iterable))
            return
        try:
            if not (isinstance(iterable, FileWrapper) and self._sends_file(iterable)):
                self._iterate(iterable)
        finally:
            close = getattr(iterable, "close", None)
            if close is not None:
                close()

    def _complete(self, chunks: Iterable[bytes]) -> list[Message]:
        messages: list[Message] = []
        for chunk in chunks:
            messages += self.response.add(chunk)
            if self.response.is_complete:
                break
        self.link.check()  # bytes that are missing after a failed write() are no error
        return messages + self.response.finish()

    def _iterate(self, chunks: Iterable[bytes]) -> None:
        for chunk in chunks:
            self._put(self.response.add(chunk))
            if self.response.is_complete:
                break
        self.link.check()  # as above
        self._put(self.response.finish())

    def _sends_file(self, wrapper: FileWrapper) -> bool:
        if not self.response.takes_file:
            return False
        length = self.response.content_length
        found = file_message(wrapper.filelike, self._extensions, length)
        if found is None:
            return False
        self._put(self.response.send_file(*found))
        # It is closed next.
        self._queue.wait_sent()
        return True

    def _put(self, messages: list[Message]) -> None:
        if messages:
            self._queue.put(messages, len(messages[-1].get("body", b"")))
        else:
            self.link.check()


def _exit_as_error(error: BaseException) -> RuntimeError:
    return RuntimeError(f"the WSGI application raised {error!r}")


def _is_cancelled() -> bool:
    """Whether the request's task is, or may be."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _has_no_body(scope: Scope) -> bool:
    """Whether the request has no body, as far as that can be told without a Content-Length."""
    is_chunked = any(name == b"transfer-encoding" for name, _ in scope.get("headers", ()))
    return scope["method"] in ("GET", "HEAD") and not is_chunked


def _announced_body(scope: Scope) -> tuple[int | None, bool]:
    """How long the request body is, and whether the client waits for a word before it sends it.

    The length is None if it is not known before the end.
    """
    length: int | None = None
    is_known = True
    is_held_back = False
    for name, value in scope.get("headers", ()):
        if name == b"content-length":
            # 18 digits: no number that takes long to read.
            is_known = is_known and length is None and value.isdigit() and len(value) <= 18
            length = int(value) if is_known else None
        elif name == b"transfer-encoding":
            is_known = False
        elif name == b"expect":
            is_held_back = True
    return length if is_known else None, is_held_back
