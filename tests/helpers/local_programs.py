"""Random programs that use Locals, each run with a model at its side.

A program is a tree: some steps have steps below them, which run in a task, on the other side of
the bridge, in another thread, in a copy of the context, on a loop that moves, in an override.
Tasks and threads run beside what comes next and may outlive who started them.

The model is `Flow`: dicts that are handed on explicitly, shared where a value must be seen and
copied or left out where it must not be. There is one for each flow of execution, so that how
flows interleave does not matter to it.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from hypothesis import strategies as st

from asgi_local import Local
from asgi_sync import async_to_sync, sync_to_async

LOCALS = 4
NAMES = ["a", "b"]


@dataclass(frozen=True)
class Set:
    local: int
    name: str


@dataclass(frozen=True)
class Delete:
    local: int
    name: str


@dataclass(frozen=True)
class Override:
    local: int
    names: tuple[str, ...]
    steps: Steps


@dataclass(frozen=True)
class Cross:
    """Go to the other side of the bridge and come back."""

    thread_sensitive: bool
    steps: Steps


@dataclass(frozen=True)
class Task:
    """Start a task; in sync code, do the same in place."""

    steps: Steps


@dataclass(frozen=True)
class Copy:
    """Run sync code in a copy of the context, in this thread."""

    steps: Steps


@dataclass(frozen=True)
class Thread:
    """Start a thread, with a copy of the context or without."""

    inherits: bool
    steps: Steps


@dataclass(frozen=True)
class ToThread:
    """`asyncio.to_thread`; in sync code, a thread that inherits the context."""

    steps: Steps


@dataclass(frozen=True)
class MovedLoop:
    """A new event loop that this thread begins to run, and another one goes on with."""

    before: Steps
    after: Steps


Step: TypeAlias = Set | Delete | Override | Cross | Task | Copy | Thread | ToThread | MovedLoop
Steps: TypeAlias = tuple[Step, ...]

_places = {"local": st.integers(0, LOCALS - 1), "name": st.sampled_from(NAMES)}
_changes = st.builds(Set, **_places) | st.builds(Set, **_places) | st.builds(Delete, **_places)


def _steps(step: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(step, min_size=1, max_size=4).map(tuple)


def _with_steps(step: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    below = _steps(step)
    names = st.sets(st.sampled_from(NAMES)).map(sorted).map(tuple)
    return st.one_of(
        st.builds(Override, local=_places["local"], names=names, steps=below),
        st.builds(Cross, thread_sensitive=st.booleans(), steps=below),
        st.builds(Cross, thread_sensitive=st.booleans(), steps=below),
        st.builds(Task, steps=below),
        st.builds(Copy, steps=below),
        st.builds(Thread, inherits=st.booleans(), steps=below),
        st.builds(ToThread, steps=below),
        st.builds(MovedLoop, before=below, after=below),
    )


def local_programs() -> st.SearchStrategy[Steps]:
    return _steps(st.recursive(_changes, _with_steps, max_leaves=20))


Values: TypeAlias = list[dict[str, int]]


def _no_values() -> Values:
    return [{} for _ in range(LOCALS)]


def _copy(values: Values) -> Values:
    return [dict(of_local) for of_local in values]


class ThreadModel(threading.local):
    """What each thread has of the thread-critical Locals."""

    def __init__(self) -> None:
        self.critical = _no_values()


@dataclass
class LoopModel:
    """An event loop, and the tasks that are started on it."""

    tasks: list[asyncio.Task[None]] = field(default_factory=list)


@dataclass
class Flow:
    """What one flow of execution must see, and where it is.

    Attributes:
        plain: The values of the plain Locals.
        critical: Those of the thread-critical ones in async code.
        loop: The event loop of async code, or that sync code is called from.
        is_async: A loop is running in its thread.
    """

    plain: Values = field(default_factory=_no_values)
    critical: Values = field(default_factory=_no_values)
    loop: LoopModel | None = None
    is_async: bool = False

    def child(self) -> Flow:
        return Flow(_copy(self.plain), _copy(self.critical), self.loop, self.is_async)

    def across(self, *, is_async: bool, loop: LoopModel | None) -> Flow:
        """The other side: the same plain values; the critical ones of a loop if it is the same."""
        critical = self.critical if loop is self.loop else _no_values()
        return Flow(self.plain, critical, loop, is_async)


class Run:
    """One program, running."""

    def __init__(self) -> None:
        # Every second one is thread-critical.
        self.locals = [Local(thread_critical=bool(n % 2)) for n in range(LOCALS)]
        self.differences: list[str] = []
        self._threads: list[threading.Thread] = []
        self._in_thread = ThreadModel()
        self._values = iter(range(1_000_000))

    def run(self, program: Steps) -> None:
        """Run it in a thread and a context of its own, up to its last task and thread."""
        self._start_thread(lambda: self._guarded(self.sync_steps, program, Flow()))
        while self._threads:
            self._threads.pop().join()

    def _start_thread(self, target: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=target)
        thread.start()
        # Whoever calls has not been joined yet, so nobody misses it.
        self._threads.append(thread)
        return thread

    def _guarded(self, function: Callable[..., None], *args: Any) -> None:
        try:
            function(*args)
        except BaseException as error:
            self.differences.append(f"raised {error!r}")

    # What the model says of the place where this runs

    def _model(self, flow: Flow, local: int) -> dict[str, int]:
        if not local % 2:
            return flow.plain[local]
        return flow.critical[local] if flow.is_async else self._in_thread.critical[local]

    def _compare(self, flow: Flow, step: object) -> None:
        for number, local in enumerate(self.locals):
            expected = self._model(flow, number)
            by_name = {n: getattr(local, n) for n in NAMES if hasattr(local, n)}
            if not dict(local) == by_name == expected:
                self.differences.append(
                    f"Local {number} has {dict(local)}, {by_name}, not {expected}, after {step}"
                )

    # Steps that are the same in sync and in async code; whether it was one

    def _simple(self, step: Step, flow: Flow) -> bool:
        match step:
            case Set(number, name):
                value = next(self._values)
                setattr(self.locals[number], name, value)
                self._model(flow, number)[name] = value
            case Delete(number, name):
                self._delete(number, name, self._model(flow, number))
            case Copy(steps):
                copy = flow.child()
                contextvars.copy_context().run(self.sync_steps, steps, copy)
            case Thread(inherits, steps):
                context = contextvars.copy_context() if inherits else contextvars.Context()
                self._start_thread(
                    lambda: context.run(self._guarded, self.sync_steps, steps, Flow())
                )
            case _:
                return False
        return True

    def _delete(self, number: int, name: str, model: dict[str, int]) -> None:
        try:
            delattr(self.locals[number], name)
        except AttributeError:
            if name in model:
                self.differences.append(f"Local {number}: {name!r} could not be deleted")
        else:
            if model.pop(name, None) is None:
                self.differences.append(f"Local {number}: {name!r} was there to be deleted")

    def _enter(self, step: Override, flow: Flow) -> tuple[Any, Callable[[], None]]:
        """The context manager, and what leaving it is to the model."""
        values = {name: next(self._values) for name in step.names}
        before = dict(self._model(flow, step.local))

        def leave() -> None:
            model = self._model(flow, step.local)
            for name in step.names:
                model.pop(name, None)
                if name in before:
                    model[name] = before[name]

        manager = self.locals[step.local].override(**values)
        manager.__enter__()
        self._model(flow, step.local).update(values)
        return manager, leave

    # Sync code

    def sync_steps(self, steps: Steps, flow: Flow) -> None:
        self._compare(flow, "start")
        for step in steps:
            if not self._simple(step, flow):
                self._sync_step(step, flow)
            self._compare(flow, step)

    def _sync_step(self, step: Step, flow: Flow) -> None:
        match step:
            case Override(steps=steps):
                manager, leave = self._enter(step, flow)
                self.sync_steps(steps, flow)
                manager.__exit__(None, None, None)
                leave()
            case Cross(steps=steps) if not flow.is_async:
                loop = flow.loop or LoopModel()
                far = flow.across(is_async=True, loop=loop)
                async_to_sync(self._on_loop)(steps, far, awaits_tasks=flow.loop is None)
            case ToThread(steps):
                context = contextvars.copy_context()
                self._start_thread(
                    lambda: context.run(self._guarded, self.sync_steps, steps, Flow())
                ).join()
            case MovedLoop(before, after) if not flow.is_async:
                self._move_loop(before, after, flow)
            case Cross(steps=steps) | Task(steps):
                self.sync_steps(steps, flow)
            case _:
                pass

    def _move_loop(self, before: Steps, after: Steps, flow: Flow) -> None:
        far = Flow(_copy(flow.plain), _no_values(), LoopModel(), is_async=True)
        loop, has_moved = asyncio.new_event_loop(), asyncio.Event()

        async def main() -> None:
            # Code that sets something is at home on its loop.
            await self.async_steps((Set(0, "a"), *before), far)
            loop.stop()
            await has_moved.wait()
            await self._on_loop(after, far, awaits_tasks=True)

        def go_on() -> None:
            has_moved.set()
            loop.run_until_complete(task)

        task = loop.create_task(main())
        try:
            loop.run_forever()
            self._start_thread(lambda: self._guarded(go_on)).join()
        finally:
            loop.close()

    # Async code

    async def _on_loop(self, steps: Steps, flow: Flow, *, awaits_tasks: bool) -> None:
        await self.async_steps(steps, flow)
        assert flow.loop is not None
        while awaits_tasks and flow.loop.tasks:
            await flow.loop.tasks.pop()

    async def async_steps(self, steps: Steps, flow: Flow) -> None:
        self._compare(flow, "start")
        for step in steps:
            if not self._simple(step, flow):
                await self._async_step(step, flow)
            # The others' turn.
            await asyncio.sleep(0)
            self._compare(flow, step)

    async def _async_step(self, step: Step, flow: Flow) -> None:
        match step:
            case Override(steps=steps):
                manager, leave = self._enter(step, flow)
                await self.async_steps(steps, flow)
                manager.__exit__(None, None, None)
                leave()
            case Cross(thread_sensitive, steps):
                far = flow.across(is_async=False, loop=flow.loop)
                crossing = sync_to_async(self.sync_steps, thread_sensitive=thread_sensitive)
                await crossing(steps, far)
            case ToThread(steps):
                await asyncio.to_thread(self._guarded, self.sync_steps, steps, Flow())
            case Task(steps):
                assert flow.loop is not None
                task = asyncio.create_task(self.async_steps(steps, flow.child()))
                flow.loop.tasks.append(task)
            case MovedLoop(before, after):
                await self.async_steps(before + after, flow)
            case _:
                pass
