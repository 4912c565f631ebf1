"""What crosses the bridge with a call: context variables and the handled exception."""

from __future__ import annotations

import sys
from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context, Token, copy_context
from gc import get_referents
from types import TracebackType
from typing import Any, ParamSpec, TypeAlias, TypeVar

from asgi_sync._frames import Record, innermost
from asgi_sync._lineage import LoopUse, Passage, has_home, settle_lineage

_P = ParamSpec("_P")
_R = TypeVar("_R")

ExcInfo: TypeAlias = (
    tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
)

_MISSING: Any = object()


class Crossing(Passage):
    """The state of a context that is on the far side of the bridge.

    Made on the near side; the rest runs on the far side, inside the context, and leaves no
    trace of the bridge in it.
    """

    __slots__ = ("_token", "_variables", "has_changed")

    def __init__(self, loop: AbstractEventLoop | LoopUse | None) -> None:
        super().__init__(loop)
        self._token: Token[Record | None] | None = None
        self._variables: Sequence[object] = ()
        # Whether any variable was set meanwhile. Known after `exit`.
        self.has_changed = True

    @property
    def has_begun(self) -> bool:
        """Whether the context was entered."""
        return self._token is not None

    def enter(self, record: Record) -> None:
        """Place the code that is about to run below `record`."""
        self._token = innermost.set(record)
        self.arrive()
        self._variables = get_referents(copy_context())

    def exit(self) -> None:
        """Undo `enter`, so that only what the code itself changed is left."""
        before, after = self._variables, get_referents(copy_context())
        # See `CopiedContext`.
        self.has_changed = len(after) != 1 or after[0] is not before[0]
        self._variables = ()
        if self.has_changed or self.has_moved:
            self.leave()
        if self._token is not None:
            innermost.reset(self._token)

    def call(
        self, record: Record, func: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs
    ) -> _R:
        """Call `func` between `enter` and `exit`."""
        __traceback_hide__ = True
        self.enter(record)
        try:
            return func(*args, **kwargs)
        finally:
            self.exit()
            # An error's traceback holds this frame, and with it what it refers to.
            del func, args, kwargs


class CopiedContext:
    """A copy of the caller's context, for code that is placed below a record.

    Where the caller has no lineage there is nothing to be done on the far side: `run` is
    that of the context itself.
    """

    __slots__ = ("_variables", "context", "run")

    def __init__(self, record: Record) -> None:
        self.context = context = copy_context()
        self.run: Callable[..., Any] = context.run
        context.run(innermost.set, record)
        # A context keeps its variables in one immutable mapping, which its copies share, and
        # which nothing shows but the garbage collector. The same mapping says that none was
        # set. So a call need not look at each, of which tracing agents set many.
        self._variables = get_referents(context)

    def bring_back(self) -> None:
        """Set in the caller's context what was set in the copy."""
        variables = get_referents(self.context)
        # Other implementations of Python may keep them otherwise, or show nothing.
        if len(variables) != 1 or variables[0] is not self._variables[0]:
            had_home = has_home()
            bring_back(self.context)
            # One that there was before has been seen to by a `Passage`; it may be elsewhere.
            if not had_home:
                settle_lineage()


class EnteredContext(Crossing):
    """A context that belongs to others, or has a lineage: left as it was entered."""

    __slots__ = ("_record", "context")

    def __init__(
        self, context: Context, record: Record, loop: AbstractEventLoop | LoopUse | None
    ) -> None:
        super().__init__(loop)
        self.context = context
        self._record = record

    def run(self, func: Callable[..., _R], /, *args: Any, **kwargs: Any) -> _R:
        """Call `func` in the context; RuntimeError if that is in use elsewhere."""
        __traceback_hide__ = True
        try:
            # All in one `context.run`, which refuses before anything has been changed in it.
            return self.context.run(self.call, self._record, func, *args, **kwargs)
        except RuntimeError as error:
            if self.has_begun:
                raise
            raise RuntimeError(
                f"{self._record.name} cannot run in the context= that it was given, which is"
                " already entered by another call; give each of them a copy of its own, made"
                " with context.copy()"
            ) from error
        finally:
            # An error's traceback holds this frame, and with it what it refers to.
            del func, args, kwargs, self

    def bring_back(self) -> None:
        """Set in the caller's context what was set in this one."""
        if self.has_changed:
            bring_back(self.context)


def bring_back(context: Context) -> None:
    """Set the variables that were changed in `context` in the current one, too.

    Changed means another object: a value may have any notion of equality, or none.
    """
    for variable, value in context.items():
        if variable.get(_MISSING) is not value and variable is not innermost:
            variable.set(value)


def call_while_handling(
    error: BaseException, func: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs
) -> _R:
    """Call `func` with `error` as what `sys.exc_info()` shows there.

    Only raising makes it so. That adds this frame to the error's traceback and may set
    its context, though the error is the caller's, in another thread: both are undone
    before anything else runs.
    """
    __traceback_hide__ = True
    context = error.__context__
    try:
        raise error
    except BaseException:
        _undo_raise(error, context)
        del context, error
        return func(*args, **kwargs)


async def await_while_handling(error: BaseException, awaitable: Awaitable[_R]) -> _R:
    """Await with `error` as what `sys.exc_info()` shows; see `call_while_handling`."""
    __traceback_hide__ = True
    context = error.__context__
    try:
        raise error
    except BaseException:
        _undo_raise(error, context)
        del context, error
        return await awaitable


def _undo_raise(error: BaseException, context: BaseException | None) -> None:
    """Take the frame of the function that calls out of the traceback of `error`.

    The entry is looked up, instead of putting back what was there before: several tasks may
    handle one error, and their calls raise it in several threads at a time.
    """
    raised_in = sys._getframe(1)
    traceback = error.__traceback__
    if traceback is not None and traceback.tb_frame is raised_in:
        error.__traceback__ = traceback.tb_next
    while traceback is not None:
        following = traceback.tb_next
        if following is not None and following.tb_frame is raised_in:
            traceback.tb_next = following.tb_next
        traceback = following
    if error.__context__ is not context:
        error.__context__ = context
