"""Which thread runs a request, in which context, and how many run at a time."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from helpers.children import run_python
from helpers.wsgi_applications import (
    PATIENCE,
    Body,
    hello,
    patiently,
    returning,
    wait_set,
    wait_until,
)

from asgi_local import Local
from asgi_sync import async_to_sync, sync_to_async
from asgi_wsgi import WsgiToAsgi, WsgiToAsgiInstance

MakeScope = Callable[..., Any]


async def receive() -> Any:
    return {"type": "http.request"}


async def send(message: Any) -> None:
    pass


def noting_threads(threads: list[int]) -> Callable[..., Any]:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        threads.append(threading.get_ident())
        return hello(environ, start_response)

    return application


# One request


@pytest.mark.asyncio
async def test_one_thread_runs_a_request_from_the_call_to_close(server: Any) -> None:
    threads: list[int] = []

    def note() -> None:
        threads.append(threading.get_ident())

    body = Body(note, b"a", note, b"b", note)

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Body:
        note()
        start_response("200 OK", [])
        return body

    await server.call(application)
    assert {*threads, *body.closed_by} == {threads[0]}
    assert threads[0] != threading.get_ident()


@pytest.mark.asyncio
async def test_context_variables_of_the_asgi_side_reach_the_application_and_close(
    server: Any,
) -> None:
    by_middleware = contextvars.ContextVar("by_middleware", default="")
    by_application = contextvars.ContextVar("by_application", default="")
    seen: list[tuple[str, str]] = []

    def note() -> None:
        seen.append((by_middleware.get(), by_application.get()))

    class NotingBody(Body):
        def close(self) -> None:
            note()

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Body:
        note()
        by_application.set("b")
        start_response("200 OK", [])
        return NotingBody(b"a", note)

    by_middleware.set("a")
    await server.call(application)
    assert seen == [("a", ""), ("a", "b"), ("a", "b")]


@pytest.mark.asyncio
async def test_local_data_of_the_asgi_side_reaches_the_application_and_close(server: Any) -> None:
    local: Any = Local()
    seen: list[tuple[str, str]] = []

    class NotingBody(Body):
        def close(self) -> None:
            seen.append((local.by_middleware, local.by_application))

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Body:
        local.by_application = local.by_middleware + "b"
        start_response("200 OK", [])
        return NotingBody(b"a")

    local.by_middleware = "a"
    await server.call(application)
    assert seen == [("a", "ab")]


@pytest.mark.asyncio
async def test_send_and_receive_run_in_the_context_of_the_asgi_side(
    http_scope: MakeScope,
) -> None:
    """What the application sets is not theirs to see."""
    variable = contextvars.ContextVar("variable", default="")
    seen: list[str] = []

    async def receive() -> Any:
        seen.append(variable.get())
        return {"type": "http.request"} if len(seen) == 1 else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        seen.append(variable.get())

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Body:
        variable.set("application")
        environ["wsgi.input"].read()
        start_response("200 OK", [])(b"a")
        return Body(b"b")

    async def request() -> None:
        variable.set("middleware")
        await WsgiToAsgi(application)(http_scope(), receive, send)

    await asyncio.create_task(request())
    # What is left is sent when the application has ended, and what it has set has come back.
    assert seen[:3] == ["middleware"] * 3


@pytest.mark.asyncio
async def test_async_code_that_the_application_calls_runs_on_the_loop_of_the_server(
    server: Any,
) -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    async def note() -> None:
        loops.append(asyncio.get_running_loop())

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        async_to_sync(note)()
        return hello(environ, start_response)

    await server.call(application)
    assert loops == [asyncio.get_running_loop()]


# How many


@pytest.mark.asyncio
async def test_requests_run_at_the_same_time_on_threads_of_their_own(
    http_scope: MakeScope,
) -> None:
    meeting = threading.Barrier(3, timeout=PATIENCE)

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        meeting.wait()
        return hello(environ, start_response)

    app = WsgiToAsgi(application)
    await asyncio.gather(*(app(http_scope(), receive, send) for _ in range(3)))


@pytest.mark.asyncio
async def test_no_more_requests_run_at_a_time_than_max_workers(http_scope: MakeScope) -> None:
    running: set[str] = set()
    most: list[int] = []

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        running.add(environ["PATH_INFO"])
        most.append(len(running))
        running.discard(environ["PATH_INFO"])
        return hello(environ, start_response)

    app = WsgiToAsgi(application, max_workers=2)
    requests = (app(http_scope(path=f"/{number}"), receive, send) for number in range(50))
    await asyncio.gather(*requests)
    assert len(most) == 50
    assert max(most) <= 2


@pytest.mark.asyncio
async def test_requests_that_wait_are_served_in_the_order_in_which_they_came(
    http_scope: MakeScope,
) -> None:
    all_are_there = threading.Event()
    served: list[str] = []

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        patiently(all_are_there)()
        served.append(environ["PATH_INFO"])
        return hello(environ, start_response)

    app = WsgiToAsgi(application, max_workers=1)
    requests = [
        asyncio.create_task(app(http_scope(path=f"/{number}"), receive, send))
        for number in range(5)
    ]
    await asyncio.sleep(0)
    all_are_there.set()
    await asyncio.gather(*requests)
    assert served == ["/0", "/1", "/2", "/3", "/4"]


@pytest.mark.asyncio
async def test_async_code_that_the_application_calls_needs_no_thread_of_the_pool(
    http_scope: MakeScope,
) -> None:
    """All threads wait for async code, which itself calls sync code of either kind."""

    async def work() -> None:
        await asyncio.sleep(0)
        await sync_to_async(threading.get_ident)()
        await sync_to_async(threading.get_ident, thread_sensitive=False)()

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        async_to_sync(work)()
        return hello(environ, start_response)

    app = WsgiToAsgi(application, max_workers=2)
    await asyncio.gather(*(app(http_scope(), receive, send) for _ in range(6)))


@pytest.mark.asyncio
async def test_request_that_an_application_makes_to_itself_is_served_by_a_full_pool(
    server: Any, http_scope: MakeScope
) -> None:
    served: list[str] = []

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        served.append(environ["PATH_INFO"])
        if len(served) < 3:
            async_to_sync(app)(http_scope(path=f"/{len(served)}"), receive, send)
        return hello(environ, start_response)

    app = WsgiToAsgi(application, max_workers=1)
    await app(http_scope(path="/"), receive, server.send)
    assert served == ["/", "/1", "/2"]
    assert server.is_complete


@pytest.mark.asyncio
async def test_request_that_comes_back_by_another_adapter_is_served_by_a_full_pool(
    server: Any, http_scope: MakeScope
) -> None:
    served: list[str] = []

    def first(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        served.append("first")
        if len(served) == 1:
            async_to_sync(second_app)(http_scope(), receive, send)
        return hello(environ, start_response)

    def second(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        served.append("second")
        async_to_sync(first_app)(http_scope(), receive, send)
        return hello(environ, start_response)

    first_app, second_app = WsgiToAsgi(first, max_workers=1), WsgiToAsgi(second, max_workers=1)
    await first_app(http_scope(), receive, server.send)
    assert served == ["first", "second", "first"]
    assert server.is_complete


# All on one thread


@pytest.mark.asyncio
async def test_thread_sensitive_requests_run_on_the_thread_of_other_such_code(
    http_scope: MakeScope,
) -> None:
    threads: list[int] = []
    app = WsgiToAsgi(noting_threads(threads), thread_sensitive=True)
    await asyncio.gather(*(app(http_scope(), receive, send) for _ in range(3)))
    assert set(threads) == {await sync_to_async(threading.get_ident)()}


def test_thread_sensitive_requests_run_on_the_thread_that_waits_for_them(
    http_scope: MakeScope,
) -> None:
    threads: list[int] = []
    app = WsgiToAsgi(noting_threads(threads), thread_sensitive=True)
    async_to_sync(app)(http_scope(), receive, send)
    assert threads == [threading.get_ident()]


def test_thread_sensitive_request_serves_what_send_and_receive_need_on_its_thread(
    http_scope: MakeScope,
) -> None:
    """A middleware calls sync code for each message, which belongs to the same thread."""
    threads: set[int] = set()
    bodies: list[bytes] = []

    async def receive() -> Any:
        threads.add(await sync_to_async(threading.get_ident)())
        return {"type": "http.request", "body": b"abc"}

    async def send(message: Any) -> None:
        threads.add(await sync_to_async(threading.get_ident)())
        bodies.append(message.get("body", b""))

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Body:
        write = start_response("200 OK", [])
        write(environ["wsgi.input"].readline())
        return Body(environ["wsgi.input"].read(), b"d", b"e")

    async_to_sync(WsgiToAsgi(application, thread_sensitive=True))(http_scope(), receive, send)
    assert threads == {threading.get_ident()}
    assert b"".join(bodies) == b"abcde"


# The life of the threads


def test_interrupt_of_the_main_thread_propagates(server: Any, http_scope: MakeScope) -> None:
    """A signal is not for the application that happens to run then."""

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        raise KeyboardInterrupt

    app = WsgiToAsgi(application, thread_sensitive=True)
    with pytest.raises(KeyboardInterrupt):
        async_to_sync(app)(http_scope(), server.receive, server.send)


def test_adapter_serves_several_event_loops(http_scope: MakeScope) -> None:
    meeting = threading.Barrier(2, timeout=PATIENCE)

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        meeting.wait()
        return hello(environ, start_response)

    app = WsgiToAsgi(application)

    def run() -> None:
        asyncio.run(app(http_scope(), receive, send))

    other = threading.Thread(target=run)
    other.start()
    run()
    other.join()


@pytest.mark.asyncio
async def test_no_thread_is_started_before_the_first_request() -> None:
    before = threading.active_count()
    WsgiToAsgi(hello)
    assert threading.active_count() == before


@pytest.mark.asyncio
async def test_threads_end_with_their_adapter(http_scope: MakeScope) -> None:
    threads: list[threading.Thread] = []

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        threads.append(threading.current_thread())
        return hello(environ, start_response)

    app = WsgiToAsgi(application)
    await app(http_scope(), receive, send)
    del app
    gc.collect()
    await asyncio.to_thread(threads[0].join, PATIENCE)
    assert not threads[0].is_alive()


@pytest.mark.asyncio
async def test_instances_without_an_adapter_share_their_threads(http_scope: MakeScope) -> None:
    threads: list[int] = []
    for _ in range(2):
        await WsgiToAsgiInstance(noting_threads(threads))(http_scope(), receive, send)
    assert threads[0] == threads[1]


@pytest.mark.asyncio
async def test_nothing_of_a_request_is_kept_after_it(server: Any, http_scope: MakeScope) -> None:
    class Kept:
        pass

    kept: list[weakref.ref[Kept]] = []

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        environ["kept"] = value = Kept()
        kept.append(weakref.ref(value))
        start_response("200 OK", [])(b"a")
        return Body(b"b")  # type: ignore[return-value]

    app = WsgiToAsgi(application)
    gc.disable()
    try:
        await app(http_scope(), receive, server.send)
        # The thread may still be on its way to its next job.
        await wait_until(lambda: kept[0]() is None)
    finally:
        gc.enable()


@pytest.mark.asyncio
async def test_thread_goes_back_to_the_pool_when_its_task_was_cancelled(
    server: Any, http_scope: MakeScope
) -> None:
    goes_on = threading.Event()
    body = Body(b"a", patiently(goes_on))
    bodies = [body]

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        return (
            returning(bodies.pop())(environ, start_response)
            if bodies
            else hello(environ, start_response)
        )

    app = WsgiToAsgi(application, max_workers=1)
    request = asyncio.create_task(app(http_scope(), receive, server.send))
    await server.wait_sent(2)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    goes_on.set()
    await wait_set(body.is_closed)
    await app(http_scope(), receive, send)


@pytest.mark.skipif("not hasattr(__import__('os'), 'fork')")
def test_forked_child_serves_requests_with_threads_of_its_own() -> None:
    ended = run_python(
        """
        import asyncio, os
        from asgi_wsgi import WsgiToAsgi

        def application(environ, start_response):
            start_response("200 OK", [])
            return [b"a"]

        app = WsgiToAsgi(application, max_workers=1)
        scope = {"type": "http", "method": "GET", "path": "/"}

        async def receive():
            return {"type": "http.request"}

        async def send(message):
            pass

        asyncio.run(app(scope, receive, send))
        child = os.fork()
        asyncio.run(app(scope, receive, send))
        if child:
            print(os.waitpid(child, 0)[1])
        """
    )
    assert (ended.status, ended.out, ended.err) == (0, "0\n", "")


@pytest.mark.skipif("not hasattr(__import__('os'), 'fork')")
@pytest.mark.parametrize("thread_sensitive", [False, True])
def test_child_forked_in_a_request_is_told_that_the_request_is_not_its_own(
    thread_sensitive: bool,
) -> None:
    ended = run_python(
        """
        import asyncio, os
        from asgi_wsgi import WsgiToAsgi

        def application(environ, start_response):
            write = start_response("200 OK", [])
            child = os.fork()
            if child == 0:
                try:
                    write(b"from the child")
                except RuntimeError as error:
                    os._exit(7 if "forked" in str(error) else 8)
                os._exit(9)
            write(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).encode())
            return []

        async def receive():
            return {"type": "http.request"}

        async def send(message):
            if message.get("body"):
                print(message["body"])

        scope = {"type": "http", "method": "GET", "path": "/"}
        app = WsgiToAsgi(application, thread_sensitive=IS_SENSITIVE)
        asyncio.run(app(scope, receive, send))
        """.replace("IS_SENSITIVE", str(thread_sensitive))
    )
    assert (ended.status, ended.out, ended.err) == (0, "b'7'\n", "")


def test_interpreter_exits_while_a_request_waits_for_its_client() -> None:
    """The task was cancelled, and so was the wait."""
    ended = run_python(
        """
        import asyncio, threading
        from asgi_wsgi import WsgiToAsgi

        is_running = threading.Event()

        def application(environ, start_response):
            is_running.set()
            environ["wsgi.input"].read()

        async def never():
            await asyncio.Event().wait()

        async def main():
            scope = {"type": "http", "method": "GET", "path": "/"}
            asyncio.create_task(WsgiToAsgi(application)(scope, never, never))
            await asyncio.to_thread(is_running.wait)

        asyncio.run(main())
        """
    )
    assert (ended.status, ended.out, ended.err) == (0, "", "")
