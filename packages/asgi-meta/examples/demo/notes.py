"""Async code that uses SQLite, whose connections are bound to one thread.

Two things are needed, and both are in `Notes.session()`:

- `ThreadSensitiveContext`, so that all the SQLite calls of one request run in one thread, and
  those of another request in another;
- `sync_to_async`, which is thread-sensitive unless told otherwise, so that they run there, and
  not on the event loop, which they would block.

Below a Flask view a `ThreadSensitiveContext` changes nothing: the view waits in `async_to_sync`,
and SQLite runs in the view's own thread. The code is the same.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from asgi_meta import ThreadSensitiveContext, async_to_sync, sync_to_async
from asgi_meta.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope
from demo import trail, web

# How long a writer waits for the others. A guess: only on a very slow disk do the crowds of the
# demo take this long.
BUSY_SECONDS = 30.0


class Notes:
    """Notes in an SQLite file, and the async endpoint that shows and takes them.

    `announce` is async code that tells the world of a new note.
    """

    def __init__(self, database: Path, announce: Callable[[str], Awaitable[None]]) -> None:
        self._database = database
        self._announce = announce
        self._here = threading.local()

    async def __call__(
        self, scope: HTTPScope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        """Serve one request."""
        trail.mark("async endpoint")
        if scope["path"] == "/notes/wrong-thread":
            await self._use_connection_in_wrong_thread()
        elif scope["method"] == "POST":
            note = await web.read_json(receive)
            await web.send_json(send, await self.add(note["author"], note["text"]), status=201)
        else:
            await web.send_json(send, await self.latest())

    @asynccontextmanager
    async def session(self) -> AsyncIterator[None]:
        """Let SQLite be used inside, in one thread; its connection is closed at the end."""
        async with ThreadSensitiveContext():
            try:
                yield
            finally:
                # Closed by the thread that opened it; no other may.
                await sync_to_async(self._close)()

    async def prepare(self) -> None:
        """Make the table."""
        async with self.session():
            await sync_to_async(self._execute)("CREATE TABLE note (author TEXT, text TEXT)")

    async def add(self, author: str, text: str) -> dict[str, Any]:
        """Keep a note and announce it; return how many there are, and the trail."""
        async with self.session():
            await sync_to_async(self._keep_and_announce)(author, text)
            [[count]] = await self.query("count the notes", "SELECT count(*) FROM note")
        return {"notes": count, "steps": trail.as_json()}

    async def latest(self) -> dict[str, Any]:
        """Return the last notes, and the trail."""
        async with self.session():
            rows = await self.query(
                "read the notes", "SELECT author, text FROM note ORDER BY rowid DESC LIMIT 10"
            )
        return {
            "notes": [{"author": author, "text": text} for author, text in rows],
            "steps": trail.as_json(),
        }

    async def overview(self) -> dict[str, int]:
        """Ask several questions, each in a task of its own."""
        async with self.session():
            async with asyncio.TaskGroup() as group:
                notes = group.create_task(
                    self.query("count the notes", "SELECT count(*) FROM note")
                )
                authors = group.create_task(
                    self.query("count the authors", "SELECT count(DISTINCT author) FROM note")
                )
            return {"notes": notes.result()[0][0], "authors": authors.result()[0][0]}

    async def query(self, purpose: str, sql: str) -> list[Any]:
        """Return all rows; inside a session."""
        return await sync_to_async(self._query)(purpose, sql)

    # What follows runs in the thread that owns the connection.

    def _keep_and_announce(self, author: str, text: str) -> None:
        trail.mark("SQLite: keep the note")
        self._execute("INSERT INTO note VALUES (?, ?)", author, text)
        # Deep in sync code, and the event loop is wanted after all: the chat's socket may be
        # used there only. This thread waits meanwhile; the transaction is over, so nobody
        # waits for this thread.
        async_to_sync(self._announce)(f"{author} has a new note: {text}")

    def _query(self, purpose: str, sql: str) -> list[Any]:
        trail.mark(f"SQLite: {purpose}")
        return self._connection().execute(sql).fetchall()

    def _execute(self, sql: str, *values: str) -> None:
        with self._connection() as connection:
            connection.execute(sql, values)

    def _connection(self) -> sqlite3.Connection:
        if not hasattr(self._here, "connection"):
            # `check_same_thread` stays True: SQLite itself raises, if ever the bridge came
            # with the wrong thread.
            self._here.connection = sqlite3.connect(self._database, timeout=BUSY_SECONDS)
        connection: sqlite3.Connection = self._here.connection
        return connection

    def _close(self) -> None:
        if hasattr(self._here, "connection"):
            self._here.connection.close()
            del self._here.connection

    # A mistake, made on purpose.

    async def _use_connection_in_wrong_thread(self) -> None:
        async with self.session():
            connection = await sync_to_async(self._connection)()
            await sync_to_async(connection.execute, thread_sensitive=False)("SELECT 1")
