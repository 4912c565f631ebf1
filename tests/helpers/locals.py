"""What tests of `Local` do to it, in one place or another."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from asgi_local import Local

both_kinds = pytest.mark.parametrize("thread_critical", [False, True], ids=["plain", "critical"])


class Value:
    """Can be weakly referenced."""


def in_another_thread(function: Any, *args: Any) -> Any:
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(function, *args).result()


def value_of(local: Local) -> Any:
    return getattr(local, "value", None)


async def value_in_async_code(local: Local) -> Any:
    return value_of(local)


async def set_in_async_code(local: Local, value: Any) -> None:
    local.value = value


def set_new_value(local: Local) -> weakref.ref[Value]:
    """Sets an object that nothing else refers to."""
    local.value = value = Value()
    return weakref.ref(value)


@contextmanager
def no_garbage_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
