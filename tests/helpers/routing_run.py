"""Runs the program that a `Case` describes, and notes where its sync code ran."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from asgi_sync import (
    AsyncSingleThreadContext,
    ThreadSensitiveContext,
    async_to_sync,
    sync_to_async,
)
from helpers.routing_model import CONTEXTS, Case, Layer, Outermost, When
from helpers.starts import STARTS


class Run:
    """One run of a program.

    The calls, two unless they are awaited directly, are made together. Each waits in
    `async_to_sync` until both have been made, so that a thread which could run the other one
    meanwhile, or another thread, would. No call may run beside another, or while the function
    that its thread belongs to is busy.

    Attributes:
        threads: Of each layer: that of its function or, for a context, of a call inside.
        calls: Of each call, its thread, or the error that it raised.
        overlaps: What ran at the same time as what.
        executors: Of each layer that has one.
    """

    def __init__(self, case: Case) -> None:
        self.threads: dict[int, int] = {}
        self.calls: list[int | RuntimeError] = []
        self.overlaps: list[tuple[str, str]] = []
        self.executors = {
            number: ThreadPoolExecutor(1)
            for number, layer in enumerate(case.layers)
            if layer is Layer.EXECUTOR
        }
        self._case = case
        self._start = STARTS[case.start]
        self._expected_calls = 1 if case.start == "directly" else 2
        self._started: list[Awaitable[Any]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._running: str | None = None
        self._begun = self._made = 0
        self._all_have_begun, self._may_be_made = asyncio.Event(), asyncio.Event()
        self._all_are_made, self._function_knows = asyncio.Event(), threading.Event()

    def run(self) -> None:
        """Run the program, to its end."""
        try:
            if self._case.outermost is Outermost.SYNC:
                self._run_below_sync_code()
            else:
                self._run_below_async_code()
        finally:
            for executor in self.executors.values():
                executor.shutdown()

    def _run_below_sync_code(self) -> None:
        if self._case.when is not When.AFTER_THE_OUTERMOST_CALL:
            async_to_sync(self._enter)(0)
            return
        with AsyncSingleThreadContext():
            async_to_sync(self._enter)(0)
            async_to_sync(self._finish)()

    def _run_below_async_code(self) -> None:
        with asyncio.Runner() as runner:
            runner.run(self._enter(0))
            if self._case.when is When.AFTER_THE_OUTERMOST_CALL:
                runner.run(self._finish())

    async def _enter(self, number: int) -> None:
        """Run the layers from one on; in async code."""
        case = self._case
        if number == len(case.layers):
            await self._start_calls()
            return
        layer = case.layers[number]
        if layer in CONTEXTS:
            async with ThreadSensitiveContext(executor=self.executors.get(number)):
                self.threads[number] = await sync_to_async(threading.get_ident)()
                await self._enter(number + 1)
        else:
            is_sensitive = layer is not Layer.ANY_THREAD
            await sync_to_async(self._view, thread_sensitive=is_sensitive)(number)
        if case.is_at(When.AFTER, number) or case.is_at(When.LEFT_OVER, number):
            await self._finish()

    def _view(self, number: int) -> None:
        """Run the layers below a function."""
        case, layer = self._case, self._case.layers[number]
        self.threads[number] = threading.get_ident()
        if layer is Layer.RUN:
            asyncio.run(self._enter(number + 1))
        else:
            is_new_loop = layer is Layer.NEW_LOOP
            async_to_sync(self._enter, force_new_loop=is_new_loop)(number + 1)
        if case.is_at(When.IN_NEXT_CALL, number) or case.is_at(When.LEFT_OVER, number):
            self._have_calls_made(is_sensitive=layer is Layer.VIEW)
        if case.is_at(When.IN_NEXT_CALL, number):
            async_to_sync(self._finish)()

    def _have_calls_made(self, *, is_sensitive: bool) -> None:
        """Wait, by means that do not let this thread serve, until all calls have been made."""
        assert self._loop is not None
        if not is_sensitive:
            # What runs in other threads meanwhile is none of its business.
            self._loop.call_soon_threadsafe(self._may_be_made.set)
            self._function_knows.wait()
            return
        with self._alone("the function"):
            self._loop.call_soon_threadsafe(self._may_be_made.set)
            self._function_knows.wait()

    async def _start_calls(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._started = [self._start(self._call) for _ in range(self._expected_calls)]
        if self._case.when is When.AWAITED:
            await self._finish()
        elif self._case.when is When.LOOP_ENDS:
            # One that has not begun by then never does.
            await self._all_have_begun.wait()

    async def _finish(self) -> None:
        self._may_be_made.set()
        await asyncio.gather(*self._started)

    async def _call(self) -> None:
        """Make one call, once it may be made or has to be."""
        self._begun += 1
        if self._begun == self._expected_calls:
            self._all_have_begun.set()
        try:
            await self._may_be_made.wait()
        except asyncio.CancelledError:
            if self._case.when is not When.LOOP_ENDS:
                raise
        self._made += 1
        if self._made == self._expected_calls:
            # Not before this task is suspended, which is when the call has been made.
            asyncio.get_running_loop().call_soon(self._announce)
        try:
            self.calls.append(await sync_to_async(self._sync_code)())
        except RuntimeError as error:
            self.calls.append(error)

    def _announce(self) -> None:
        self._all_are_made.set()
        self._function_knows.set()

    def _sync_code(self) -> int:
        with self._alone("a call"):
            async_to_sync(self._all_are_made.wait)()
        return threading.get_ident()

    @contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        if self._running is not None:
            self.overlaps.append((self._running, name))
        outer, self._running = self._running, name
        try:
            yield
        finally:
            self._running = outer
