"""Stateless servers and applications for the tests of them."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import Any

from asgi_server import ApplicationEnd, InputQueue, StatelessServer

SCOPE = {"type": "test"}


async def echo(scope: Any, receive: Any, send: Any) -> None:
    while True:
        await send(await receive())


class Boom(Exception):
    pass


async def fail_on_message(scope: Any, receive: Any, send: Any) -> None:
    raise Boom(await receive())


class Server(StatelessServer):
    """Serves until told to stop; what applications send and raise is collected."""

    def __init__(
        self, application: Any = echo, max_applications: int = 1000, **settings: Any
    ) -> None:
        super().__init__(application, max_applications, **settings)
        self.sent: asyncio.Queue[tuple[Any, Any]] = asyncio.Queue()
        self.failures: asyncio.Queue[tuple[BaseException, Any]] = asyncio.Queue()
        self.finish = asyncio.Event()

    async def handle(self) -> None:
        await self.finish.wait()

    async def application_send(self, scope: Any, message: Any) -> None:
        self.sent.put_nowait((scope, message))

    async def application_exception(
        self, exception: BaseException, application_details: Any
    ) -> None:
        self.failures.put_nowait((exception, application_details))

    def message(self, scope_id: Hashable, message: Any, scope: Any = SCOPE) -> None:
        self.get_or_create_application_instance(scope_id, scope).put_nowait(message)


class running:
    """A server in its `arun()`, which is cancelled, or finished, at the end of the block."""

    def __init__(self, server: Server) -> None:
        self.server = server

    async def __aenter__(self) -> asyncio.Task[None]:
        self.task = asyncio.create_task(self.server.arun())
        await asyncio.sleep(0)
        return self.task

    async def __aexit__(self, *exc_info: object) -> None:
        self.server.finish.set()
        await asyncio.wait([self.task])


async def ended(*tasks: asyncio.Future[Any]) -> None:
    await asyncio.wait(tasks)


def task_of(server: StatelessServer, scope_id: Hashable) -> asyncio.Task[Any]:
    return server.application_instances[scope_id]["future"]


class Reporting(Server):
    """Collects what every hook is told of."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.ends: asyncio.Queue[tuple[Hashable, ApplicationEnd]] = asyncio.Queue()
        self.overdue: asyncio.Queue[Hashable] = asyncio.Queue()
        self.dropped: list[tuple[Hashable, Any]] = []

    async def application_ended(self, application_details: Any, end: ApplicationEnd) -> None:
        self.ends.put_nowait((application_details["scope_id"], end))

    async def application_overdue(self, application_details: Any) -> None:
        self.overdue.put_nowait(application_details["scope_id"])

    def application_dropped(self, message: Any, input_queue: InputQueue) -> None:
        self.dropped.append((input_queue.scope_id, message))
