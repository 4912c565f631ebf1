"""Django greets, in process: a child that times requests as often as it is told.

    python -m tests.benchmarks.django_hello KIND
    python -m asgi_meta run -m tests.benchmarks.django_hello KIND

It says where its bridge comes from; then each line that it reads is a number of requests, and each
that it writes is the seconds that they took. It ends with its standard input.
"""

from __future__ import annotations

import asyncio
import sys
from time import perf_counter
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

HELLO = b"Hello"

# What a new project has, but for sessions, users and messages, which need a database.
USUAL_MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

SYNC = "sync view"
ASYNC = "async view"
USUAL = "sync view, usual middleware"
KINDS = (SYNC, ASYNC, USUAL)


def hello(request: HttpRequest) -> HttpResponse:
    """Greet."""
    return HttpResponse(HELLO)


async def hello_async(request: HttpRequest) -> HttpResponse:
    """Greet, from async code."""
    return HttpResponse(HELLO)


urlpatterns = [path("", hello), path("async", hello_async)]


def make_application(kind: str) -> Any:
    """Return the application, for which Django's settings are made."""
    settings.configure(
        ALLOWED_HOSTS=["example.org"],
        LOGGING_CONFIG=None,
        MIDDLEWARE=USUAL_MIDDLEWARE if kind == USUAL else [],
        ROOT_URLCONF=__name__,
        SECRET_KEY="of a benchmark",
    )
    return get_asgi_application()


def scope_of(kind: str) -> dict[str, Any]:
    """Return the scope of a request."""
    target = "/async" if kind == ASYNC else "/"
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": target,
        "raw_path": target.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"example.org"), (b"accept", b"*/*"), (b"user-agent", b"bench")],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 80),
    }


async def request(application: Any, scope: dict[str, Any]) -> None:
    """Make one request, of a client that waits for the answer."""
    answer = []
    messages = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> Any:
        for message in messages:
            return message
        # The client stays: as with a server, nothing more comes.
        return await asyncio.get_running_loop().create_future()

    async def send(message: dict[str, Any]) -> None:
        answer.append(message)

    await application(scope, receive, send)
    if answer[0]["status"] != 200 or answer[1]["body"] != HELLO:
        raise ValueError(f"the application has answered {answer}")


def main(kind: str) -> None:
    """Serve the process that has started this one."""
    application = make_application(kind)
    scope = scope_of(kind)

    async def time(number: int) -> float:
        start = perf_counter()
        for _ in range(number):
            await request(application, dict(scope))
        return perf_counter() - start

    print(sync_to_async.__module__, flush=True)
    # One loop for all, as in a server.
    with asyncio.Runner() as runner:
        for line in sys.stdin:
            print(runner.run(time(int(line))), flush=True)


if __name__ == "__main__":
    # Under its own name: the settings refer to this module.
    from tests.benchmarks import django_hello

    django_hello.main(sys.argv[1])
