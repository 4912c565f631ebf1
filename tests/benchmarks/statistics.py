"""Medians, ratios and their noise.

The noise is the 95% percentile bootstrap interval of what the table shows, the ratio of the
medians. Whole rounds are drawn, so that each variant's repeat stays with those that were made
next to it: what slowed a round down, it slowed down for all, and that part of the spread is no
uncertainty of the ratio. (Medians of the paired ratios would use the same fact, but could not be
checked against the medians in the table.)
"""

from __future__ import annotations

import enum
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

# Enough for the ends of a 95% interval to be steady in the second digit.
RESAMPLES = 2_000
# Fixed, so that the same samples always give the same verdict.
SEED = 3


@dataclass(frozen=True)
class Estimate:
    """A figure, and the ends of its 95% interval."""

    value: float
    low: float
    high: float


class Verdict(enum.Enum):
    """What a figure says about its bar."""

    KEPT = "kept"
    WITHIN_NOISE = "within noise"
    MISSED = "MISSED"
    NOT_JUDGED = ""


def judge(estimate: Estimate, at_most: float | None) -> Verdict:
    """Compare a figure with its bar; it is missed only where the whole interval is above."""
    if at_most is None:
        return Verdict.NOT_JUDGED
    if estimate.low > at_most:
        return Verdict.MISSED
    return Verdict.WITHIN_NOISE if estimate.value > at_most else Verdict.KEPT


def ratio_of_medians(ours: Sequence[float], peer: Sequence[float]) -> Estimate:
    """Return the median of `ours` over that of `peer`; the n-th of each are of one round."""
    if len(ours) != len(peer):
        raise ValueError(f"{len(ours)} samples cannot be paired with {len(peer)}")

    def ratio(rounds: Sequence[int]) -> float:
        return median(ours[i] for i in rounds) / median(peer[i] for i in rounds)

    return _bootstrap(ratio, len(ours))


def median_with_interval(samples: Sequence[float]) -> Estimate:
    """Return the median of `samples`."""
    return _bootstrap(lambda rounds: median(samples[i] for i in rounds), len(samples))


def _bootstrap(figure: Callable[[Sequence[int]], float], count: int) -> Estimate:
    if not count:
        raise ValueError("there are no samples")
    rounds = range(count)
    draw = random.Random(SEED)
    drawn = sorted(figure(draw.choices(rounds, k=count)) for _ in range(RESAMPLES))
    outside = round(RESAMPLES * 0.025)
    return Estimate(figure(rounds), drawn[outside], drawn[-1 - outside])
