"""Where a thread-sensitive call must run: rules R1 and R4, worked out from a description.

A `Case` describes a program: what is outermost, the layers below that, outermost first, how
calls are started below the last layer, and when they are made. `place_of` says where they must
run. It knows nothing of the packages.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple


class Outermost(enum.Enum):
    """The outermost layer of a program."""

    SYNC = "sync"
    ASYNC = "async"


class Layer(enum.Enum):
    """A context in async code, or a sync function that async code calls and that calls it."""

    CONTEXT = "context"
    EXECUTOR = "context with executor"
    VIEW = "view"
    ANY_THREAD = "view in any thread"
    NEW_LOOP = "view with a new loop"
    RUN = "view with asyncio.run"


CONTEXTS = (Layer.CONTEXT, Layer.EXECUTOR)
# Sync functions whose async code is on the event loop above them, and may outlive them there.
ON_THE_LOOP_ABOVE = (Layer.VIEW, Layer.ANY_THREAD)


class When(enum.Enum):
    """When the calls are made; `Case.layer` says which layer it is about."""

    AWAITED = "awaited"
    # The function has started them in one async_to_sync call, and then waits for them in another.
    IN_NEXT_CALL = "in the next async_to_sync"
    # They are made before the function ends, which it does without waiting for them.
    LEFT_OVER = "left over"
    # The function has ended, or the context has been left.
    AFTER = "after"
    AFTER_THE_OUTERMOST_CALL = "after the outermost call"
    # Nobody waits for them: they are cancelled, and make the calls to clean up.
    LOOP_ENDS = "as the loop ends"


class Kind(enum.Enum):
    """The kinds of threads."""

    CALLER = enum.auto()
    SHARED = enum.auto()
    OF_CONTEXT = enum.auto()
    OF_EXECUTOR = enum.auto()
    # A pool's thread that is blocked in async_to_sync.
    OF_POOL = enum.auto()
    # One that an event loop keeps, whose sync code's own thread runs it.
    OF_LOOP = enum.auto()
    # Any thread that is in use for nothing else: the context's own has gone back to the pool.
    FREE = enum.auto()
    # None: the call raises an error that says that its context has exited.
    REFUSED = enum.auto()


class Place(NamedTuple):
    """A thread, told apart from others of its kind by the layer that it belongs to."""

    kind: Kind
    layer: int | None = None


CALLER = Place(Kind.CALLER)
SHARED = Place(Kind.SHARED)
REFUSED = Place(Kind.REFUSED)
NOT_OF_A_LAYER = -1


@dataclass(frozen=True)
class Case:
    """A program, by its description."""

    outermost: Outermost
    layers: tuple[Layer, ...]
    start: str
    when: When = When.AWAITED
    layer: int = NOT_OF_A_LAYER

    @property
    def row(self) -> str:
        """All but the start."""
        layers = ", ".join(layer.value for layer in self.layers)
        of_layer = "" if self.layer == NOT_OF_A_LAYER else f" {self.layer}"
        return f"{self.outermost.value} ({layers}) {self.when.value}{of_layer}"

    def is_at(self, when: When, layer: int) -> bool:
        return self.when is when and self.layer == layer


def place_of(case: Case) -> Place:
    """Where the calls must run."""
    if case.start == "in an empty context":
        return _place_known_to_the_loop(case)
    return _place_below(case, len(case.layers), ended_from=_first_that_has_ended(case))


def place_of_layer(case: Case, number: int) -> Place:
    """Where the function of a layer runs or, for a context, a call right inside of it."""
    if case.layers[number] is Layer.ANY_THREAD:
        return Place(Kind.OF_POOL, number)
    depth = number + (case.layers[number] in CONTEXTS)
    return _place_below(case, depth, ended_from=len(case.layers))


def _place_below(case: Case, depth: int, *, ended_from: int) -> Place:
    """Where calls go that are made below that many layers, where those from one on have ended."""
    # R1: the thread of the outermost call, or the shared one. The former is claimed: it waits.
    is_sync = case.outermost is Outermost.SYNC
    place, is_claimed = (CALLER, True) if is_sync else (SHARED, False)
    for number, layer in enumerate(case.layers[:depth]):
        has_ended = number >= ended_from
        if layer is Layer.EXECUTOR:
            place = REFUSED if has_ended else Place(Kind.OF_EXECUTOR, number)
        elif layer is Layer.CONTEXT and not is_claimed:
            place = Place(Kind.FREE if has_ended else Kind.OF_CONTEXT, number)
        elif layer is Layer.ANY_THREAD and not has_ended:
            # R4: it serves as long as it waits, and has no claim on its thread after that.
            place = Place(Kind.OF_POOL, number)
        elif layer is Layer.RUN:
            place = Place(Kind.OF_LOOP, number)
        # What a view waits for runs in its thread, which is the one that it was given.
        is_claimed = is_claimed or layer is not Layer.RUN
    return place


def _first_that_has_ended(case: Case) -> int:
    """The outermost layer that has ended when the calls are made."""
    if case.when is When.AWAITED:
        return len(case.layers)
    if case.when is When.LOOP_ENDS:
        # That of the layer is still driven by the function, or by the outermost code.
        return case.layer + 1
    return 0 if case.when is When.AFTER_THE_OUTERMOST_CALL else case.layer


def _place_known_to_the_loop(case: Case) -> Place:
    """Where calls of a task go that descends from nothing."""
    owner = innermost_loop_owner(case.layers)
    if owner != NOT_OF_A_LAYER:
        return place_of_layer(case, owner)
    return CALLER if case.outermost is Outermost.SYNC else SHARED


def innermost_loop_owner(layers: tuple[Layer, ...]) -> int:
    """The last layer that has an event loop of its own."""
    owners = [n for n, layer in enumerate(layers) if layer in (Layer.NEW_LOOP, Layer.RUN)]
    return max(owners, default=NOT_OF_A_LAYER)


def times_of(layers: tuple[Layer, ...]) -> Iterator[tuple[When, int]]:
    """All the times at which calls can be made that were started below these layers."""
    owner = innermost_loop_owner(layers)
    yield When.AWAITED, NOT_OF_A_LAYER
    yield When.LOOP_ENDS, owner
    if owner == NOT_OF_A_LAYER:
        yield When.AFTER_THE_OUTERMOST_CALL, NOT_OF_A_LAYER
    for number, layer in enumerate(layers):
        # What was started on a loop ends with it.
        if number > owner:
            yield When.AFTER, number
            if layer in ON_THE_LOOP_ABOVE:
                yield When.IN_NEXT_CALL, number
                yield When.LEFT_OVER, number
