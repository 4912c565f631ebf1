"""Where a thread-sensitive call runs: one ordered list of rules.

The call is made by a task; `start` is the innermost record that the task descends from.
The first record from `start` upwards decides that is

| rule | record                                    | then runs                              |
|------|-------------------------------------------|----------------------------------------|
| 1    | an `async_to_sync` call in flight         | on the thread that is blocked in it    |
| 2    | a thread-sensitive sync function in       | on a thread that the loop keeps        |
|      | flight whose thread runs this event loop  |                                        |
| 3    | another thread-sensitive sync function    | on that function's thread: when it     |
|      | in flight                                 | next blocks, or when it has ended      |
| 4    | a `ThreadSensitiveContext`                | on the context's thread, or on that of |
|      |                                           | another that was set by hand inside it |

and without any

| rule | condition                                 | then runs                              |
|------|-------------------------------------------|----------------------------------------|
| 5    | a context was set by hand                 | on the context's thread                |
| 6    | an `async_to_sync` call drives this loop  | on the thread that is blocked in it    |
| 7    | otherwise                                 | on the one shared thread               |

Rule 2 is `asyncio.run()` in thread-sensitive code, whose thread cannot run a loop and
serve it: that loop is an outermost layer of its own. In rule 3 the task was started by
async code that the function waited for and has outlived it, or by means that do not let
the function serve calls, such as `asyncio.run_coroutine_threadsafe`. If the function waits
for it by such means, it would wait for ever; see `_stalls`.

`choose` decides and does nothing else: it starts, creates and sets nothing.
"""

from __future__ import annotations

import enum
import threading
from asyncio import AbstractEventLoop
from concurrent.futures import Executor

from asgi_sync._frames import BlockedCall, Record, SensitiveScope, SyncCall


class Place(enum.Enum):
    """The kinds of answer."""

    BLOCKED_THREAD = "the thread that is blocked in async_to_sync"
    FUNCTION = "the thread of the sync function that the code descends from"
    CONTEXT = "the thread of the ThreadSensitiveContext"
    LOOP = "a thread that the event loop keeps, since its sync thread runs the loop"
    SHARED = "the one shared thread"


class Decision:
    """Where a call runs; `executor` is None where it is still to be found or made.

    `function` is `because_of` where that has to wait or to end before the call can run.
    """

    __slots__ = ("because_of", "executor", "function", "place")

    def __init__(
        self,
        place: Place,
        executor: Executor | None = None,
        because_of: Record | None = None,
        function: SyncCall | None = None,
    ) -> None:
        self.place = place
        self.executor = executor
        self.because_of = because_of
        self.function = function


# The calls that drive an event loop of their own, by that loop. Set by the thread that
# runs the loop, before and after it does.
loop_drivers: dict[AbstractEventLoop, BlockedCall] = {}


def choose(start: Record | None, loop: AbstractEventLoop | None, context: object) -> Decision:
    """Where a thread-sensitive call goes, made on `loop` by code that `start` is above.

    `context` is what the context variable for it holds there: set by hand, unless it is that of
    the innermost `SensitiveScope`.
    """
    record = start
    while record is not None:
        if record.is_relevant:
            decision = _decision_of(record, context)
            if decision is not None:
                return decision
        record = record.parent
    if context is not None:
        return BY_HAND
    driver = None if loop is None else loop_drivers.get(loop)
    if driver is not None and driver.is_open:
        return Decision(Place.BLOCKED_THREAD, driver.executor, driver)
    return SHARED


BY_HAND = Decision(Place.CONTEXT)
SHARED = Decision(Place.SHARED)


def _decision_of(record: Record, context: object) -> Decision | None:
    """What a record says, or None if it leaves the answer to those above."""
    if isinstance(record, BlockedCall):
        return Decision(Place.BLOCKED_THREAD, record.executor, record)
    if isinstance(record, SensitiveScope):
        if context is not None and context is not record.context:
            return BY_HAND
        return Decision(Place.CONTEXT, record.executor, record)
    if isinstance(record, SyncCall) and record.thread_sensitive:
        if record.thread == threading.get_ident() and record.waits_in is None:
            return Decision(Place.LOOP, because_of=record)
        return Decision(Place.FUNCTION, record.executor, record, record)
    # A sync function that is not thread-sensitive has no claim on its thread.
    return None
