"""What type checkers know of methods made with `sync_to_async` and `async_to_sync`.

They keep all parameters but the bound one, accessed on an instance and on the class.
"""

from __future__ import annotations

from typing import Generic, Self, TypeVar, assert_type

from asgi_sync import async_to_sync, sync_to_async

T = TypeVar("T")
U = TypeVar("U")


class Shelf(Generic[T]):
    @sync_to_async
    def find(self, key: int, *, case: str = "") -> T:
        raise NotImplementedError

    @sync_to_async(thread_sensitive=False)
    def find_anywhere(self, key: int, *, case: str = "") -> T:
        raise NotImplementedError

    @sync_to_async
    def sorted(self) -> Self:
        raise NotImplementedError

    @sync_to_async
    def pair(self, key: int, other: U) -> tuple[T, U]:
        raise NotImplementedError

    @classmethod
    @sync_to_async
    def load(cls, path: str) -> Self:
        raise NotImplementedError

    @classmethod
    @sync_to_async(thread_sensitive=False)
    def load_anywhere(cls, path: str) -> Self:
        raise NotImplementedError

    @staticmethod
    @sync_to_async
    def size(path: str) -> int:
        raise NotImplementedError

    @staticmethod
    @sync_to_async(thread_sensitive=False)
    def size_anywhere(path: str) -> int:
        raise NotImplementedError

    def get(self, key: int) -> T:
        raise NotImplementedError

    aget = sync_to_async(get)


class Books(Shelf[str]):
    pass


async def methods_on_an_instance(books: Books, prices: Shelf[float]) -> None:
    assert_type(await books.find(1), str)
    assert_type(await books.find(key=1, case="x"), str)
    assert_type(await prices.find(1), float)
    assert_type(await books.find_anywhere(1, case="x"), str)
    assert_type(await books.sorted(), Books)
    assert_type(await books.pair(1, b""), tuple[str, bytes])
    assert_type(await books.aget(1), str)

    await books.find("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await books.find()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await books.find(1, "x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await books.find_anywhere("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await books.find_anywhere(1, cas="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await books.sorted(1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await books.aget("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def methods_on_the_class(books: Books) -> None:
    assert_type(await Books.find(books, 1, case="x"), str)
    assert_type(await Books.find_anywhere(books, 1), str)
    assert_type(await Shelf[float].find(Shelf(), 1), float)

    await Books.find(1)  # type: ignore[call-arg, arg-type]  # pyright: ignore[reportCallIssue]
    await Books.find_anywhere(books, "1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def class_methods(books: Books) -> None:
    assert_type(await Books.load("x"), Books)
    assert_type(await books.load(path="x"), Books)
    assert_type(await Books.load_anywhere("x"), Books)
    assert_type(await books.load_anywhere(path="x"), Books)

    await Books.load(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await books.load()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await Books.load_anywhere(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await books.load_anywhere()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def static_methods(books: Books) -> None:
    assert_type(await Books.size("x"), int)
    assert_type(await books.size(path="x"), int)
    assert_type(await Books.size_anywhere("x"), int)
    assert_type(await books.size_anywhere(path="x"), int)

    await Books.size(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await books.size()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await Books.size_anywhere(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await books.size_anywhere()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def not_awaited(books: Books) -> None:
    books.find(1)  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
    books.find(1).upper()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    len(Books.load("x"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# async_to_sync


class Feed(Generic[T]):
    @async_to_sync
    async def fetch(self, key: int, *, case: str = "") -> T:
        raise NotImplementedError

    @async_to_sync(force_new_loop=True)
    async def fetch_apart(self, key: int, *, case: str = "") -> T:
        raise NotImplementedError

    @async_to_sync
    async def opened(self) -> Self:
        raise NotImplementedError

    @async_to_sync
    async def pair(self, key: int, other: U) -> tuple[T, U]:
        raise NotImplementedError

    @classmethod
    @async_to_sync
    async def connect(cls, url: str) -> Self:
        raise NotImplementedError

    @classmethod
    @async_to_sync(force_new_loop=True)
    async def connect_apart(cls, url: str) -> Self:
        raise NotImplementedError

    @staticmethod
    @async_to_sync
    async def count(url: str) -> int:
        raise NotImplementedError

    @staticmethod
    @async_to_sync(force_new_loop=True)
    async def count_apart(url: str) -> int:
        raise NotImplementedError

    @property
    @async_to_sync
    async def latest(self) -> T:
        raise NotImplementedError

    async def aget(self, key: int) -> T:
        raise NotImplementedError

    get = async_to_sync(aget)


class News(Feed[str]):
    pass


def sync_methods_on_an_instance(news: News, prices: Feed[float]) -> None:
    assert_type(news.fetch(1), str)
    assert_type(news.fetch(key=1, case="x"), str)
    assert_type(prices.fetch(1), float)
    assert_type(news.fetch_apart(1, case="x"), str)
    assert_type(news.opened(), News)
    assert_type(news.pair(1, b""), tuple[str, bytes])
    assert_type(news.latest, str)
    assert_type(news.get(1), str)

    news.fetch("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    news.fetch()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    news.fetch(1, "x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    news.fetch_apart("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    news.fetch_apart(1, cas="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    news.opened(1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    news.get("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def sync_methods_on_the_class(news: News) -> None:
    assert_type(News.fetch(news, 1, case="x"), str)
    assert_type(News.fetch_apart(news, 1), str)
    assert_type(Feed[float].fetch(Feed(), 1), float)

    News.fetch(1)  # type: ignore[call-arg, arg-type]  # pyright: ignore[reportCallIssue]
    News.fetch_apart(news, "1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def sync_class_methods(news: News) -> None:
    assert_type(News.connect("x"), News)
    assert_type(news.connect(url="x"), News)
    assert_type(News.connect_apart("x"), News)
    assert_type(news.connect_apart(url="x"), News)

    News.connect(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    news.connect()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    News.connect_apart(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    news.connect_apart()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def sync_static_methods(news: News) -> None:
    assert_type(News.count("x"), int)
    assert_type(news.count(url="x"), int)
    assert_type(News.count_apart("x"), int)
    assert_type(news.count_apart(url="x"), int)

    News.count(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    news.count()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    News.count_apart(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    news.count_apart()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def awaited_what_is_sync(news: News) -> None:
    await news.fetch(1)  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    await News.count("x")  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
