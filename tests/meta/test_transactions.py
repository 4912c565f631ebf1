"""A test and the application that it calls share a thread, and so a database transaction.

A connection of `sqlite3` refuses every thread but the one that made it, so that each exchange here
would fail anywhere else; and what is rolled back shows that it was one transaction.
"""

from __future__ import annotations

import contextvars
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.children import run_python

from asgi_meta import ThreadSensitiveContext, async_to_sync, sync_to_async
from asgi_server.testing import HTTPCommunicator, WebSocketCommunicator

connections = threading.local()


def connection() -> sqlite3.Connection:
    """This thread's own."""
    if not hasattr(connections, "one"):
        connections.one = sqlite3.connect(":memory:", isolation_level=None)
        connections.one.execute("create table items (name text)")
    found: sqlite3.Connection = connections.one
    return found


def insert(name: str) -> None:
    connection().execute("insert into items values (?)", [name])


def names() -> list[str]:
    return [name for (name,) in connection().execute("select name from items")]


def close() -> None:
    connection().close()
    del connections.one


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Inserts what it is asked to, each call in a thread context of its own, as Django does."""
    async with ThreadSensitiveContext():
        await sync_to_async(insert)(scope["path"])
    if scope["type"] == "websocket":
        await send({"type": "websocket.close"})
    else:
        await send({"type": "http.response.start", "status": 201})
        await send({"type": "http.response.body"})


async def post(path: str) -> int:
    context = contextvars.copy_context()
    async with HTTPCommunicator(application, "POST", path, context=context, timeout=20) as http:
        return (await http.receive_start())["status"]


@pytest.fixture
def transaction() -> Iterator[None]:
    """On the thread of the test."""
    connection().execute("begin")
    try:
        yield
        connection().execute("rollback")
        assert names() == []
    finally:
        close()


def test_sync_test_shares_its_transaction_with_the_application(transaction: None) -> None:
    insert("/by the test")
    assert async_to_sync(post)("/by the application") == 201
    assert names() == ["/by the test", "/by the application"]


@async_to_sync
async def test_async_test_below_the_bridge_shares_the_transaction_of_its_fixtures(
    transaction: None,
) -> None:
    await sync_to_async(insert)("/by the test")
    assert await post("/by the application") == 201
    assert await sync_to_async(names)() == ["/by the test", "/by the application"]


@async_to_sync
async def test_connection_of_a_websocket_shares_the_transaction(transaction: None) -> None:
    context = contextvars.copy_context()
    async with WebSocketCommunicator(
        application, "/chat", context=context, timeout=20
    ) as websocket:
        with pytest.raises(ConnectionRefusedError):
            await websocket.connect()
    assert await sync_to_async(names)() == ["/chat"]


@pytest.mark.asyncio
async def test_async_test_with_a_thread_context_shares_the_thread_of_that() -> None:
    async with ThreadSensitiveContext():
        await sync_to_async(connection)()
        try:
            await sync_to_async(insert)("/by the test")
            assert await post("/by the application") == 201
            assert await sync_to_async(names)() == ["/by the test", "/by the application"]
        finally:
            await sync_to_async(close)()


DJANGO = """
import contextvars, pathlib, threading
from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["testserver"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": NAME}},
    LOGGING_CONFIG=None,
    MIDDLEWARE=[],
    ROOT_URLCONF=__name__,
    SECRET_KEY="for tests",
)

import django

django.setup()

from asgiref.sync import async_to_sync  # the bridge of Django's handler
from django.core import signals
from django.core.asgi import get_asgi_application
from django.db import close_old_connections, connection, transaction
from django.http import HttpResponse
from django.urls import path
from asgi_server.testing import HTTPCommunicator


def execute(statement):
    with connection.cursor() as cursor:
        return cursor.execute(statement).fetchall()


def view(request):
    execute("insert into items values ('from the view')")
    return HttpResponse(str(threading.get_ident()))


urlpatterns = [path("", view)]

# As django.test.Client does: a request would close the connection of the test.
signals.request_started.disconnect(close_old_connections)
signals.request_finished.disconnect(close_old_connections)


@async_to_sync
async def get():
    context = contextvars.copy_context()
    async with HTTPCommunicator(get_asgi_application(), context=context, timeout=20) as http:
        return await http.read()


execute("create table items (name text)")
with transaction.atomic():
    assert get() == str(threading.get_ident()).encode()
    assert execute("select * from items") == [("from the view",)]
    transaction.set_rollback(True)
assert execute("select * from items") == []
connection.close()
print("rolled back")
"""


def test_django_view_shares_the_transaction_of_a_test(tmp_path: Path) -> None:
    """In a child: Django's settings are those of a process."""
    child = run_python(f"NAME = {str(tmp_path / 'database')!r}\n{DJANGO}")
    assert (child.status, child.out, child.err) == (0, "rolled back\n", "")
