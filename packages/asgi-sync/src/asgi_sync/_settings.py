"""How many threads the bridge may use, for the whole process and all event loops."""

from __future__ import annotations

from typing import Literal, NamedTuple

from asgi_sync._bounded_executor import any_thread_executor
from asgi_sync._thread_limits import context_limit

__all__ = ["ThreadLimits", "get_thread_limits", "set_thread_limits"]


class ThreadLimits(NamedTuple):
    """How many threads may be in use at once, other than those blocked in `async_to_sync`."""

    pool: int
    """For calls with `thread_sensitive=False` and no executor of their own."""

    contexts: int | None
    """For `ThreadSensitiveContext`s without an executor of their own; None for no limit."""


def get_thread_limits() -> ThreadLimits:
    """The limits in force, as `set_thread_limits` takes them. Any thread."""
    return ThreadLimits(any_thread_executor.max_workers, context_limit.maximum)


def set_thread_limits(
    *, pool: int | None = None, contexts: int | Literal["unlimited"] | None = None
) -> ThreadLimits:
    """Set how many threads may be in use at once; what is not given stays as it is.

    Calls beyond a limit wait, first come, first served. A thread that is blocked in
    `async_to_sync` does not count, since what it waits for may need another one; so there
    may be more for a while. A context counts from its first call until it is left, also
    while it does nothing: one that waits for another context must not be limited.

    From any thread, at any time: more room is used at once, less when threads come free.

    Args:
        pool: For calls with `thread_sensitive=False`. At first the bound of
            `concurrent.futures.ThreadPoolExecutor`.
        contexts: For `ThreadSensitiveContext`s. At first "unlimited".

    Returns:
        The limits that were in force before.

    Raises:
        ValueError: A limit is less than 1, or not a number.

    Source: https://docs.python.org/3/library/concurrent.futures.html#threadpoolexecutor
    """
    before = get_thread_limits()
    if pool is not None:
        _check("pool", pool)
    if contexts is not None and contexts != "unlimited":
        _check("contexts", contexts)
    if pool is not None:
        any_thread_executor.max_workers = pool
    if contexts is not None:
        context_limit.maximum = None if contexts == "unlimited" else contexts
    return before


def _check(name: str, limit: object) -> None:
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise ValueError(f"{name} must be a number of threads, at least 1, not {limit!r}")
