"""The type that each `Local` has for itself; `_accessors.py` says why."""

from __future__ import annotations

import itertools
import sys
from queue import Empty, SimpleQueue
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar, cast

from asgi_local._accessors import of_contexts, of_threads_and_loops
from asgi_local._storage import ContextStorage, Storage, ThreadCriticalStorage

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)


class MakesLocal(Protocol[_T_co]):
    """What `Local[Schema]` is to type checkers."""

    def __call__(self, thread_critical: bool = False) -> _T_co: ...


class LocalType(type):
    """The type of `Local`, which can be indexed."""

    def __getitem__(cls, schema: type[_T]) -> MakesLocal[_T]:
        """The class itself; type checkers take what it makes for an instance of `schema`."""
        return cast("MakesLocal[_T]", cls)


class LastReference(int):
    """The number of one `Local`, to which nothing else refers: so it dies with it.

    Neither `Local.__del__` nor a callback of a weak reference would do. In a reference cycle
    both are called before destructors that may still use the `Local`, whose type another one
    must not have by then. An integer is no part of a cycle, and is let go of after them.
    """

    __slots__ = ()

    # Not of the module, which the end of the interpreter may clear before the last `Local`.
    in_use: ClassVar[dict[int, OwnType]] = {}
    is_finalizing = staticmethod(sys.is_finalizing)

    def __del__(self) -> None:
        own = self.in_use.pop(int(self))
        if not self.is_finalizing() and own.storage.empty():
            own.unused.put(own)


class OwnType(NamedTuple):
    """The type of one `Local` at a time."""

    type: type[Any]
    storage: Storage
    # Where it goes when it is not needed.
    unused: SimpleQueue[OwnType]


_numbers = itertools.count()
# Together with those in use, as many as there ever were at one time.
_unused: dict[bool, SimpleQueue[OwnType]] = {False: SimpleQueue(), True: SimpleQueue()}


def own_type(
    thread_critical: bool, base: type[_T], reserved_names: frozenset[str]
) -> tuple[type[_T], LastReference]:
    """A type for one `Local`, and what gives it back when that is dropped with the object."""
    unused = _unused[thread_critical]
    try:
        own = unused.get_nowait()
    except Empty:
        own = _make_type(thread_critical, base, reserved_names)
    number = next(_numbers)
    LastReference.in_use[number] = own
    return own.type, LastReference(number)


def _make_type(
    thread_critical: bool, base: type[object], reserved_names: frozenset[str]
) -> OwnType:
    storage: ContextStorage | ThreadCriticalStorage
    if thread_critical:
        storage = ThreadCriticalStorage()
        accessors = of_threads_and_loops(storage, reserved_names)
    else:
        storage = ContextStorage()
        accessors = of_contexts(storage, reserved_names)
    storage.is_complete()
    namespace: dict[str, Any] = {
        "__slots__": (),
        "__doc__": base.__doc__,
        "__module__": base.__module__,
        # `type(local)` tells them apart, nothing else need.
        "__class__": property(lambda self: base),
        "__getattribute__": accessors.get,
        "__setattr__": accessors.set,
        "__delattr__": accessors.delete,
        "_asgi_local_storage": storage,
    }
    type_ = LocalType(base.__name__, (base,), namespace)
    return OwnType(type_, storage, _unused[thread_critical])
