"""What a row of the benchmarks is: variants of the same work, and the bars of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TypeAlias

# Does the work so many times, and returns what that cost in all: seconds, or bytes. One that can
# only do more than it is asked for returns the part that was asked for.
Sampler: TypeAlias = Callable[[int], float]
Samplers: TypeAlias = Mapping[str, Sampler]

OURS = "ours"


@dataclass(frozen=True)
class Sizes:
    """How much there is of what a row works on; tests use sizes that take no time."""

    at_once: int = 100
    variables: int = 500
    requests_at_once: int = 50
    upload_chunks: int = 1600
    scopes: int = 10_000
    few_scopes: int = 1_000
    many_scopes: int = 100_000
    first_calls: int = 1_000
    all_calls: int = 10_000
    connections: tuple[int, ...] = (1, 16, 128)
    load_seconds: int = 1
    transfer_chunks: int = 16 * 1024
    requests_in_process: int = 200


FULL = Sizes()
TINY = Sizes(3, 3, 2, 3, 5, 3, 6, 4, 8, (), 1, 3, 2)


@dataclass(frozen=True)
class Unit:
    """How costs are written.

    Attributes:
        name: Of the unit.
        per_base: How many of it one second (or byte) is.
        is_rate: Whether not the cost is written but how many operations one second has.
    """

    name: str
    per_base: float
    is_rate: bool = False

    def of(self, cost: float) -> float:
        """Return what is written for the seconds (or bytes) of one operation."""
        return self.per_base / cost if self.is_rate else self.per_base * cost


NANOSECONDS = Unit("ns", 1e9)
MICROSECONDS = Unit("us", 1e6)
MILLISECONDS = Unit("ms", 1e3)
REQUESTS_PER_SECOND = Unit("req/s", 1, is_rate=True)
MEBIBYTES = Unit("MiB", 1 / 2**20)


@dataclass(frozen=True)
class Bar:
    """What ours may cost at most: times what `peer` costs or, without a peer, in the row's unit.

    Without `at_most` the figure is shown and not judged.
    """

    peer: str | None
    at_most: float | None = None


@dataclass(frozen=True)
class Row:
    """One kind of work, done by several variants, of which one is `OURS`.

    Attributes:
        name: What a user does, in a few words; unique.
        group: The name by which it is run together with others.
        variants: Sets up and tears down; entered once per measurement, in the main thread.
        bars: What ours is compared with; each peer is the name of a variant.
        unit: How the costs are shown.
        share: The part of the repeats that are asked for which this row makes, for slow work.
        number: How many times a repeat does the work; as often as fills its time if None.
    """

    name: str
    group: str
    variants: Callable[[], AbstractContextManager[Samplers]]
    bars: tuple[Bar, ...]
    unit: Unit = MICROSECONDS
    share: float = 1.0
    number: int | None = None
