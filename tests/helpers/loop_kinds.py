"""The kinds of event loop that a program may use, and a policy for each that makes them."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
import warnings
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

MakeLoop = Callable[[], AbstractEventLoop]


def make_default_loop() -> AbstractEventLoop:
    return asyncio.SelectorEventLoop() if sys.platform != "win32" else asyncio.ProactorEventLoop()


def make_debug_loop() -> AbstractEventLoop:
    loop = make_default_loop()
    loop.set_debug(True)
    return loop


def make_eager_loop() -> AbstractEventLoop:
    loop = make_default_loop()
    loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined, unused-ignore]
    return loop


def make_uvloop() -> AbstractEventLoop:
    # Not at the top: it cannot be installed everywhere.
    import uvloop

    return uvloop.new_event_loop()


LOOP_KINDS: dict[str, MakeLoop] = {"default": make_default_loop, "debug": make_debug_loop}
if sys.version_info >= (3, 12):
    LOOP_KINDS["eager"] = make_eager_loop
if importlib.util.find_spec("uvloop") is not None:
    LOOP_KINDS["uvloop"] = make_uvloop


@contextmanager
def policy_in_force(kind: str) -> Iterator[None]:
    """Have all event loops be of a kind that nobody asks for with a factory of their own."""
    if kind == "default":
        yield
        return
    with warnings.catch_warnings():
        # From Python 3.14 on all that has to do with policies warns of its removal.
        warnings.simplefilter("ignore", DeprecationWarning)
        before = asyncio.get_event_loop_policy()
        asyncio.set_event_loop_policy(_make_policy(kind))
    try:
        yield
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            asyncio.set_event_loop_policy(before)


def _make_policy(kind: str) -> Any:
    if kind == "uvloop":
        import uvloop

        return uvloop.EventLoopPolicy()

    class Policy(asyncio.DefaultEventLoopPolicy):
        def new_event_loop(self) -> AbstractEventLoop:
            return LOOP_KINDS[kind]()

    return Policy()
