"""The type that each `Local` has for itself; `_accessors.py` says why."""

from __future__ import annotations

import sys
from queue import Empty, SimpleQueue
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar, cast

from asgi_local._accessors import Accessors, of_contexts, of_threads_and_loops
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

    def __setattr__(cls, name: str, value: object) -> None:
        cls._refuse_change_of_own_type(name)
        super().__setattr__(name, value)

    def __delattr__(cls, name: str) -> None:
        cls._refuse_change_of_own_type(name)
        super().__delattr__(name)

    def _refuse_change_of_own_type(cls, name: str) -> None:
        if "_asgi_local_storage" in vars(cls):
            raise TypeError(f"cannot change {name!r} of the type of a Local, only of Local itself")


class LastReference:
    """What a `Local` refers to from when it is finalized on, and nothing else ever does.

    So it goes with the `Local`, whose type can be another one's then. The destructor of the
    `Local` itself would be too early, and so are callbacks of weak references: in a reference
    cycle all of them are called before other destructors, which may still use the `Local`, and
    even save it. This is not made before, or else it would be part of the cycle.
    """

    __slots__ = ("_own",)

    # Not of the module, which the end of the interpreter may clear before the last `Local`.
    in_use: ClassVar[set[type[Any]]] = set()
    is_finalizing = staticmethod(sys.is_finalizing)
    count = staticmethod(getattr(sys, "getrefcount", id))
    # References to it when it goes. Where they are not counted, no type is used again.
    _count_at_end: ClassVar[int] = 0

    def __init__(self, own: OwnType | None) -> None:
        self._own = own

    def __del__(self) -> None:
        references, own = self.count(self), self._own
        if own is None:
            LastReference._count_at_end = references
            return
        self.in_use.discard(own.type)
        # More of them: the `Local` was saved, and is in a cycle again.
        if references == self._count_at_end and not self.is_finalizing():
            own.storage.empty()
            own.renew()
            own.unused.put(own)


LastReference(None)


class OwnType(NamedTuple):
    """The type of one `Local` at a time."""

    type: type[Any]
    storage: Storage
    accessors: Accessors
    # Where it goes when it is not needed.
    unused: SimpleQueue[OwnType]

    def renew(self) -> None:
        """Make it what it was when it was new, whatever contexts still hold."""
        held = self.storage.held
        self.accessors.use(held.renew())
        held.is_complete()


# Together with those in use, as many as there ever were at one time.
_unused: dict[bool, SimpleQueue[OwnType]] = {False: SimpleQueue(), True: SimpleQueue()}


def own_type(thread_critical: bool, base: type[_T], reserved_names: frozenset[str]) -> type[_T]:
    """A type for one `Local`, which gives it back when it goes."""
    try:
        own = _unused[thread_critical].get_nowait()
    except Empty:
        own = _make_type(thread_critical, base, reserved_names)
    LastReference.in_use.add(own.type)
    return own.type


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

    def finalize(self: object) -> None:
        object.__setattr__(self, "_asgi_local_last_reference", last_reference(own))

    last_reference = LastReference
    namespace: dict[str, Any] = {
        "__slots__": (),
        "__doc__": base.__doc__,
        "__module__": base.__module__,
        # `type(local)` tells them apart, nothing else need.
        "__class__": property(lambda self: base),
        "__getattribute__": accessors.get,
        "__setattr__": accessors.set,
        "__delattr__": accessors.delete,
        "__del__": finalize,
        "_asgi_local_storage": storage,
    }
    type_ = LocalType(base.__name__, (base,), namespace)
    own = OwnType(type_, storage, accessors, _unused[thread_critical])
    storage.held.is_complete()
    return own
