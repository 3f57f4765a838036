"""What a profile's verbs mean, written as slowly and plainly as it can be."""

import math
from collections import Counter

from lowtide.profile import Label, Line, Profile, Sample

Identity = tuple[tuple[object, ...], frozenset[Label]]


def site(frame: Line, by: str) -> tuple[str, str, int]:
    function = frame.function
    return {
        "line": (function.name, function.filename, frame.line),
        "function": (function.name, function.filename, function.start_line),
        "file": (function.filename, function.filename, 0),
    }[by]


def frames(sample: Sample) -> list[Line]:
    return [frame for location in sample.locations for frame in location.lines]


def flat_and_cum(profile: Profile, column: int, by: str) -> dict[tuple[str, str, int], tuple[int, int]]:
    """Rank with one pass for each place; places with nothing are left out."""
    places = {site(frame, by) for sample in profile.samples for frame in frames(sample)}
    ranking = {}
    for place in places:
        flat = cum = 0
        for sample in profile.samples:
            stack = [site(frame, by) for frame in frames(sample)]
            flat += sample.values[column] if stack[0] == place else 0
            cum += sample.values[column] if place in stack else 0
        if flat or cum:
            ranking[place] = flat, cum
    return ranking


def variance(sample: Sample, column: int, interval: int, unit: str) -> float:
    """Estimate a heap sample's variance from its own labels."""
    size = next(label.num for label in sample.labels if label.key == "bytes")
    p = 1.0 if interval <= 1 else 1 - math.exp(-size / interval)
    blocks = abs(sample.values[column]) / (size if unit == "bytes" else 1)
    return blocks * (1 - p) / p * (size**2 if unit == "bytes" else 1)


def columns_by_identity(profile: Profile) -> dict[Identity, tuple[int, ...]]:
    """Add up equal samples; those with nothing but zeros are left out."""
    sums: dict[Identity, Counter[int]] = {}
    for sample in profile.samples:
        column_sums = sums.setdefault((sample.locations, frozenset(sample.labels)), Counter())
        for column, value in enumerate(sample.values):
            column_sums[column] += value
    width = len(profile.sample_types)
    totals = {identity: tuple(counter[column] for column in range(width)) for identity, counter in sums.items()}
    return {identity: values for identity, values in totals.items() if any(values)}
