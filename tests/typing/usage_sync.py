"""What type checkers know of code that crosses the bridge."""

import asyncio
import functools
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, assert_type

from asgi_sync import (
    AsyncSingleThreadContext,
    AsyncToSync,
    SyncToAsync,
    ThreadSensitiveContext,
    async_to_sync,
    iscoroutinefunction,
    sync_to_async,
)

# sync_to_async


def area(width: int, height: int = 1, *, unit: str = "m") -> float:
    raise NotImplementedError


async def called_through_the_function() -> None:
    assert_type(await sync_to_async(area)(2), float)
    assert_type(await sync_to_async(area)(2, height=3, unit="cm"), float)
    assert_type(await sync_to_async(area, thread_sensitive=False)(2), float)
    with ThreadPoolExecutor() as executor:
        assert_type(await sync_to_async(area, thread_sensitive=False, executor=executor)(2), float)

    await sync_to_async(area)("2")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await sync_to_async(area)()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await sync_to_async(area)(2, unti="cm")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    _: str = await sync_to_async(area)(2)  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]


async def not_awaited() -> None:
    coroutine = assert_type(sync_to_async(area)(2), Coroutine[Any, Any, float])
    assert_type(await asyncio.gather(coroutine, sync_to_async(area)(3)), tuple[float, float])


@sync_to_async
def decorated(name: str) -> list[str]:
    raise NotImplementedError


@sync_to_async(thread_sensitive=False)
def decorated_with_arguments(name: str) -> list[str]:
    raise NotImplementedError


async def called_through_the_decorator() -> None:
    assert_type(await decorated("x"), list[str])
    assert_type(await decorated_with_arguments(name="x"), list[str])
    await decorated(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await decorated_with_arguments(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def called_through_a_partial_and_a_builtin() -> None:
    assert_type(await sync_to_async(functools.partial(area, 2))(), float)
    assert_type(await sync_to_async(len)([1]), int)


async def called_through_the_class() -> None:
    assert_type(await SyncToAsync(area)(2), float)


class Repository:
    def find(self, key: int) -> str:
        raise NotImplementedError

    async def find_async(self, key: int) -> str:
        found = await sync_to_async(self.find)(key)
        assert_type(found, str)
        return found


# async_to_sync


async def fetch(url: str, *, retries: int = 0) -> bytes:
    raise NotImplementedError


def called_sync() -> None:
    assert_type(async_to_sync(fetch)("x"), bytes)
    assert_type(async_to_sync(fetch)("x", retries=1), bytes)
    assert_type(async_to_sync(fetch, force_new_loop=True)("x"), bytes)
    assert_type(AsyncToSync(fetch)("x"), bytes)

    async_to_sync(fetch)(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    async_to_sync(fetch)("x", retry=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    _: str = async_to_sync(fetch)("x")  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]


@async_to_sync
async def decorated_async(url: str) -> bytes:
    raise NotImplementedError


@async_to_sync(force_new_loop=True)
async def decorated_async_with_arguments(url: str) -> bytes:
    raise NotImplementedError


def called_through_the_decorators() -> None:
    assert_type(decorated_async("x"), bytes)
    assert_type(decorated_async_with_arguments("x"), bytes)
    decorated_async(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    decorated_async_with_arguments(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


class Client:
    async def get(self, path: str) -> bytes:
        raise NotImplementedError

    def get_sync(self, path: str) -> bytes:
        return assert_type(async_to_sync(self.get)(path), bytes)


def there_and_back() -> None:
    assert_type(async_to_sync(sync_to_async(area))(2), float)


# Contexts


async def in_contexts() -> None:
    async with ThreadSensitiveContext():
        assert_type(await sync_to_async(area)(2), float)
    with AsyncSingleThreadContext():
        pass


def asked_for_kind() -> None:
    assert_type(iscoroutinefunction(fetch), bool)
