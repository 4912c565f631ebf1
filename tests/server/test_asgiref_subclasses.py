"""Servers as they are written for asgiref, on both base classes."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import asgiref.server
import pytest

import asgi_server

BASES = [asgiref.server.StatelessServer, asgi_server.StatelessServer]


@pytest.fixture(params=BASES, ids=["asgiref", "ours"])
def base(request: pytest.FixtureRequest) -> Any:
    return request.param


def make_worker(base: Any) -> Any:
    class Worker(base):
        """Listens to channels, as the worker of Channels does."""

        stop = "an attribute of the subclass"
        counters = None
        _instances = _reports = _tasks = None

        def __init__(self, application: Any, channels: Any, max_applications: int = 1000) -> None:
            super().__init__(application, max_applications)
            self.channels = channels
            self.sent: list[Any] = []
            self.failures: list[Any] = []

        async def handle(self) -> None:
            listeners = [asyncio.ensure_future(self.listener(name)) for name in self.channels]
            await asyncio.wait(listeners)
            for listener in listeners:
                listener.result()

        async def listener(self, name: str) -> None:
            for text in self.channels[name]:
                scope = {"type": "channel", "channel": name}
                queue = self.get_or_create_application_instance(name, scope)
                await queue.put({"type": "say", "text": text})
            while len(self.sent) < sum(map(len, self.channels.values())):
                await asyncio.sleep(0)

        async def application_send(self, scope: Any, message: Any) -> None:
            self.sent.append((scope["channel"], message["text"]))

        async def application_exception(self, exception: Any, application_details: Any) -> None:
            self.failures.append((exception, application_details["scope"]))

    return Worker


async def say(scope: Any, receive: Any, send: Any) -> None:
    while True:
        await send(await receive())


def test_worker_that_listens_to_channels(base: Any) -> None:
    worker = make_worker(base)(say, {"a": ["1", "2"], "b": ["3"]})

    async def serve() -> None:
        await asyncio.wait_for(worker.arun(), 10)

    asyncio.run(serve())
    assert sorted(worker.sent) == [("a", "1"), ("a", "2"), ("b", "3")]
    assert worker.failures == []


def test_scope_may_be_anything(base: Any) -> None:
    """Asgiref's own example uses the address of a client as its scope."""
    sent: list[Any] = []

    class Server(base):
        async def handle(self) -> None:
            queue = self.get_or_create_application_instance("ann", ("127.0.0.1", 53))
            queue.put_nowait(b"Welcome")
            while not sent:
                await asyncio.sleep(0)

        async def application_send(self, scope: Any, message: Any) -> None:
            sent.append((scope, message))

    asyncio.run(Server(say).arun())
    assert sent == [(("127.0.0.1", 53), b"Welcome")]


def test_mapping_of_instances_has_the_keys_of_asgiref(base: Any) -> None:
    server = base(say, max_applications=5)

    async def look() -> None:
        queue = server.get_or_create_application_instance("ann", {"type": "x"})
        details = server.application_instances["ann"]
        assert details["input_queue"] is queue
        assert details["scope"] == {"type": "x"}
        assert abs(time.time() - details["last_used"]) < 3600
        assert not details["future"].done()
        details["of the subclass"] = 1
        assert len(server.application_instances) == 1
        server.delete_oldest_application_instance()
        assert "ann" not in server.application_instances
        await asyncio.wait([details["future"]])
        assert details["future"].cancelled()

    asyncio.run(look())


def test_subclass_may_look_at_instances_from_time_to_time(base: Any) -> None:
    looks: list[int] = []

    class Server(base):
        application_checker_interval = 0.001

        async def application_checker(self) -> None:
            while True:
                await asyncio.sleep(self.application_checker_interval)
                looks.append(len(self.application_instances))

        async def handle(self) -> None:
            self.get_or_create_application_instance("ann", {})
            while len(looks) < 3:
                await asyncio.sleep(0.001)

    asyncio.run(Server(say).arun())
    assert looks[:3] == [1, 1, 1]


def test_method_of_a_subclass_may_return_any_awaitable(base: Any) -> None:
    class Server(base):
        def handle(self) -> Any:
            return asyncio.ensure_future(asyncio.sleep(0))

    asyncio.run(Server(say).arun())


def test_run_ends_with_handle(base: Any) -> None:
    worker = make_worker(base)(say, {"a": ["1"]})
    if base is asgiref.server.StatelessServer:
        # It takes the current event loop, which there is none of.
        with asyncio.Runner() as runner:
            runner.get_loop()
            worker.run()
    else:
        worker.run()
    assert worker.sent == [("a", "1")]
