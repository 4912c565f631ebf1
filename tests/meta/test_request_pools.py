"""A pool lends a thread to each request of Django, by the names that asgiref has for it."""

from __future__ import annotations

from pathlib import Path

from helpers.children import run_python

DJANGO = """
import asyncio, json, threading
from concurrent.futures import ThreadPoolExecutor

import asgi_meta

asgi_meta.install_as_asgiref()

from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["testserver"],
    DATABASES={
        "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": NAME, "CONN_MAX_AGE": None}
    },
    LOGGING_CONFIG=None,
    MIDDLEWARE=[],
    ROOT_URLCONF=__name__,
    SECRET_KEY="for tests",
)

import django

django.setup()

from asgiref.sync import SyncToAsync, ThreadSensitiveContext, async_to_sync, sync_to_async
from django.core.asgi import get_asgi_application
from django.db import connection, connections
from django.http import JsonResponse
from django.urls import path
from asgi_server.testing import HTTPCommunicator


def place():
    # The connection to the database is one that this thread has made, and keeps.
    connection.ensure_connection()
    opened.add(id(connection.connection))
    return threading.current_thread().name


async def async_view(request):
    return JsonResponse({"places": [await sync_to_async(place)() for _ in range(2)]})


def sync_view(request):
    return JsonResponse({"places": [place(), async_to_sync(sync_to_async(place))()]})


opened = set()
urlpatterns = [path("async", async_view), path("sync", sync_view)]
application = get_asgi_application()
lent = ThreadSensitiveContext()
executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lent")
SyncToAsync.context_to_thread_executor[lent] = executor


async def pooled(scope, receive, send):
    token = SyncToAsync.thread_sensitive_context.set(lent)
    try:
        await application(scope, receive, send)
    finally:
        SyncToAsync.thread_sensitive_context.reset(token)


async def places(path):
    async with HTTPCommunicator(pooled, "GET", path, timeout=20) as http:
        return json.loads(await http.read())["places"]


async def main():
    return [*await places("/async"), *await places("/sync"), *await places("/async")]


print({*asyncio.run(main())}, len(opened))
executor.submit(connections.close_all).result()
executor.shutdown()
"""


def test_every_request_of_django_runs_in_the_thread_that_the_pool_lends_it(tmp_path: Path) -> None:
    ended = run_python(f"NAME = {str(tmp_path / 'database')!r}\n{DJANGO}")
    assert (ended.status, ended.out, ended.err) == (0, "{'lent_0'} 1\n", "")
