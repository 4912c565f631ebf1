"""What type checkers know of everything else that can be called and wrapped."""

from __future__ import annotations

import functools
from asyncio import Future
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, Protocol, TypeVar, assert_type, overload

from asgi_sync import AsyncToSync, SyncToAsync, async_to_sync, sync_to_async

T = TypeVar("T")


def area(width: int, height: int = 1) -> float:
    raise NotImplementedError


async def fetch(url: str, retries: int = 0) -> bytes:
    raise NotImplementedError


# Generic functions stay generic, as both kinds of decorator.


def first(items: Iterable[T]) -> T:
    raise NotImplementedError


async def first_async(items: Iterable[T]) -> T:
    raise NotImplementedError


@sync_to_async
def last(items: Iterable[T]) -> T:
    raise NotImplementedError


@sync_to_async(thread_sensitive=False)
def last_anywhere(items: Iterable[T]) -> T:
    raise NotImplementedError


@async_to_sync
async def last_sync(items: Iterable[T]) -> T:
    raise NotImplementedError


@async_to_sync(force_new_loop=True)
async def last_apart(items: Iterable[T]) -> T:
    raise NotImplementedError


async def generic_functions() -> None:
    assert_type(await sync_to_async(first)([1]), int)
    assert_type(await sync_to_async(first)(["x"]), str)
    assert_type(async_to_sync(first_async)([1]), int)
    assert_type(async_to_sync(first_async, force_new_loop=True)(["x"]), str)
    assert_type(await last([1]), int)
    assert_type(await last(["x"]), str)
    assert_type(await last_anywhere([1]), int)
    assert_type(last_sync(["x"]), str)
    assert_type(last_apart([1]), int)
    assert_type(async_to_sync(sync_to_async(first))([1]), int)

    await sync_to_async(first)(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await last(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    last_sync(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# Plain functions that return an awaitable


def start(url: str) -> Awaitable[bytes]:
    raise NotImplementedError


def start_future(url: str) -> Future[bytes]:
    raise NotImplementedError


def returning_awaitables() -> None:
    assert_type(async_to_sync(start)("x"), bytes)
    assert_type(async_to_sync(start, force_new_loop=True)("x"), bytes)
    assert_type(AsyncToSync(start_future)("x"), bytes)

    async_to_sync(start)(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    async_to_sync(area)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    async_to_sync(force_new_loop=True)(area)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# Partial objects and lambdas


async def partial_objects() -> None:
    assert_type(await sync_to_async(functools.partial(area, 1))(), float)
    assert_type(await sync_to_async(functools.partial(area, height=2))(1), float)
    assert_type(async_to_sync(functools.partial(fetch, "x"))(), bytes)
    assert_type(await SyncToAsync(functools.partial(area, 1))(), float)


async def lambdas() -> None:
    assert_type(await sync_to_async(lambda: area(1))(), float)
    assert_type(async_to_sync(lambda: fetch("x"))(), bytes)
    on_thread: Callable[[int], Coroutine[Any, Any, str]] = sync_to_async(lambda n: str(n + 1))
    assert_type(await on_thread(1), str)

    await sync_to_async(lambda: area(1))(2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


# Instances with `__call__`, classes, methods of instances


class Converter:
    def __init__(self, factor: float) -> None:
        raise NotImplementedError

    def __call__(self, length: float, *, digits: int = 0) -> str:
        raise NotImplementedError

    async def convert(self, length: float) -> str:
        raise NotImplementedError


class AsyncConverter(Protocol):
    async def __call__(self, length: float, *, digits: int = 0) -> str: ...


async def callable_instances(convert: Converter, convert_async: AsyncConverter) -> None:
    assert_type(await sync_to_async(convert)(1.0, digits=2), str)
    assert_type(await SyncToAsync(convert)(1.0, digits=2), str)
    assert_type(async_to_sync(convert_async)(1.0, digits=2), str)
    assert_type(AsyncToSync(convert_async)(1.0, digits=2), str)
    assert_type(async_to_sync(convert.convert)(1.0), str)
    assert_type(await sync_to_async(Converter)(factor=2), Converter)

    await sync_to_async(convert)("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    async_to_sync(convert_async)(1.0, digit=2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await sync_to_async(Converter)()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


# As arguments of what takes callables


def handle(handler: Callable[[str], Awaitable[bytes]]) -> None:
    raise NotImplementedError


def read(path: str) -> bytes:
    raise NotImplementedError


handle(sync_to_async(read))
handle(SyncToAsync(read))
handle(sync_to_async(area))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
handle(async_to_sync(fetch))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# Wrong arguments of the wrappers


async def wrong_settings() -> None:
    sync_to_async(1)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    sync_to_async(area, thread_sensitive="no")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    sync_to_async(area, False)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    sync_to_async(thread_sensitiv=False)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    async_to_sync(fetch, force_new_loop="no")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    async_to_sync(1)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]


# Overloads: pyright keeps all of them through the functions, and mypy the first one.


@overload
def parse(text: str) -> int: ...
@overload
def parse(text: bytes) -> float: ...
def parse(text: str | bytes) -> int | float:
    raise NotImplementedError


@overload
async def parse_async(text: str) -> int: ...
@overload
async def parse_async(text: bytes) -> float: ...
async def parse_async(text: str | bytes) -> int | float:
    raise NotImplementedError


async def overloaded_functions() -> None:
    assert_type(await sync_to_async(parse)("1"), int)
    assert_type(async_to_sync(parse_async)("1"), int)
    assert_type(await sync_to_async(parse)(b"1"), float)  # type: ignore[arg-type, assert-type]
    assert_type(async_to_sync(parse_async)(b"1"), float)  # type: ignore[arg-type, assert-type]
    # A class can have one list of parameters only.
    assert_type(await SyncToAsync(parse)("1"), int)
    await SyncToAsync(parse)(b"1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
