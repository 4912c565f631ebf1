"""An object whose attributes are local to the flow of execution."""

from __future__ import annotations

from typing import Any

from asgi_local._storage import ContextStorage, ThreadCriticalStorage

__all__ = ["Local"]

_STORAGE = "_asgi_local_storage"


class Local:
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

    Args:
        thread_critical: True to never let a value cross to another thread. Then sync code
            sees what was set by sync code in the same thread; async code sees what was set
            by async code on the same event loop that it descends from.

    Raises:
        AttributeError: An attribute that is read or deleted is not set here, or one that
            is set is needed by the object itself.
        TypeError: A subclass is instantiated.

    Source: https://docs.python.org/3/library/contextvars.html
    """

    __slots__ = ("__weakref__", _STORAGE)

    _asgi_local_storage: ContextStorage | ThreadCriticalStorage

    def __init__(self, thread_critical: bool = False) -> None:
        if type(self) is not Local:
            raise TypeError("asgi_local.Local cannot be subclassed")
        storage = ThreadCriticalStorage() if thread_critical else ContextStorage()
        object.__setattr__(self, _STORAGE, storage)

    def __getattr__(self, name: str) -> Any:
        values = self._asgi_local_storage.values()
        if name not in values:
            raise _missing(name)
        return values[name]

    def __setattr__(self, name: str, value: Any) -> None:
        if hasattr(Local, name):
            raise AttributeError(f"Cannot set attribute {name!r} on Local: it has a use of its own")
        storage = self._asgi_local_storage
        storage.replace({**storage.values(), name: value})

    def __delattr__(self, name: str) -> None:
        storage = self._asgi_local_storage
        values = storage.values()
        if name not in values:
            raise _missing(name)
        storage.replace({key: value for key, value in values.items() if key != name})


def _missing(name: str) -> AttributeError:
    return AttributeError(f"'Local' object has no attribute {name!r} here")
