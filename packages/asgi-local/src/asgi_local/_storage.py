"""Where the values of a `Local` are kept, and to whom they belong."""

from __future__ import annotations

import threading
from asyncio import _get_running_loop as running_loop_or_none
from typing import Any, Protocol
from weakref import ref

from asgi_local._held import NOTHING, HeldByContexts
from asgi_sync import Lineage, LoopUse, current_lineage, current_loop_use, ensure_lineage


class Storage(Protocol):
    """The values of one `Local`, for each place where some are set."""

    @property
    def held(self) -> HeldByContexts:
        """Those that contexts hold."""

    def values(self) -> dict[Any, Any]:
        """What is set for the code that calls: to be looked at, and copied.

        The names of attributes are keys, and there are others, which are not strings.
        """

    def replace(self, values: dict[Any, Any]) -> None:
        """Set all values at once, for the code that calls and what descends from it.

        The dict belongs to the storage then.
        """

    def empty(self) -> None:
        """Free all values, wherever they are set."""


class HasStorage(Protocol):
    """A `Local`, as the rest of the package knows it."""

    _asgi_local_storage: Storage


class ContextStorage:
    """Values that follow the program through tasks and across the bridge.

    They are kept in a context variable, with the lineage of the code that set them: where
    the context was merely copied to, in a thread that inherits one, the current lineage is
    another or none, and nothing shows.
    """

    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held = HeldByContexts(nobody=Lineage())

    def values(self) -> dict[Any, Any]:
        values, lineage = self.held.variable.get(), current_lineage()
        is_ours = lineage is not None and values.get(self.held.mark) is lineage
        return values if is_ours else NOTHING

    def replace(self, values: dict[Any, Any]) -> None:
        values[self.held.mark] = ensure_lineage()
        self.held.variable.set(values)

    def empty(self) -> None:
        self.held.empty()


class LoopStorage:
    """Values that follow the tasks of one event loop, and nothing else.

    As `ContextStorage`, but it is the loop that they belong to: a context that comes to
    another loop, or out of one, shows nothing there.
    """

    __slots__ = ("held",)

    def __init__(self) -> None:
        # Weakly: a context may last longer than the loop. This one is dead already.
        self.held = HeldByContexts(nobody=ref(LoopUse()))

    def values(self) -> dict[Any, Any]:
        values, loop = self.held.variable.get(), current_loop_use()
        owner = values.get(self.held.mark)
        is_ours = owner is not None and loop is not None and owner() is loop
        return values if is_ours else NOTHING

    def replace(self, values: dict[Any, Any]) -> None:
        loop = current_loop_use()
        assert loop is not None
        values[self.held.mark] = ref(loop)
        self.held.variable.set(values)


class ThreadCriticalStorage:
    """Values that stay in their thread, in sync code, and on their loop, in async code.

    Sync code has those of its thread, even below a task. A task has those of the tasks
    that it descends from on its loop, across the bridge too, but never a thread's.
    """

    __slots__ = ("held", "of_loops", "of_threads")

    def __init__(self) -> None:
        self.of_loops = LoopStorage()
        self.held = self.of_loops.held
        # `values` of each thread that has set any: changed in place, for nobody else has them.
        # Not of a class of our own, whose attributes take longer to look up.
        self.of_threads = threading.local()

    def values(self) -> dict[Any, Any]:
        if running_loop_or_none() is None:
            return getattr(self.of_threads, "values", NOTHING)
        return self.of_loops.values()

    def replace(self, values: dict[Any, Any]) -> None:
        if running_loop_or_none() is None:
            self.of_threads.values = values
        else:
            self.of_loops.replace(values)

    def empty(self) -> None:
        # Frees those of all threads.
        self.of_threads = threading.local()
        self.held.empty()
