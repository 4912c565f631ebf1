"""asgi-sync alone: every public name is there, and the two directions work."""

import asyncio
import contextvars
import importlib
import threading

import asgi_sync
from asgi_sync import (
    AsyncSingleThreadContext,
    AsyncToSync,
    SyncToAsync,
    ThreadSensitiveContext,
    async_to_sync,
    iscoroutinefunction,
    markcoroutinefunction,
    sync_to_async,
)

EXPECTED = {
    "AsyncSingleThreadContext",
    "AsyncToSync",
    "CurrentThreadExecutor",
    "SyncToAsync",
    "ThreadSensitiveContext",
    "async_to_sync",
    "iscoroutinefunction",
    "markcoroutinefunction",
    "sync_to_async",
}
SUBMODULES = ["current_thread_executor"]

request_id = contextvars.ContextVar("request_id", default=0)


def check(holds: bool, what: str) -> None:
    if not holds:
        raise SystemExit(f"asgi_sync: {what}")


def check_names() -> None:
    missing = EXPECTED - set(asgi_sync.__all__)
    check(not missing, f"not public: {sorted(missing)}")
    for module in [asgi_sync, *(importlib.import_module(f"asgi_sync.{n}") for n in SUBMODULES)]:
        for name in module.__all__:
            check(hasattr(module, name), f"{module.__name__}.{name} does not exist")
    executor = importlib.import_module("asgi_sync.current_thread_executor").CurrentThreadExecutor
    check(executor is asgi_sync.CurrentThreadExecutor, "two classes CurrentThreadExecutor")


@sync_to_async
def add_and_set(a: int, *, b: int) -> tuple[int, int]:
    request_id.set(request_id.get() + 1)
    return a + b, threading.get_ident()


async def add_by_bridge(a: int, b: int) -> tuple[int, int]:
    return await add_and_set(a, b=b)


def check_async_to_sync() -> None:
    total, thread = async_to_sync(add_by_bridge)(1, 2)
    check(total == 3, "async_to_sync returned something else")
    check(thread == threading.get_ident(), "thread-sensitive code left the outermost thread")
    check(request_id.get() == 1, "a context variable did not come back")


async def check_sync_to_async() -> None:
    main_thread = threading.get_ident()
    async with ThreadSensitiveContext():
        (_, first), (_, second) = await add_by_bridge(1, 2), await add_by_bridge(3, 4)
    check(first == second != main_thread, "ThreadSensitiveContext used more than one thread")
    parallel = sync_to_async(threading.get_ident, thread_sensitive=False)
    check(await parallel() != main_thread, "thread_sensitive=False ran on the event loop's thread")


def check_refusals() -> None:
    try:
        sync_to_async(add_by_bridge)
    except TypeError as error:
        check("only be applied to sync functions" in str(error), "another message")
    else:
        check(False, "sync_to_async took an async function")

    async def call() -> None:
        async_to_sync(add_by_bridge)(1, 2)

    try:
        asyncio.run(call())
    except RuntimeError:
        pass
    else:
        check(False, "async_to_sync blocked a thread with a running event loop")


def check_classes() -> None:
    check(isinstance(add_and_set, SyncToAsync), "sync_to_async does not give a SyncToAsync")
    check(isinstance(async_to_sync(add_by_bridge), AsyncToSync), "nor does async_to_sync")
    check(iscoroutinefunction(add_and_set), "a wrapped function is not marked as async")
    check(iscoroutinefunction(markcoroutinefunction(lambda: None)), "marking has no effect")
    with AsyncSingleThreadContext():
        check(async_to_sync(add_by_bridge)(1, 2)[0] == 3, "AsyncSingleThreadContext")


if __name__ == "__main__":
    check_names()
    check_async_to_sync()
    asyncio.run(check_sync_to_async())
    check_refusals()
    check_classes()
