"""What both `Local` and that of asgiref 3.13 do, tried on both."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeAlias

import asgiref.local
import asgiref.sync
import pytest
from helpers.locals import in_another_thread

import asgi_local
import asgi_sync

Package: TypeAlias = tuple[Any, Any]

each_package = pytest.mark.parametrize(
    ("local_module", "bridge"),
    [(asgi_local, asgi_sync), (asgiref.local, asgiref.sync)],
    ids=["ours", "asgiref"],
)
both_kinds = pytest.mark.parametrize("critical", [False, True], ids=["plain", "critical"])


def read_missing(local: Any) -> None:
    _ = local.missing


def delete_missing(local: Any) -> None:
    del local.missing


@each_package
@both_kinds
@pytest.mark.parametrize(
    ("wrong", "error"),
    [(read_missing, AttributeError), (delete_missing, AttributeError)],
)
def test_errors_have_the_same_types(
    local_module: Any, bridge: Any, critical: bool, wrong: Callable[[Any], None], error: Any
) -> None:
    local = local_module.Local(thread_critical=critical)
    with pytest.raises(error) as raised:
        wrong(local)
    assert type(raised.value) is error


@each_package
def test_a_subclass_cannot_be_instantiated(local_module: Any, bridge: Any) -> None:
    class Derived(local_module.Local):
        pass

    with pytest.raises(TypeError, match="cannot be subclassed"):
        Derived()


def seen(local: Any) -> dict[str, Any]:
    return {name: getattr(local, name) for name in ("a", "b", "c") if hasattr(local, name)}


def change(local: Any, name: str) -> dict[str, Any]:
    before = seen(local)
    setattr(local, name, name)
    return before


def scenario(local: Any, bridge: Any) -> list[dict[str, Any]]:
    """What is seen on a way through sync and async code, tasks and threads."""
    found = []

    async def child(name: str) -> None:
        found.append(change(local, name))

    async def main() -> None:
        found.append(change(local, "b"))
        await asyncio.create_task(child("c"))
        found.append(seen(local))
        found.append(await bridge.sync_to_async(change)(local, "c"))
        found.append(seen(local))
        await bridge.sync_to_async(delattr)(local, "c")
        found.append(await bridge.sync_to_async(bridge.async_to_sync(child))("a"))
        found.append(seen(local))
        found.append(await asyncio.to_thread(seen, local))

    found.append(change(local, "a"))
    bridge.async_to_sync(main)()
    found.append(seen(local))
    found.append(in_another_thread(seen, local))
    return found


@both_kinds
def test_the_same_is_seen_on_the_same_way(critical: bool) -> None:
    ours = scenario(asgi_local.Local(critical), asgi_sync)
    assert ours == scenario(asgiref.local.Local(critical), asgiref.sync)
