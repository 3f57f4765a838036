"""The one way to compare times: sides interleaved in one run, medians of paired ratios, a null pair beside each."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

# times[subject][side] holds one figure per round.
Times = dict[str, dict[str, list[float]]]


@dataclass(frozen=True, slots=True)
class Ratio:
    """How much more one side costs than another, over all subjects.

    `value` is the geometric mean over the subjects of each one's median over the rounds; `spread` is half the distance
    between the quartiles of the rounds' geometric means.
    """

    value: float
    spread: float
    by_subject: Mapping[str, float]


def interleave(
    subjects: Sequence[str],
    sides: Sequence[str],
    rounds: int,
    run: Callable[[str, str, int], float],
) -> Times:
    """Run every side of every subject once a round, next to each other, in an order that rotates with the rounds.

    Neighbours in time share the machine's mood, and the rotation gives each side every place in the order.

    Args:
        run: run(subject, side, round) measures once.
    """
    times: Times = {subject: {side: [] for side in sides} for subject in subjects}
    for turn in range(rounds):
        first = turn % len(sides)
        for subject in subjects:
            for side in (*sides[first:], *sides[:first]):
                times[subject][side].append(run(subject, side, turn))
    return times


def ratio(times: Times, side: str, base: str) -> Ratio:
    pairs = {
        subject: [a / b for a, b in zip(by_side[side], by_side[base], strict=True)]
        for subject, by_side in times.items()
    }
    medians = {subject: statistics.median(values) for subject, values in pairs.items()}
    rounds = [geometric_mean(values) for values in zip(*pairs.values(), strict=True)]
    return Ratio(geometric_mean(list(medians.values())), half_quartile_range(rounds), medians)


def geometric_mean(values: Sequence[float]) -> float:
    return math.exp(statistics.fmean(math.log(value) for value in values))


def half_quartile_range(values: Sequence[float]) -> float:
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return (high - low) / 2
