"""Applications behind the ASGI validator, on one server, and what it found in their calls."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from typing import Any

from asgi_server.validation import validator
from helpers.server_threads import PATIENCE

Application = Callable[..., Any]


class ValidatedSites:
    """An application that passes each request to the site that its path begins with.

    Each site is behind a validator, next to the server; the lifespan, of which the server has
    but one, is behind a validator of its own, and given to each site by one more.

    Args:
        sites: By name.
        deviations: The rules that a site is known to break, by its name.
    """

    def __init__(
        self, sites: Mapping[str, Application], deviations: Mapping[str, Iterable[str]]
    ) -> None:
        self._sites = {
            name: validator(self._noting(site), ignore=deviations.get(name, ()))
            for name, site in sites.items()
        }
        self._lifespan = validator(functools.partial(_share_lifespan, self._sites.values()))
        self._changed = threading.Condition()
        self._running = 0
        self.violations: list[str] = []
        self.messages: set[str] = set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        self._count(1)
        try:
            await self._sites[scope["path"].split("/")[1]](scope, receive, send)
        finally:
            self._count(-1)

    def _count(self, difference: int) -> None:
        with self._changed:
            self._running += difference
            self._changed.notify_all()

    def wait_until_idle(self) -> None:
        """Wait until no request is being served; the lifespan goes on."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._running == 0, PATIENCE)

    @contextlib.contextmanager
    def reporting(self) -> Iterator[None]:
        """Collect what validators report meanwhile, which servers may do what they like with."""
        handler = logging.Handler(logging.ERROR)
        handler.emit = lambda record: self.violations.append(record.getMessage())  # type: ignore[method-assign]
        logger = logging.getLogger("asgi_server.validation")
        logger.addHandler(handler)
        try:
            yield
        finally:
            logger.removeHandler(handler)

    def _noting(self, site: Application) -> Application:
        async def noting(scope: Any, receive: Any, send: Any) -> None:
            async def noted_receive() -> Any:
                message = await receive()
                self.messages.add(message["type"])
                return message

            async def noted_send(message: Any) -> None:
                self.messages.add(message["type"])
                await send(message)

            await site(scope, noted_receive, noted_send)

        return noting


async def _share_lifespan(
    sites: Iterable[Application], scope: Any, receive: Any, send: Any
) -> None:
    assert await receive() == {"type": "lifespan.startup"}
    async with contextlib.AsyncExitStack() as stack:
        for site in sites:
            scope["state"] |= await stack.enter_async_context(_lifespan_of(site, scope))
        await send({"type": "lifespan.startup.complete"})
        assert await receive() == {"type": "lifespan.shutdown"}
    await send({"type": "lifespan.shutdown.complete"})


@contextlib.asynccontextmanager
async def _lifespan_of(site: Application, scope: Any) -> AsyncIterator[dict[str, Any]]:
    """A lifespan of its own for the site; one that does not know of lifespans raises."""
    state: dict[str, Any] = {}
    incoming: asyncio.Queue[Any] = asyncio.Queue()
    outgoing: asyncio.Queue[Any] = asyncio.Queue()
    call = site({**scope, "state": state}, incoming.get, outgoing.put)
    running = asyncio.create_task(call)
    running.add_done_callback(lambda _: outgoing.put_nowait(None))
    incoming.put_nowait({"type": "lifespan.startup"})
    answer = await outgoing.get()
    yield state
    if answer is None:
        assert isinstance(running.exception(), ValueError)  # Django's
        return
    assert answer == {"type": "lifespan.startup.complete"}
    incoming.put_nowait({"type": "lifespan.shutdown"})
    assert await outgoing.get() == {"type": "lifespan.shutdown.complete"}
    await running
