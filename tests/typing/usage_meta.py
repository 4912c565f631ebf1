"""What type checkers know is the same through asgi-meta."""

from typing import assert_type

import asgi_local
import asgi_meta
import asgi_meta.local
import asgi_meta.sync
from asgi_meta import Local, StatelessServer, WsgiToAsgi, async_to_sync, sync_to_async
from asgi_meta.testing import ApplicationCommunicator
from asgi_meta.typing import HTTPRequestEvent


def area(width: int) -> float:
    raise NotImplementedError


async def area_async(width: int) -> float:
    raise NotImplementedError


async def calls() -> None:
    assert_type(await sync_to_async(area)(1), float)
    assert_type(await asgi_meta.sync.sync_to_async(area)(1), float)
    await sync_to_async(area)("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


assert_type(async_to_sync(area_async)(1), float)
assert_type(asgi_meta.local.Local(), asgi_local.Local)
event: HTTPRequestEvent = {"type": "http.request"}
classes: list[type] = [Local, StatelessServer, WsgiToAsgi, ApplicationCommunicator]
assert_type(asgi_meta.install_as_asgiref(), None)
assert_type(asgi_meta.uninstall_as_asgiref(), None)
