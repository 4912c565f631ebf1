"""How attributes are read, set and deleted: three functions, made for each `Local`.

**Goal.** Reading an attribute takes at most four times what it takes of a `threading.local`,
which is 140 ns on Python 3.11 (`hatch run bench:run --group local`), and yet shows only what
was set in the current lineage.

**What is too slow there.** A `__getattr__` that is called after the look-up of the language
has failed: 500 ns. In `__getattribute__`, which alone takes 46 ns, any access to a slot of the
object itself (`object.__getattribute__`: 80 ns), a second function of ours (25 ns), and asking
which thread this is in the usual ways (see `asgi_sync.Home`).

**So** what belongs to one `Local` is in the cells of functions that are made for it, and these
are looked up by the language in the type of the object: each `Local` has a type of its own.
A type is part of reference cycles, and takes 20 us to make: that of a `Local` that has gone is
used for another one (`_types.py`).

Each function has a fast path, right in nearly all cases, which shows nothing that the exact
one, `Storage.values`, would not. That one is for what is not set here, for code on an event
loop that another thread began to run, and for tasks of `async_to_sync` if thread-critical.
"""

from __future__ import annotations

from asyncio import _get_running_loop as running_loop_or_none
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from asgi_local._held import Mark
from asgi_local._storage import ContextStorage, LoopStorage, Storage, ThreadCriticalStorage
from asgi_sync import current_home

Getter: TypeAlias = Callable[[Any, str], Any]
Setter: TypeAlias = Callable[[Any, str, Any], None]
Deleter: TypeAlias = Callable[[Any, str], None]


class Accessors(NamedTuple):
    """The methods of the type of one `Local` by which the language reaches its attributes."""

    get: Getter
    set: Setter
    delete: Deleter

    def use(self, mark: Mark) -> None:
        """Look for values under that mark from now on."""
        function: Any
        for function in self:
            index = function.__code__.co_freevars.index("mark")
            function.__closure__[index].cell_contents = mark


def look_further(local: object, storage: Storage, name: str) -> Any:
    """The value of an attribute that is not to be had fast, if it has any."""
    values = storage.values()
    # What every `Local` has, or AttributeError.
    return values[name] if name in values else object.__getattribute__(local, name)


def reserved(name: str) -> AttributeError:
    """The error of an attribute that cannot be set, as the `Local` itself has it."""
    return AttributeError(f"cannot set {name!r}: a Local has a use of its own for that name")


def delete_exactly(storage: Storage, name: str) -> None:
    """Delete an attribute that is not to be deleted fast, if it is set."""
    values = {**storage.values()}
    if name not in values:
        raise AttributeError(f"'Local' object has no attribute {name!r}")
    del values[name]
    storage.replace(values)


# What follows the program


def of_contexts(storage: ContextStorage, reserved_names: frozenset[str]) -> Accessors:
    """The accessors of a `Local` whose values follow the program."""
    return Accessors(
        _get_of_contexts(storage),
        _set_of_contexts(storage, reserved_names),
        _delete_of_contexts(storage),
    )


def _get_of_contexts(storage: ContextStorage) -> Getter:
    mark, held = storage.held.mark, storage.held.variable.get

    def get(self: object, name: str) -> Any:
        values, home = held(), current_home()
        try:
            # The lineage that the values belong to is the current one.
            if values[mark] is home.lineage and home.thread._is_owned():
                return values[name]
        except KeyError:
            pass
        return look_further(self, storage, name)

    return get


def _set_of_contexts(storage: ContextStorage, reserved_names: frozenset[str]) -> Setter:
    mark, variable = storage.held.mark, storage.held.variable
    held, hold = variable.get, variable.set

    def set(self: object, name: str, value: Any) -> None:
        if name in reserved_names:
            raise reserved(name)
        values, home = held(), current_home()
        try:
            if (
                values[mark] is home.lineage
                and home.thread._is_owned()
                # It is at home on an event loop, or on none: see `ensure_lineage`.
                and (home.loop is not None or running_loop_or_none() is None)
            ):
                values = values.copy()
                values[name] = value
                hold(values)
                return
        except KeyError:
            pass
        storage.replace({**storage.values(), name: value})

    return set


def _delete_of_contexts(storage: ContextStorage) -> Deleter:
    mark, variable = storage.held.mark, storage.held.variable
    held, hold = variable.get, variable.set

    def delete(self: object, name: str) -> None:
        values, home = held(), current_home()
        try:
            if (
                values[mark] is home.lineage
                and home.thread._is_owned()
                and (home.loop is not None or running_loop_or_none() is None)
            ):
                values = values.copy()
                del values[name]
                hold(values)
                return
        except KeyError:
            pass
        delete_exactly(storage, name)

    return delete


# What never crosses to another thread


def of_threads_and_loops(
    storage: ThreadCriticalStorage, reserved_names: frozenset[str]
) -> Accessors:
    """The accessors of a `Local` whose values never cross to another thread."""
    of_loops = storage.of_loops
    return Accessors(
        _get_of_threads_and_loops(storage, of_loops),
        _set_of_threads_and_loops(storage, of_loops, reserved_names),
        _delete_of_threads_and_loops(storage, of_loops),
    )


def _get_of_threads_and_loops(storage: ThreadCriticalStorage, of_loops: LoopStorage) -> Getter:
    mark, held = of_loops.held.mark, of_loops.held.variable.get

    def get(self: object, name: str) -> Any:
        try:
            loop = running_loop_or_none()
            if loop is None:
                return storage.of_threads.values[name]
            values = held()
            # Not so where the loop has several uses: see `current_loop_use`.
            if values[mark]() is loop:
                return values[name]
        except (KeyError, AttributeError):
            # AttributeError: nothing was ever set in this thread.
            pass
        return look_further(self, storage, name)

    return get


def _set_of_threads_and_loops(
    storage: ThreadCriticalStorage, of_loops: LoopStorage, reserved_names: frozenset[str]
) -> Setter:
    mark, variable = of_loops.held.mark, of_loops.held.variable
    held, hold = variable.get, variable.set

    def set(self: object, name: str, value: Any) -> None:
        if name in reserved_names:
            raise reserved(name)
        try:
            loop = running_loop_or_none()
            if loop is None:
                storage.of_threads.values[name] = value
                return
            values = held()
            if values[mark]() is loop:
                values = values.copy()
                values[name] = value
                hold(values)
                return
        except (KeyError, AttributeError):
            pass
        storage.replace({**storage.values(), name: value})

    return set


def _delete_of_threads_and_loops(storage: ThreadCriticalStorage, of_loops: LoopStorage) -> Deleter:
    mark, variable = of_loops.held.mark, of_loops.held.variable
    held, hold = variable.get, variable.set

    def delete(self: object, name: str) -> None:
        try:
            loop = running_loop_or_none()
            if loop is None:
                del storage.of_threads.values[name]
                return
            values = held()
            if values[mark]() is loop:
                values = values.copy()
                del values[name]
                hold(values)
                return
        except (KeyError, AttributeError):
            pass
        delete_exactly(storage, name)

    return delete
