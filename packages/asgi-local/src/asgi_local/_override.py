"""Values that are set for the time of a block."""

from __future__ import annotations

from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, NamedTuple

from asgi_local._held import Mark
from asgi_local._storage import HasStorage


class _Undo(NamedTuple):
    """What leaving restores, kept among the values of the `Local`, under the override's mark.

    So it goes where the values go, across the bridge and into tasks, and where it is not,
    there is nothing to restore.
    """

    # The values before; a name that is not in here was not set.
    before: dict[Any, Any]
    # If the same override was entered before, and not left yet.
    outer: _Undo | None


class Override(AbstractContextManager[None]):
    """Sets values on entry and restores those before on exit; see `Local.override`."""

    __slots__ = ("_local", "_mark", "_values")

    def __init__(self, local: HasStorage, values: dict[str, Any]) -> None:
        # Not its storage, which may be another's once the `Local` has gone.
        self._local = local
        self._values = values
        # Not the override itself: contexts in which it is in force must not refer to it.
        self._mark = Mark()

    def __enter__(self) -> None:
        storage = self._local._asgi_local_storage
        now = storage.values()
        before = {name: now[name] for name in self._values if name in now}
        undo = _Undo(before, now.get(self._mark))
        storage.replace({**now, **self._values, self._mark: undo})

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        storage = self._local._asgi_local_storage
        values = {**storage.values()}
        undo = values.pop(self._mark, None)
        if undo is None:
            raise RuntimeError(
                f"override({', '.join(self._values)}) is not in force here, so nothing was"
                " restored: leave it in the task or thread that entered it, or in one that"
                " descends from it"
            )
        for name in self._values:
            values.pop(name, None)
        values.update(undo.before)
        if undo.outer is not None:
            values[self._mark] = undo.outer
        storage.replace(values)
