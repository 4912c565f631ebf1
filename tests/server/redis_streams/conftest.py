from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from helpers.redis_streams import Deployment, RedisServer, deployed


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a server that all tests share; each has keys of its own."""
    with RedisServer(tmp_path_factory.mktemp("redis")).running() as server:
        yield server.url


@pytest_asyncio.fixture
async def deployment(redis_url: str) -> AsyncIterator[Deployment]:
    async with deployed(redis_url) as deployment:
        yield deployment
