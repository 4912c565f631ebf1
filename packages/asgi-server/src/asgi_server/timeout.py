"""The timeout context manager that `asyncio.timeout` has replaced (deprecated)."""

from __future__ import annotations

import asyncio
import warnings
from types import TracebackType

__all__ = ["timeout"]


class timeout:  # noqa: N801 (named as the function that it is used like)
    """Raise `TimeoutError` in a `with` or `async with` block that takes too long.

    Deprecated: use `asyncio.timeout()`, which also can be rescheduled. Both raise the error by
    cancelling the current task, and take that one cancellation back when they do
    (`asyncio.Task.uncancel`); any other cancellation goes through.

    Args:
        timeout: Seconds that the block may take; None for no limit. With zero or less, the
            block's first wait is its last.
        loop: Ignored, as it has been since Python knows which event loop is running.

    Raises:
        RuntimeError: On entry, outside a task or inside the same block.
        TimeoutError: At the end of a block that took too long.

    Belongs to the task that enters it. Source:
    https://docs.python.org/3/library/asyncio-task.html#asyncio.timeout.
    """

    def __init__(
        self, timeout: float | None, *, loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        warnings.warn(
            "asgi_server.timeout.timeout is deprecated. Use asyncio.timeout() instead.",
            DeprecationWarning,
            stacklevel=2,
        )
        if loop is not None:
            warnings.warn(
                "The loop argument to timeout() is deprecated.", DeprecationWarning, stacklevel=2
            )
        self._timeout = timeout
        self._expired = False
        self._task: asyncio.Task[object] | None = None
        self._deadline: float | None = None
        self._expiry: asyncio.Handle | None = None
        self._cancelling_on_entry = 0

    @property
    def expired(self) -> bool:
        """True once the time has run out inside the block."""
        return self._expired

    @property
    def remaining(self) -> float | None:
        """Seconds until the time runs out, at least 0; None without a limit or before entry."""
        if self._deadline is None:
            return None
        return max(self._deadline - asyncio.get_running_loop().time(), 0.0)

    def __enter__(self) -> timeout:
        self._enter()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        self._exit(exc_val)

    async def __aenter__(self) -> timeout:
        self._enter()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        self._exit(exc_val)

    def _enter(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("timeout() should be used inside a task")
        if self._task is not None:
            raise RuntimeError("timeout() has been entered already, and not left")
        self._task = task
        self._expired = False
        self._cancelling_on_entry = task.cancelling()
        if self._timeout is None:
            return
        loop = asyncio.get_running_loop()
        self._deadline = loop.time() + self._timeout
        if self._timeout > 0:
            self._expiry = loop.call_at(self._deadline, self._expire, task)
        else:
            # A timer that is due runs after what is ready, such as the end of a `sleep(0)`.
            self._expiry = loop.call_soon(self._expire, task)

    def _expire(self, task: asyncio.Task[object]) -> None:
        self._expired = True
        task.cancel()

    def _exit(self, error: BaseException | None) -> None:
        task, self._task = self._task, None
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        if task is None or not self._expired:
            return
        # More cancellations than ours: somebody else wants the task to end, and goes first.
        alone = task.uncancel() <= self._cancelling_on_entry
        if alone and isinstance(error, asyncio.CancelledError):
            raise TimeoutError from error
