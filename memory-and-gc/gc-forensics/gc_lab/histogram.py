"""Latencies as counts in buckets 2 % wide: small enough to keep of every run, and mergeable."""

import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

WIDTH = 1.02
_RESAMPLES = 1000

T = TypeVar("T")
Histogram = Mapping[int, int]  # bucket -> requests; bucket b holds WIDTH**b microseconds, within 1 %


class Interval(NamedTuple):
    """A figure with its bootstrap interval of 95 %."""

    value: float
    low: float
    high: float


def from_seconds(values: Iterable[tuple[float, int]]) -> Counter[int]:
    """Return the histogram of (latency in seconds, requests) pairs."""
    found: Counter[int] = Counter()
    for seconds, count in values:
        found[round(math.log(max(seconds * 1e6, 1), WIDTH))] += count
    return found


def merge(histograms: Iterable[Histogram]) -> Counter[int]:
    found: Counter[int] = Counter()
    for histogram in histograms:
        found.update(histogram)
    return found


def quantile(histogram: Histogram, share: float) -> float:
    """Return the latency in seconds that `share` of the requests did not exceed; 0 when there were none."""
    left = share * sum(histogram.values())
    at = 0
    for at in sorted(histogram):
        left -= histogram[at]
        if left <= 1e-9:
            break
    return WIDTH**at / 1e6 if histogram else 0.0


def exceeding(histogram: Histogram) -> list[tuple[float, float]]:
    """Return (latency in seconds, share of the requests that took longer), ascending, without the last one's 0."""
    total = sum(histogram.values())
    left, points = total, []
    for at in sorted(histogram):
        left -= histogram[at]
        if left:
            points.append((WIDTH**at / 1e6, left / total))
    return points


def bootstrap(runs: Sequence[T], figure: Callable[[Sequence[T]], float]) -> Interval:
    """Return a figure of some runs, and its interval: the runs are drawn again, with replacement, many times."""
    rng = random.Random(0)
    drawn = sorted(figure(rng.choices(runs, k=len(runs))) for _ in range(_RESAMPLES))
    return Interval(figure(runs), drawn[round(0.025 * _RESAMPLES)], drawn[round(0.975 * _RESAMPLES) - 1])
