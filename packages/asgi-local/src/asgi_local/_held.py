"""What contexts hold of a `Local`: values that can be taken back.

A context variable cannot be taken out of a context again, and a context may last for as long
as the program. So a `Local` that is not needed any more empties what contexts hold of it, and
leaves its context variable to the next `Local`. That one has a mark of its own: what is left
under another mark, should there be any, is not shown.

To find what they hold costs nothing as long as the `Local` is needed. (A list of weak
references would: nearly as much as all the rest of setting an attribute.) Its references tell
how often its mark is in use. What the current context holds is emptied first, and mostly that
was all; or else the garbage collector knows who refers to the mark.
"""

from __future__ import annotations

import gc
import sys
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, cast

# Read-only, for it is everybody's.
NOTHING = cast("dict[Any, Any]", MappingProxyType({}))


class Mark:
    """A key that is not the name of an attribute."""

    # Not without a slot: then the garbage collector would not look at dicts of simple values.
    __slots__ = ("__weakref__",)


class HeldByContexts:
    """The context variable of one `Local`.

    Its values are dicts, never changed once a context holds them, for the context's copies
    do, too; but when the `Local` has gone they are emptied. The keys are the attributes'
    names, marks of overrides that are in force, and `mark`, under which it says whose the
    values are.

    Args:
        nobody: What is under `mark` where nothing was ever set.
    """

    __slots__ = ("_marks_when_empty", "_nobody", "_nothing", "mark", "variable")

    def __init__(self, nobody: object) -> None:
        self.mark = Mark()
        self._nobody = nobody
        self._nothing = {self.mark: nobody}
        self.variable: ContextVar[dict[Any, Any]] = ContextVar(
            "asgi_local.values", default=self._nothing
        )
        self._marks_when_empty = 0

    def is_complete(self) -> None:
        """Now nothing is held, and all who need the mark have it."""
        self._marks_when_empty = self._count_marks()

    def renew(self) -> Mark:
        """The mark from now on, with which nothing is held by any context."""
        self.mark = Mark()
        self._nothing.clear()
        self._nothing[self.mark] = self._nobody
        return self.mark

    def empty(self) -> None:
        """Free all values, in whatever contexts they are. Nothing may be set meanwhile."""
        here = self.variable.get()
        if here is not self._nothing:
            here.clear()
        del here
        if not self._is_empty():
            # They are complete: what is under construction is in no context.
            for values in gc.get_referrers(self.mark):
                if (
                    type(values) is dict
                    # Not so where it is among the variables of a frame that somebody keeps.
                    and self.mark in values
                    and values is not self._nothing
                ):
                    values.clear()

    def _is_empty(self) -> bool:
        return 0 < self._count_marks() == self._marks_when_empty

    def _count_marks(self) -> int:
        return sys.getrefcount(self.mark) if hasattr(sys, "getrefcount") else 0
