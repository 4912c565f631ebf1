"""A site with Channels, in a process of its own: its settings are global.

Its database is in the current folder. Prints what it finds as JSON, one line each.
"""

from __future__ import annotations

import json
import threading
from typing import Any

import django
from asgiref.sync import async_to_sync
from asgiref.testing import ApplicationCommunicator
from channels.consumer import AsyncConsumer, SyncConsumer
from channels.db import DatabaseSyncToAsync, database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.layers import get_channel_layer
from channels.routing import ChannelNameRouter, ProtocolTypeRouter
from channels.worker import StatelessServer
from django.conf import settings
from django.core.management import call_command
from django.db import connection

NUMBERS = range(1, 11)
GROUP = "everybody"
NAME = "helpers.channels_site"


def show(**facts: Any) -> None:
    print(json.dumps(facts), flush=True)


def make_table() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE said (what TEXT, thread INTEGER)")


def add_row(what: str) -> int:
    """Add what was said, and return how many rows there are."""
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO said VALUES (%s, %s)", [what, threading.get_ident()])
        cursor.execute("SELECT count(*) FROM said")
        return int(cursor.fetchone()[0])


def rows() -> list[tuple[str, int]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT what, thread FROM said ORDER BY rowid")
        return [(str(what), int(thread)) for what, thread in cursor.fetchall()]


class Chat(AsyncJsonWebsocketConsumer):
    """Stores what a client says, and sends it to all clients."""

    async def connect(self) -> None:
        await self.channel_layer.group_add(GROUP, self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(GROUP, self.channel_name)

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        number = await database_sync_to_async(add_row)(content["what"])
        message = {"type": "chat.said", "what": content["what"], "number": number}
        await self.channel_layer.group_send(GROUP, message)

    async def chat_said(self, event: Any) -> None:
        await self.send_json({"what": event["what"], "number": event["number"]})


class Adder(AsyncConsumer):
    """Adds up the numbers that the worker gets, by the database."""

    async def add(self, message: Any) -> None:
        row = await database_sync_to_async(add_row)(str(message["number"]))
        if row == len(NUMBERS):
            found = await database_sync_to_async(rows)()
            await self.channel_layer.send("sums", {"type": "show.sum", "found": found})


class Shower(SyncConsumer):
    """Shows a sum, in sync code; which the worker's instance of it has to itself."""

    def show_sum(self, message: Any) -> None:
        show(sum=sum(int(what) for what, _ in message["found"]))
        print("ready", flush=True)


application = ProtocolTypeRouter(
    {
        "websocket": Chat.as_asgi(),
        "channel": ChannelNameRouter({"numbers": Adder.as_asgi(), "sums": Shower.as_asgi()}),
    }
)


def prepare() -> None:
    """Make the settings and the database, and show where the bridge and the server come from."""
    settings.configure(
        ASGI_APPLICATION=f"{NAME}.application",
        CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "chat.sqlite3"}},
        INSTALLED_APPS=["channels"],
        LOGGING_CONFIG=None,
        SECRET_KEY="for tests",
    )
    django.setup()
    bridge = DatabaseSyncToAsync.__mro__[1].__module__
    show(bridge=bridge, server=StatelessServer.__module__)
    make_table()


class Client(ApplicationCommunicator):
    """One that speaks JSON over a WebSocket. Channels' own needs Daphne."""

    def __init__(self) -> None:
        scope = {"type": "websocket", "path": "/", "headers": [], "subprotocols": []}
        super().__init__(application, scope)

    async def connect(self) -> None:
        await self.send_input({"type": "websocket.connect"})
        assert (await self.receive_output())["type"] == "websocket.accept"

    async def say(self, what: str) -> None:
        await self.send_input({"type": "websocket.receive", "text": json.dumps({"what": what})})

    async def hear(self) -> Any:
        return json.loads((await self.receive_output())["text"])

    async def disconnect(self) -> None:
        await self.send_input({"type": "websocket.disconnect", "code": 1000})
        await self.wait()


async def talk() -> None:
    """Have two clients say something, and show what each has heard."""
    clients = [Client(), Client()]
    for client in clients:
        await client.connect()
    for number, client in enumerate(clients):
        await client.say(f"word {number}")
        show(heard=[await listener.hear() for listener in clients])
    for client in clients:
        await client.disconnect()
    found = await database_sync_to_async(rows)()
    show(
        stored=[what for what, _ in found],
        threads=len({thread for _, thread in found}),
        on_the_loop=threading.get_ident() in {thread for _, thread in found},
    )


def work() -> None:
    """Put numbers into the layer, and run the worker until Ctrl-C."""
    layer = get_channel_layer()
    for number in NUMBERS:
        async_to_sync(layer.send)("numbers", {"type": "add", "number": number})
    call_command("runworker", "numbers", "sums")
    show(ended="in good order", threads=len({thread for _, thread in rows()}))
