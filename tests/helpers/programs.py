"""Programs as data: trees of crossings, tasks, cancellations, contexts and exceptions.

A program is a block of sync or async code, and a block is a tuple of steps. What a step does
is told here once; `program_model` predicts what follows from it, `program_interpreter` does it.

Every step has a place in its program, the numbers of the steps and blocks on the way to it: the
second step of the first block of the program's third step is at (2, 0, 1). The two sides name
everything by its place: what was seen where, who has set a variable, who has raised an error.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TypeAlias

Place: TypeAlias = tuple[int, ...]

# What is seen at the start of a block is named by this instead of the number of a step.
START = -1
VARIABLES = 2


class Step:
    """Something that a program does; see the classes."""


Block: TypeAlias = tuple[Step, ...]


# In sync and in async code


@dataclass(frozen=True)
class SetVariable(Step):
    """Give a context variable a value of its own."""

    number: int


@dataclass(frozen=True)
class Fail(Step):
    """Raise an error; with `stop`, for sync code, StopIteration."""

    stop: bool = False


@dataclass(frozen=True)
class Try(Step):
    """Run `body`; if it raises an error, run `handler` while that is being handled."""

    body: Block
    handler: Block


# In sync code


class Loop(enum.Enum):
    """On which event loop sync code runs async code."""

    PARENT = "async_to_sync"
    NEW = "async_to_sync with force_new_loop"
    RUN = "asyncio.run"


@dataclass(frozen=True)
class CallAsync(Step):
    """Call async code and wait until it has ended."""

    body: Block
    loop: Loop = Loop.PARENT


@dataclass(frozen=True)
class SingleThread(Step):
    """Run sync code, which is below no call, in an `AsyncSingleThreadContext`."""

    body: Block


@dataclass(frozen=True)
class StrayCall(Step):
    """Wait, by means that let nobody serve, for a sensitive call that needs this thread."""


@dataclass(frozen=True)
class Busy(Step):
    """Where the task above is cancelled; go on when the caller of this function is gone."""


# In async code


@dataclass(frozen=True)
class Sleep(Step):
    """Let others run."""


@dataclass(frozen=True)
class CallSync(Step):
    """Await sync code in some thread, maybe in a given copy of the context."""

    body: Block
    sensitive: bool = True
    own_context: bool = False


@dataclass(frozen=True)
class Refused(Step):
    """Call `async_to_sync` where an event loop is running."""


class Way(enum.Enum):
    """How async code runs other async code."""

    TASKS = "create_task"
    GATHER = "gather"
    TASK_GROUP = "TaskGroup"
    WAIT_FOR = "wait_for"
    CALLBACK = "call_soon"


@dataclass(frozen=True)
class Together(Step):
    """Run blocks of async code and wait for all; raise the error of the first that has one."""

    bodies: tuple[Block, ...]
    way: Way


@dataclass(frozen=True)
class InContext(Step):
    """Run async code in a `ThreadSensitiveContext`, maybe with an executor of its own."""

    body: Block
    executor: bool = False


@dataclass(frozen=True)
class LeftBehind(Step):
    """Have async code below a sync function start a task that runs `body`, and wait for it.

    The task goes on when all above it has ended or, with `early`, at once. With `in_context`
    it is started in a `ThreadSensitiveContext` with an executor, which it outlives.
    """

    body: Block
    sensitive: bool = True
    early: bool = False
    in_context: bool = False


@dataclass(frozen=True)
class Point(Step):
    """Where the task above is cancelled: wait for that, and clean up.

    With `swallow` the cancellation ends here, as far as this code is concerned.
    """

    cleanup: Block
    swallow: bool = False


@dataclass(frozen=True)
class Queued(Step):
    """Where the task above is cancelled: await sync code whose thread is not free."""

    body: Block


@dataclass(frozen=True)
class CancelAtPoint(Step):
    """Run `body` as a task, cancel it each time it has come to its point, wait for its end.

    The point is the one `Point`, `Queued` or `Busy` that `body` holds, however deep. How the
    task ends is noted, and does not concern the code that has started it.
    """

    body: Block
    times: int = 1


@dataclass(frozen=True)
class CancelAnywhere(Step):
    """Run `body` as a task, cancel it wherever it has come to, and wait for its end."""

    body: Block
    pause: float = 0.0
    times: int = 1


@dataclass(frozen=True)
class Program:
    """A whole program, and whether its outermost layer is async."""

    body: Block
    is_async: bool
