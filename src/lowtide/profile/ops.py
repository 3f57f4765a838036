"""Rank and select the samples of one profile."""

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import PurePath
from typing import Literal, TypeVar

from lowtide.errors import SettingsError
from lowtide.profile.interning import StackInterner
from lowtide.profile.model import Label, Line, Location, ProfileData, Row, Sample, ValueType

P = TypeVar("P", bound=ProfileData)
By = Literal["line", "function", "file"]
Site = tuple[str, str, int]

HEAP_PERIOD_TYPE = ValueType("space", "bytes")


def top(profile: ProfileData, n: int, sample_type: str | None, by: By) -> list[Row]:
    """Rank the places of a profile by what they themselves account for; see `Profile.top`."""
    if n < 1:
        raise SettingsError(f"n must be >= 1, got {n}")
    if by not in _SITES:
        raise SettingsError(f"by must be one of {', '.join(_SITES)}, got {by!r}")
    column = sample_type_index(profile, sample_type)
    sites_of = _stack_sites(by)
    flat: defaultdict[Site, int] = defaultdict(int)
    cum: defaultdict[Site, int] = defaultdict(int)
    variances: defaultdict[Site, list[float | None]] = defaultdict(list)
    for sample in profile.samples:
        value = sample.values[column]
        if not value or not sample.locations:
            continue
        leaf, sites = sites_of(sample.locations)
        flat[leaf] += value
        variances[leaf].append(variance(profile, sample, column))
        for site in sites:
            cum[site] += value
    rows = [Row(*site, flat[site], total, _stderr(variances[site])) for site, total in cum.items()]
    rows.sort(key=lambda row: (-abs(row.flat), -abs(row.cum), row.name, row.file, row.line))
    return [row for row in rows if row.flat or row.cum][:n]


def total(profile: ProfileData, sample_type: str | None = None) -> int:
    """Add up a column, each sample by its absolute value as pprof does: what percentages relate to."""
    column = sample_type_index(profile, sample_type)
    # Equal samples are one to pprof; a difference keeps both of its sides apart.
    stacks = StackInterner()
    sums: defaultdict[tuple[int, tuple[Label, ...]], int] = defaultdict(int)
    for sample in profile.samples:
        sums[stacks.number(sample.locations), sample.labels] += sample.values[column]
    return sum(map(abs, sums.values()))


def sample_type_index(profile: ProfileData, sample_type: str | None) -> int:
    """Find the column of a sample type; None asks for the profile's own default, else its last.

    Raises: SettingsError for an unknown one; the message lists those known.
    """
    known = [value_type.type for value_type in profile.sample_types]
    if sample_type is None:
        default = profile.default_sample_type
        return known.index(default) if default and default in known else len(known) - 1
    if sample_type not in known:
        raise SettingsError(f"sample_type must be one of {', '.join(known)}, got {sample_type!r}")
    return known.index(sample_type)


def focus(profile: P, pattern: str) -> P:
    """Keep the samples with a frame whose function or file name matches."""
    matches = _stack_matcher(pattern, "focus")
    return replace(profile, samples=tuple(sample for sample in profile.samples if matches(sample.locations)))


def ignore(profile: P, pattern: str) -> P:
    """Drop the samples with a frame whose function or file name matches."""
    matches = _stack_matcher(pattern, "ignore")
    return replace(profile, samples=tuple(sample for sample in profile.samples if not matches(sample.locations)))


def size_label(sample: Sample, key: str) -> int | None:
    """Return the number of the first label with this key, None where there is none that can be a size in bytes."""
    return next((label.num for label in sample.labels if label.key == key and not label.str and label.num >= 1), None)


def frames(location: Location) -> Iterator[Line | None]:
    """Yield the frames of a location, innermost first; None stands for one that has no symbol."""
    yield from location.lines or (None,)


def by_line(location: Location, frame: Line | None) -> Site:
    if frame is None:
        return f"{location.address:#x} {_binary(location)}", "", 0
    return frame.function.name, frame.function.filename, frame.line


def _by_function(location: Location, frame: Line | None) -> Site:
    if frame is None:
        return _binary(location), "", 0
    return frame.function.name, frame.function.filename, frame.function.start_line


def _by_file(location: Location, frame: Line | None) -> Site:
    filename = frame.function.filename if frame else _binary(location)
    return filename or "<unknown>", filename, 0


_SITES: dict[str, Callable[[Location, Line | None], Site]] = {
    "line": by_line,
    "function": _by_function,
    "file": _by_file,
}


def _binary(location: Location) -> str:
    return f"[{PurePath(location.mapping.filename).name}]" if location.mapping else "<unknown>"


def _stack_sites(by: By) -> Callable[[tuple[Location, ...]], tuple[Site, set[Site]]]:
    """Map a stack to its leaf's site and the set of all its sites (a set: recursion counts once)."""
    site_of = _SITES[by]
    # By id(): the profile shares equal stacks and locations, and hashing them would cost more than all the rest.
    of_location: dict[int, list[Site]] = {}
    of_stack: dict[int, tuple[Site, set[Site]]] = {}

    def sites_of(stack: tuple[Location, ...]) -> tuple[Site, set[Site]]:
        found = of_stack.get(id(stack))
        if found is None:
            for location in stack:
                if id(location) not in of_location:
                    of_location[id(location)] = [site_of(location, frame) for frame in frames(location)]
            sites = {site for location in stack for site in of_location[id(location)]}
            found = of_stack[id(stack)] = of_location[id(stack[0])][0], sites
        return found

    return sites_of


def variance(profile: ProfileData, sample: Sample, column: int) -> float | None:
    """Estimate the variance of one value of a heap sample, None where the profile does not tell how it was sampled.

    *Source:* Horvitz and Thompson 1952: a block of s bytes is kept with p = 1 - exp(-s / interval), so a count that was
    scaled up to n has variance n (1-p) / p.
    """
    if profile.period_type != HEAP_PERIOD_TYPE:
        return None
    interval = size_label(sample, "interval") or profile.period
    if interval <= 1:
        return 0.0
    size = size_label(sample, "bytes")
    if size is None:
        return None
    # (1-p) / p = 1 / expm1(s / interval), which loses no digit for small s and, by -s, cannot overflow for large.
    odds = math.exp(-size / interval) / -math.expm1(-size / interval)
    value = abs(sample.values[column])
    return value * odds * (size if profile.sample_types[column].unit == "bytes" else 1)


def _stderr(variances: list[float | None]) -> float | None:
    known = [variance for variance in variances if variance is not None]
    return math.sqrt(math.fsum(known)) if len(known) == len(variances) else None


def _stack_matcher(pattern: str, what: str) -> Callable[[tuple[Location, ...]], bool]:
    try:
        search = re.compile(pattern).search
    except re.error as error:
        raise SettingsError(f"{what} must be a regular expression, got {pattern!r}: {error}") from None
    of_location: dict[int, bool] = {}

    def matches(stack: tuple[Location, ...]) -> bool:
        for location in stack:
            if id(location) not in of_location:
                functions = [line.function for line in location.lines]
                of_location[id(location)] = any(search(name) for f in functions for name in (f.name, f.filename))
            if of_location[id(location)]:
                return True
        return False

    return matches
