"""Measures rows: the variants take turns, in one process."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from functools import cached_property
from statistics import median

from tests.benchmarks.rows import OURS, Bar, Row, Sampler
from tests.benchmarks.statistics import (
    Estimate,
    Verdict,
    judge,
    median_with_interval,
    ratio_of_medians,
)

# A row of few repeats still has an interval.
LEAST_REPEATS = 3


@dataclass(frozen=True)
class Effort:
    """How often, and for how long each time, a row is measured."""

    repeats: int = 80
    seconds: float = 0.015


@dataclass(frozen=True)
class Figure:
    """One bar of a row, and what was measured."""

    bar: Bar
    estimate: Estimate
    verdict: Verdict


@dataclass(frozen=True)
class Measurement:
    """The samples of a row, in seconds or bytes for one operation: a list for each variant."""

    row: Row
    load: str
    samples: dict[str, list[float]]

    def medians(self) -> dict[str, float]:
        """Return the median of each variant, in the unit of the row."""
        return {name: self.row.unit.of(median(costs)) for name, costs in self.samples.items()}

    @cached_property
    def figures(self) -> list[Figure]:
        """Compare ours with each peer of the row."""
        return [self._figure(bar) for bar in self.row.bars]

    def _figure(self, bar: Bar) -> Figure:
        ours = self.samples[OURS]
        if bar.peer is None:
            estimate = median_with_interval([self.row.unit.of(cost) for cost in ours])
        else:
            estimate = ratio_of_medians(ours, self.samples[bar.peer])
        return Figure(bar, estimate, judge(estimate, bar.at_most))


def measure(row: Row, effort: Effort, load: str) -> Measurement:
    """Measure all variants of a row.

    They take turns, so that what changes slowly (the clock of the processor, other processes)
    reaches all of them.
    """
    with row.variants() as samplers:
        numbers = {name: _number(row, sampler, effort) for name, sampler in samplers.items()}
        samples: dict[str, list[float]] = {name: [] for name in samplers}
        gc.collect()
        for turn in range(max(LEAST_REPEATS, round(effort.repeats * row.share))):
            for name in order_of(turn, list(samplers)):
                samples[name].append(samplers[name](numbers[name]) / numbers[name])
    return Measurement(row, load, samples)


def order_of(turn: int, names: list[str]) -> list[str]:
    """Return who comes when: A B C, C B A, B C A, A C B and so on.

    After every one of the others, and at every place: where the system puts a thread that is
    woken, and how fast that processor is, depends on what ran just before.
    """
    first = turn // 2 % len(names)
    order = names[first:] + names[:first]
    return order[::-1] if turn % 2 else order


def _number(row: Row, sampler: Sampler, effort: Effort) -> int:
    """Warm a variant up, and return how often it does the work in the time of a repeat."""
    if row.number is not None:
        sampler(row.number)
        return row.number
    number = 1
    while (cost := sampler(number)) < effort.seconds:
        # Cautiously, as the first ones are slow: the last one decides.
        number = min(number * 10, 1 + int(number * effort.seconds / max(cost, 1e-9)))
    return max(1, round(number * effort.seconds / cost)) if cost else 1
