"""asgi-local with asgi-sync: data follows the bridge, and no unrelated thread sees it."""

import asyncio
import threading

import asgi_local
from asgi_local import Local
from asgi_sync import async_to_sync, sync_to_async


def check(holds: bool, what: str) -> None:
    if not holds:
        raise SystemExit(f"asgi_local: {what}")


def check_names() -> None:
    check("Local" in asgi_local.__all__, "Local is not public")
    for name in asgi_local.__all__:
        check(hasattr(asgi_local, name), f"asgi_local.{name} does not exist")


local = Local()


def read_and_set() -> str:
    seen = local.user
    local.user = "sync"
    return seen


async def through_the_bridge() -> tuple[str, str]:
    local.user = "async"
    seen = await sync_to_async(read_and_set)()
    return seen, local.user


def check_bridge() -> None:
    seen = asyncio.run(through_the_bridge())
    check(seen == ("async", "sync"), f"through sync_to_async: {seen}")
    local.user = "outside"
    check(async_to_sync(through_the_bridge)() == ("async", "sync"), "through async_to_sync")
    check(local.user == "sync", "what was set below async_to_sync did not come back")


def check_other_thread() -> None:
    local.user = "here"
    seen = []
    thread = threading.Thread(target=lambda: seen.append(getattr(local, "user", None)))
    thread.start()
    thread.join()
    check(seen == [None], "an unrelated thread sees the data of this one")


def check_delete() -> None:
    del local.user
    check(not hasattr(local, "user"), "a deleted attribute is still there")


if __name__ == "__main__":
    check_names()
    check_bridge()
    check_other_thread()
    check_delete()
