"""How application instances end that the server has told to.

| phase     | what has been done             | next                                     |
|-----------|--------------------------------|------------------------------------------|
| NOTICED   | got a last message             | CANCELLED, when the grace period is over |
| CANCELLED | its task was cancelled         | OVERDUE, when the grace period is over   |
| OVERDUE   | was reported as not ended      | nothing: it may still end                |

From any of them an instance goes when its task ends. All of it happens on the event loop.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from asgi_server._expiry import Expiry

__all__ = ["ApplicationEnd", "EndCause", "Endings"]


class EndCause(enum.Enum):
    """Why an application instance has ended.

    Attributes:
        ITSELF: It returned, raised, or was cancelled by something else than the server.
        DELETED: `delete_application_instance()` was called.
        EVICTED: It had to make room for a new one.
        OVERFLOWED: Its queue was full, and the policy is `close`.
        STOPPED: The server has ended.
    """

    ITSELF = "itself"
    DELETED = "deleted"
    EVICTED = "evicted"
    OVERFLOWED = "overflowed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class ApplicationEnd:
    """The end of one application instance.

    Attributes:
        cause: Why it has ended.
        exception: What it raised, if it did.
        cancelled: Whether its task ended as cancelled.
        overdue: Whether its grace period was over before.
        undelivered: The messages that it has not received.
    """

    cause: EndCause
    exception: BaseException | None
    cancelled: bool
    overdue: bool
    undelivered: tuple[Any, ...]


class _Phase(enum.Enum):
    NOTICED = enum.auto()
    CANCELLED = enum.auto()
    OVERDUE = enum.auto()


@dataclass(slots=True)
class _Ending:
    cause: EndCause
    phase: _Phase


class Endings:
    """The tasks that were told to end, in their phases; `on_overdue` is called with each once."""

    def __init__(
        self, grace_period: float, on_overdue: Callable[[asyncio.Task[Any]], None]
    ) -> None:
        self._on_overdue = on_overdue
        self._by_task: dict[asyncio.Task[Any], _Ending] = {}
        self._expiry: Expiry[asyncio.Task[Any]] = Expiry(grace_period, self._expire)

    def __len__(self) -> int:
        return len(self._by_task)

    def notice(
        self, task: asyncio.Task[Any], cause: EndCause, *, has_deadline: bool = True
    ) -> None:
        """Note that a last message was put for `task`, which is cancelled when it does not end.

        Args:
            task: Is running, and was not told to end.
            cause: Why it is to end.
            has_deadline: Whether it is cancelled after the grace period, or only by `cancel`.
        """
        self._by_task[task] = _Ending(cause, _Phase.NOTICED)
        if has_deadline:
            self._expiry.add(task)

    def cancel(self, task: asyncio.Task[Any], cause: EndCause) -> None:
        """Cancel `task`, unless that was done before: a second time would interrupt its clean-up.

        `cause` counts if it was not told to end before.
        """
        ending = self._by_task.get(task)
        if ending is None:
            self._by_task[task] = _Ending(cause, _Phase.CANCELLED)
        elif ending.phase is _Phase.NOTICED:
            ending.phase = _Phase.CANCELLED
            self._expiry.discard(task)
        else:
            return
        self._expiry.add(task)
        task.cancel()

    def cancel_again(self) -> None:
        """Cancel every task, those whose clean-up that interrupts included."""
        for task in self._by_task:
            task.cancel()

    def expire_all(self) -> None:
        """End the grace period of every task."""
        self._expiry.clear()
        for task in list(self._by_task):
            self._make_overdue(task)

    def pop(self, task: asyncio.Task[Any]) -> tuple[EndCause, bool]:
        """Forget `task`, which has ended. Return why, and whether it was overdue."""
        ending = self._by_task.pop(task, None)
        if ending is None:
            return EndCause.ITSELF, False
        self._expiry.discard(task)
        return ending.cause, ending.phase is _Phase.OVERDUE

    def _expire(self, task: asyncio.Task[Any]) -> None:
        if self._by_task[task].phase is _Phase.NOTICED:
            self.cancel(task, self._by_task[task].cause)
        else:
            self._make_overdue(task)

    def _make_overdue(self, task: asyncio.Task[Any]) -> None:
        ending = self._by_task[task]
        # One that is done has its done-callback run in the next iteration of the event loop.
        if ending.phase is not _Phase.OVERDUE and not task.done():
            ending.phase = _Phase.OVERDUE
            self._on_overdue(task)
