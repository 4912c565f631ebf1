"""Random programs, for hypothesis."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

from hypothesis import strategies as st

from helpers import programs as p
from helpers.programs import Block, Loop, Program, Step, Way

Blocks = st.SearchStrategy[Block]
Steps = st.SearchStrategy[Step]


@dataclass(frozen=True)
class Where:
    """What limits the steps that are possible.

    Attributes:
        depth: How many blocks there may be inside.
        is_free: The code may be cancelled anywhere. Not then: `asyncio.wait_for`, which may
            lose a cancellation up to Python 3.11, and TaskGroup, whose own cancellations are
            told apart from others only from Python 3.13 on.
        is_plain: Sync code that is below no call.
        in_sensitive: Sync code that was called as sensitive.
        cleans_up: The code cleans up after a cancel, and what it leaves behind when it fails
            is cancelled as all ends. Not then: a call that takes its time to fail, with others
            behind it that may or may not begin.
    """

    depth: int
    is_free: bool = False
    is_plain: bool = False
    in_sensitive: bool = False
    cleans_up: bool = False

    def inside(self) -> Where:
        return Where(self.depth - 1, self.is_free, cleans_up=self.cleans_up)

    def called(self, sensitive: bool) -> Where:
        return replace(self.inside(), in_sensitive=sensitive)


def programs(depth: int = 4) -> st.SearchStrategy[Program]:
    """Programs whose outermost layer is sync or async."""
    sync_code, async_code = sync_blocks(Where(depth, is_plain=True)), async_blocks(Where(depth))
    return st.one_of(
        st.builds(Program, sync_code, st.just(False)), st.builds(Program, async_code, st.just(True))
    )


LEAVES: Steps = st.builds(p.SetVariable, st.integers(0, p.VARIABLES - 1))
ASYNC_LEAVES: Steps = st.one_of(LEAVES, st.just(p.Sleep()))

# What raises an error is the last step of its block, since those after it would never run. It
# is rare, or there would be little that runs at all, but not in `Try`.
ENDS = 8
SYNC_FAILURES: tuple[Step, ...] = (p.Fail(), p.Fail(), p.Fail(stop=True))
SENSITIVE_FAILURES = (*SYNC_FAILURES, p.StrayCall())
ASYNC_FAILURES = (p.Fail(), p.Refused())


def _blocks(
    steps: Steps, failures: tuple[Step, ...], *, fails: bool = False, max_size: int = 2
) -> Blocks:
    good_ends: list[Block] = [()] * (1 if fails else ENDS * len(failures))
    return st.builds(
        lambda block, end: (*block, *end),
        st.lists(steps, min_size=0 if fails else 1, max_size=max_size),
        st.sampled_from(good_ends + [(failure,) for failure in failures]),
    )


@functools.cache
def sync_blocks(where: Where, fails: bool = False) -> Blocks:
    """Blocks of sync code, which are likely to raise an error with `fails`."""
    failures = SYNC_FAILURES
    if where.in_sensitive and not where.is_free and not where.cleans_up:
        # One that was cancelled as it started might wait for an event loop that has ended.
        failures = SENSITIVE_FAILURES
    if where.depth <= 0:
        return _blocks(LEAVES, failures, fails=fails, max_size=2)
    return _blocks(st.deferred(lambda: _sync_steps(where)), failures, fails=fails)


@functools.cache
def _sync_steps(where: Where) -> Steps:
    below = async_blocks(where.inside())
    same = replace(where, depth=where.depth - 1)
    steps = [
        LEAVES,
        st.builds(p.Try, sync_blocks(same, fails=True), sync_blocks(same)),
        st.builds(p.CallAsync, below),
        st.builds(p.CallAsync, below, st.sampled_from([Loop.PARENT, Loop.NEW])),
    ]
    if where.is_plain or where.in_sensitive:
        # Elsewhere asyncio.run() may wait for ever for a thread that waits for it.
        steps.append(st.builds(p.CallAsync, below, st.just(Loop.RUN)))
    if where.is_plain:
        steps.append(st.builds(p.SingleThread, sync_blocks(same)))
    return st.one_of(steps)


@functools.cache
def async_blocks(where: Where, fails: bool = False) -> Blocks:
    """Blocks of async code, which are likely to raise an error with `fails`."""
    if where.depth <= 0:
        return _blocks(ASYNC_LEAVES, ASYNC_FAILURES, fails=fails, max_size=2)
    return _blocks(st.deferred(lambda: _async_steps(where)), ASYNC_FAILURES, fails=fails)


@functools.cache
def _async_steps(where: Where) -> Steps:
    inside = where.inside()
    same = async_blocks(inside)
    steps = [
        ASYNC_LEAVES,
        st.builds(p.Try, async_blocks(inside, fails=True), same),
        _calls(where),
        st.builds(
            p.Together, st.lists(same, min_size=1, max_size=3).map(tuple), _ways(where.is_free)
        ),
        st.builds(p.InContext, same, st.booleans()),
        # Not the same object twice, which would count only once.
        *(st.builds(p.CancelAtPoint, _chains(inside), st.integers(1, 3)) for _ in range(2)),
        st.builds(
            p.CancelAnywhere,
            async_blocks(replace(inside, is_free=True)),
            st.sampled_from([0.0, 0.0001, 0.0005, 0.002]),
            st.integers(1, 3),
        ),
    ]
    if not where.is_free:
        # A function that was cancelled as it started might leave a task when all has ended.
        steps.append(_left_behind(where))
    return st.one_of(steps)


def _ways(is_free: bool) -> st.SearchStrategy[Way]:
    return st.sampled_from([Way.GATHER, Way.TASKS, Way.CALLBACK] if is_free else list(Way))


def _calls(where: Where) -> Steps:
    own_context = st.sampled_from([False, False, True])
    sensitive = st.builds(p.CallSync, sync_blocks(where.called(True)), st.just(True), own_context)
    other = st.builds(p.CallSync, sync_blocks(where.called(False)), st.just(False), own_context)
    return st.one_of(sensitive, sensitive.map(lambda call: call), other)


def _left_behind(where: Where) -> Steps:
    leaf_calls = _blocks(
        st.builds(p.CallSync, _blocks(LEAVES, SYNC_FAILURES, max_size=2)),
        ASYNC_FAILURES,
        max_size=2,
    )
    # Where the calls of an early task go is certain only if it is the same thread.
    early = st.builds(p.LeftBehind, leaf_calls, early=st.just(True))
    late = st.builds(
        p.LeftBehind,
        async_blocks(where.inside()),
        sensitive=st.booleans(),
        in_context=st.booleans(),
    )
    return st.one_of(early, late)


# Code that holds the one point at which it is cancelled, up to a number of layers below.

LAYERS = 4


@functools.cache
def _chains(where: Where, layers: int = LAYERS) -> Blocks:
    """Blocks of async code."""
    before = ASYNC_LEAVES
    if where.depth > 0:
        before = st.deferred(lambda: _async_steps(where))
    return st.builds(
        lambda before, link, after: (*before, link, *after),
        st.lists(before, max_size=1),
        st.deferred(lambda: _links(where, layers)),
        _blocks(ASYNC_LEAVES, ASYNC_FAILURES, fails=True, max_size=1),
    )


@functools.cache
def _links(where: Where, layers: int) -> Steps:
    cleanup = async_blocks(replace(where, depth=min(where.depth, 2), cleans_up=True))
    points = [
        st.builds(p.Point, cleanup, st.booleans()),
        st.builds(p.Queued, st.just((p.SetVariable(0),))),
    ]
    if layers <= 0:
        return st.one_of(points)
    inside = _chains(where.inside(), layers - 1)
    in_sync_code = _sync_chains(where.inside(), layers - 1)
    ways = st.sampled_from([Way.GATHER, Way.TASKS, Way.CALLBACK])
    return st.one_of(
        *points,
        *(st.builds(p.CallSync, in_sync_code, st.booleans()) for _ in range(5)),
        st.builds(p.InContext, inside, st.booleans()),
        st.builds(p.Together, st.tuples(inside), ways),
        st.builds(p.Try, inside, st.just((p.SetVariable(0),))),
    )


@functools.cache
def _sync_chains(where: Where, layers: int) -> Blocks:
    busy: Steps = st.just(p.Busy())
    loops = st.sampled_from([Loop.PARENT, Loop.PARENT, Loop.NEW])
    inside = _chains(where, layers)
    calls = (st.builds(p.CallAsync, inside, loops) for _ in range(3))
    return st.builds(
        lambda before, link, after: (*before, link, *after),
        st.lists(LEAVES, max_size=1),
        st.one_of(busy, *calls),
        # Nothing that needs an event loop: the one above may have ended meanwhile.
        _blocks(LEAVES, SYNC_FAILURES, fails=True, max_size=1),
    )
