"""An object whose attributes are local to the flow of execution."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NoReturn

from asgi_local._accessors import reserved
from asgi_local._override import Override
from asgi_local._storage import Storage, ThreadCriticalStorage
from asgi_local._types import LastReference, LocalType, own_type

__all__ = ["Local", "Schema"]


class Schema:
    """What every `Local` has, whatever its attributes: the base of typed ones.

    A class that derives from it tells type checkers the attributes of a `Local`::

        class Request(Schema):
            id: int
            user: str | None

        current = Local[Request]()

    To type checkers `current` is a `Request`, so that they find an attribute of another name
    or type. When the program runs it is a `Local` as any other: the class is not asked for
    anything, and what it may define, such as default values, does not count.

    Source: https://typing.python.org/en/latest/spec/generics.html
    """

    __slots__ = ("__weakref__", "_asgi_local_last_reference")

    _asgi_local_last_reference: LastReference
    # In the type of each `Local`.
    _asgi_local_storage: Storage

    def override(self, /, **values: Any) -> AbstractContextManager[None]:
        """Set attributes for the time of a `with` block.

        On exit, with an exception or not, each of them is what it was before: it has the
        value that it had, or is not set. That does not depend on what was done to it
        meanwhile. Other attributes are left alone.

        As with anything that is set, code below `sync_to_async` and `async_to_sync` sees the
        values, and so do tasks that are started meanwhile, which keep them. It may be entered
        on one side of the bridge and left on the other, in any order, several times, and by
        several tasks at a time.

        For more than a block, use `contextlib.ExitStack.enter_context`.

        From any thread, in and out of event loops.

        Args:
            **values: The attributes.

        Returns:
            A context manager; nothing is set before it is entered.

        Raises:
            AttributeError: One of them is needed by the object itself.
            RuntimeError: On exit, where it is not in force: in a task or thread that does not
                descend from the one that entered it. Nothing is changed then.
        """
        for name in values:
            if name in RESERVED:
                raise reserved(name)
        return Override(self, values)

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        """The names and values that are set for the code that calls, for debugging."""
        # Copied at one go: a signal handler or destructor may set an attribute any time.
        values = self._asgi_local_storage.values().copy()
        return iter([item for item in values.items() if isinstance(item[0], str)])

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *(name for name, _ in self)})

    @reprlib.recursive_repr(fillvalue="<Local ...>")
    def __repr__(self) -> str:
        kind = "Local"
        if isinstance(self._asgi_local_storage, ThreadCriticalStorage):
            kind += "(thread_critical=True)"
        values = [f"{name}={reprlib.repr(value)}" for name, value in self]
        return f"<{kind} at {id(self):#x}: {', '.join(values) or 'nothing set here'}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Local cannot be copied or pickled: what it holds depends on the place")


class Local(Schema, metaclass=LocalType):
    """Holds attributes that each thread and each task has for itself.

    A drop-in for `threading.local` that works in asyncio tasks, too, and across the
    bridge::

        request = Local()
        request.id = 7          # in a task
        await sync_to_async(handle)()     # handle() sees request.id in its thread

    What sync code below `sync_to_async`, or async code below `async_to_sync`, sets or
    deletes is so for the caller afterwards. Tasks start with what the code that creates
    them sees, and keep what they change to themselves. A thread that is not part of the
    bridge sees nothing that others have set, even where it was given their context
    (`contextvars.copy_context`, `asyncio.to_thread`, inherited contexts).

    May be used from any thread, in and out of event loops; nothing blocks. Values are
    shared as they are: an object that several tasks inherit is one and the same.

    Iterating gives the names and values that are set for the code that calls. Names that the
    object needs itself cannot be set: `override`, and the special ones that every object has,
    such as `__class__`.

    When the last reference to it has gone, so have all its values, in every thread and
    context. `Local[Schema]()` is the same, and lets type checkers know the attributes: see
    `Schema`.

    Args:
        thread_critical: True to never let a value cross to another thread. Then sync code
            sees what was set by sync code in the same thread; async code sees what was set
            by async code on the same event loop that it descends from.

    Raises:
        AttributeError: An attribute that is read or deleted is not set here, or one that
            is set is needed by the object itself.
        TypeError: A subclass is instantiated, or a `Local` is copied or pickled.

    Source: https://docs.python.org/3/library/contextvars.html
    """

    __slots__ = ()

    def __new__(cls, thread_critical: bool = False) -> Local:
        return object.__new__(own_type(bool(thread_critical), Local, RESERVED))

    def __init_subclass__(cls) -> None:
        # Whatever its own `__init__` takes. The type of a `Local` is not called.
        type.__setattr__(cls, "__new__", _refuse)

    if TYPE_CHECKING:
        # In the type of each `Local`: see `_accessors.py`.
        def __getattr__(self, name: str) -> Any: ...
        def __setattr__(self, name: str, value: Any) -> None: ...
        def __delattr__(self, name: str) -> None: ...


def _refuse(cls: type[Local], /, *args: Any, **kwargs: Any) -> NoReturn:
    raise TypeError("asgi_local.Local cannot be subclassed")


# Names of what `Local` itself has.
RESERVED = frozenset([*dir(Local), "_asgi_local_storage", "__dict__"])
