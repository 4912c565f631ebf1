"""What type checkers know of `SyncToAsync` and `AsyncToSync` as decorators, and subclassed."""

from __future__ import annotations

from typing import Any, Generic, ParamSpec, Self, TypeVar, assert_type

from asgi_sync import AsyncToSync, SyncToAsync

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class WithConnection(SyncToAsync[P, R]):
    """As frameworks do, to open and close what is bound to a thread."""

    def thread_handler(self, *args: Any, **kwargs: Any) -> R:
        return super().thread_handler(*args, **kwargs)


class Blocking(AsyncToSync[P, R]):
    pass


@SyncToAsync
def area(width: int, *, unit: str = "m") -> float:
    raise NotImplementedError


@AsyncToSync
async def fetch(url: str, *, retries: int = 0) -> bytes:
    raise NotImplementedError


async def of_functions() -> None:
    assert_type(await area(1, unit="cm"), float)
    assert_type(fetch("x", retries=1), bytes)
    assert_type(area.func(width=1), float)
    assert_type(await fetch.awaitable("x"), bytes)

    await area("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await area()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    area(1)  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
    fetch(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    fetch("x", retry=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await fetch("x")  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    SyncToAsync(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncToSync(len)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


class Shelf(Generic[T]):
    @SyncToAsync
    def find(self, key: int, *, case: str = "") -> T:
        raise NotImplementedError

    @WithConnection
    def query(self, key: int, *, case: str = "") -> T:
        raise NotImplementedError

    @AsyncToSync
    async def fetch(self, key: int, *, case: str = "") -> T:
        raise NotImplementedError

    @Blocking
    async def wait(self, key: int, *, case: str = "") -> T:
        raise NotImplementedError

    @classmethod
    @SyncToAsync
    def load(cls, path: str) -> bool:
        raise NotImplementedError

    @classmethod
    @Blocking
    async def connect(cls, url: str) -> bool:
        raise NotImplementedError

    @staticmethod
    @WithConnection
    def size(path: str) -> int:
        raise NotImplementedError

    @staticmethod
    @AsyncToSync
    async def count(url: str) -> int:
        raise NotImplementedError

    @staticmethod
    @SyncToAsync
    def now() -> float:
        raise NotImplementedError

    @staticmethod
    @SyncToAsync
    def draw(*, seed: int) -> float:
        raise NotImplementedError


class Books(Shelf[str]):
    pass


async def methods_on_an_instance(books: Books, prices: Shelf[float]) -> None:
    assert_type(await books.find(1), str)
    assert_type(await books.find(key=1, case="x"), str)
    assert_type(await prices.find(1), float)
    assert_type(await books.query(1, case="x"), str)
    assert_type(books.fetch(1, case="x"), str)
    assert_type(prices.wait(1, case="x"), float)

    await books.find("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await books.find()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await books.find(1, cas="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await books.query("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    books.fetch("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    books.wait(1, "x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await books.fetch(1)  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    books.find(1)  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]


async def methods_on_the_class(books: Books) -> None:
    assert_type(await Books.find(books, 1, case="x"), str)
    assert_type(await Books.query(books, 1), str)
    assert_type(Books.fetch(books, 1), str)
    assert_type(Books.wait(books, 1), str)

    await Books.find(1)  # type: ignore[call-arg, arg-type]  # pyright: ignore[reportCallIssue]
    Books.fetch(books, "1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def class_methods(books: Books) -> None:
    assert_type(await Books.load("x"), bool)
    assert_type(await books.load(path="x"), bool)
    assert_type(Books.connect("x"), bool)
    assert_type(books.connect(url="x"), bool)

    await Books.load(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await books.load()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Books.connect(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    books.connect()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def static_methods(books: Books) -> None:
    assert_type(await Books.size("x"), int)
    assert_type(await books.size(path="x"), int)
    assert_type(Books.count("x"), int)
    assert_type(books.count(url="x"), int)
    assert_type(await books.now(), float)
    assert_type(await books.draw(seed=1), float)

    await Books.size(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await books.size()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Books.count(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    books.count()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await books.draw(seed="1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# The wrapper itself, with its own attributes, is what a class gives.


def attributes(books: Books) -> None:
    assert_type(Books.query.func(books, 1), str)
    assert_type(Books.fetch.force_new_loop, bool)


# What the functions `sync_to_async` and `async_to_sync` keep, and the classes cannot.


class Limits:
    # Its first parameter takes anything: no checker can tell it from a method.
    @staticmethod
    @SyncToAsync
    def dump(value: object) -> int:
        raise NotImplementedError

    # mypy does not bind the type variables of a method that is wrapped in an object.
    @SyncToAsync
    def echo(self, value: T) -> T:
        raise NotImplementedError

    @AsyncToSync
    async def opened(self) -> Self:
        raise NotImplementedError


async def not_checked(limits: Limits) -> None:
    assert_type(await limits.dump(1), int)
    assert_type(await Limits.dump(1), int)
    await limits.dump()


async def not_known_to_mypy(limits: Limits) -> None:
    assert_type(await limits.echo(1), int)  # type: ignore[arg-type, assert-type]
    assert_type(limits.opened(), Limits)  # type: ignore[call-arg, assert-type]
