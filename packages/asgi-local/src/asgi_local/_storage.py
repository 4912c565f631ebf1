"""Where the attributes of a `Local` are kept, and to whom they belong."""

from __future__ import annotations

import threading
import weakref
from asyncio import AbstractEventLoop
from collections.abc import Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, NamedTuple

from asgi_sync import Lineage, LoopUse, current_lineage, current_loop_use, ensure_lineage

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class _OfLoop(NamedTuple):
    loop: weakref.ref[AbstractEventLoop | LoopUse]
    values: Mapping[str, Any]


class _Owned(NamedTuple):
    lineage: Lineage
    values: Mapping[str, Any]


class ContextStorage:
    """Values that follow the program through tasks and across the bridge.

    They are kept in a context variable, with the lineage of the code that set them: where
    the context was merely copied to, in a thread that inherits one, the current lineage is
    another or none, and nothing shows.

    A mapping is never changed once it is set, so the contexts that share one cannot
    disturb each other: setting and deleting make a new one.
    """

    __slots__ = ("_owned",)

    def __init__(self) -> None:
        self._owned: ContextVar[_Owned | None] = ContextVar("asgi_local.values", default=None)

    def values(self) -> Mapping[str, Any]:
        """What is set for the code that calls."""
        owned = self._owned.get()
        if owned is None or owned.lineage is not current_lineage():
            return _NOTHING
        return owned.values

    def replace(self, values: Mapping[str, Any]) -> None:
        """Set all values at once, for the code that calls and what descends from it."""
        self._owned.set(_Owned(ensure_lineage(), values))


class LoopStorage:
    """Values that follow the tasks of one event loop, and nothing else.

    As `ContextStorage`, but it is the loop that they belong to: a context that comes to
    another loop, or out of one, shows nothing there.
    """

    __slots__ = ("_owned",)

    def __init__(self) -> None:
        self._owned: ContextVar[_OfLoop | None] = ContextVar("asgi_local.values", default=None)

    def values(self) -> Mapping[str, Any]:
        """What is set for the task that calls."""
        owned = self._owned.get()
        if owned is None or owned.loop() is not current_loop_use():
            return _NOTHING
        return owned.values

    def replace(self, values: Mapping[str, Any]) -> None:
        """Set all values at once, for the task that calls and what descends from it."""
        loop = current_loop_use()
        if loop is None:
            raise RuntimeError("no running event loop")
        # Weakly: a context may last longer than the loop.
        self._owned.set(_OfLoop(weakref.ref(loop), values))


class ThreadStorage(threading.local):
    """Values of one thread, which no other code ever sees."""

    def __init__(self) -> None:
        self._values: Mapping[str, Any] = _NOTHING

    def values(self) -> Mapping[str, Any]:
        """What is set in this thread."""
        return self._values

    def replace(self, values: Mapping[str, Any]) -> None:
        """Set all values of this thread at once."""
        self._values = values


class ThreadCriticalStorage:
    """Values that stay in their thread, in sync code, and on their loop, in async code.

    Sync code has those of its thread, even below a task. A task has those of the tasks
    that it descends from on its loop, across the bridge too, but never a thread's.
    """

    __slots__ = ("_in_async_code", "_in_sync_code")

    def __init__(self) -> None:
        self._in_async_code = LoopStorage()
        self._in_sync_code = ThreadStorage()

    def values(self) -> Mapping[str, Any]:
        """What is set for the code that calls."""
        return self._here().values()

    def replace(self, values: Mapping[str, Any]) -> None:
        """Set all values at once, for the code that calls."""
        self._here().replace(values)

    def _here(self) -> LoopStorage | ThreadStorage:
        in_sync_code = current_loop_use() is None
        return self._in_sync_code if in_sync_code else self._in_async_code
