"""Combine profiles: one service out of many processes, one difference out of two points in time."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from lowtide.errors import ProfileFormatError, SettingsError
from lowtide.profile.interning import StackInterner
from lowtide.profile.model import Label, ProfileData, Sample, ValueType
from lowtide.profile.ops import HEAP_PERIOD_TYPE, size_label

P = TypeVar("P", bound=ProfileData)
T = TypeVar("T")

# What makes two samples one: the stack's number, and the labels in order.
Key = tuple[int, tuple[Label, ...]]
Sums = dict[Key, list[int]]

INHERITED = Label("origin", "parent")


def merge(profiles: Sequence[P]) -> P:
    """Add profiles up.

    Memory that forked children inherited counts once: not at all where the profile of an ancestor is in the list, else
    as the maximum over the siblings. Where sampling intervals differ, each sample keeps its own in a label.

    Args:
        profiles: one or more of one kind (period type); columns that not all of them have are left out.

    Returns: a profile with the earliest time, the summed duration and the largest period.
    Raises: SettingsError for an empty list; ProfileFormatError where the kinds differ.
    """
    if not profiles:
        raise SettingsError("merge needs at least one profile, got none")
    common = _Common(profiles)
    processes = {process for profile in profiles for process in _comments(profile, "process")}
    sums: Sums = {}
    families: list[tuple[set[str], Sums]] = []
    for profile in profiles:
        inherited: Sums = {}
        for key, values in common.samples(profile):
            _add(inherited if INHERITED in key[1] else sums, key, values)
        ancestors = _comments(profile, "ancestor")
        if ancestors.isdisjoint(processes):
            _join_family(families, ancestors, inherited)
    for _, inherited in families:
        for key, values in inherited.items():
            _add(sums, key, values)
    return replace(
        _frame(profiles, common),
        samples=common.rebuild(sums.items()),
        time_nanos=min((profile.time_nanos for profile in profiles if profile.time_nanos), default=0),
        duration_nanos=sum(profile.duration_nanos for profile in profiles),
    )


def diff(base: P, new: P) -> P:
    """Subtract `base` from `new`, column by column; what shrank is negative.

    Between two snapshots of one process, what they share cancels out. Between two processes every sample of both stays,
    those of `base` negated, so that the standard error of a difference is that of both sides together.

    Returns: a profile with the time of `new`; its duration is that of `new`, else the time between the two.
    Raises: ProfileFormatError where the two are of different kinds.
    """
    common = _Common([base, new])
    before: Sums = {}
    after: Sums = {}
    for profile, sums in ((base, before), (new, after)):
        for key, values in common.samples(profile):
            _add(sums, key, values)
    process = _comments(base, "process")
    independent = base.period_type == HEAP_PERIOD_TYPE and not (process and process == _comments(new, "process"))
    nothing = [0] * len(common.sample_types)
    came, gone = [], []
    for key in before | after:
        old, current = before.get(key, nothing), after.get(key, nothing)
        shared = nothing if independent else _shared(common.sample_types, old, current)
        came.append((key, [value - both for value, both in zip(current, shared, strict=True)]))
        gone.append((key, [both - value for value, both in zip(old, shared, strict=True)]))
    elapsed_nanos = max(0, new.time_nanos - base.time_nanos) if base.time_nanos else 0
    return replace(
        _frame([new, base], common),
        samples=common.rebuild(came + gone),
        time_nanos=new.time_nanos,
        duration_nanos=new.duration_nanos or elapsed_nanos,
    )


class _Common:
    """The columns, stacks and labels of several profiles in common terms."""

    def __init__(self, profiles: Sequence[ProfileData]) -> None:
        first = profiles[0]
        for profile in profiles[1:]:
            if profile.period_type != first.period_type:
                kinds = f"{_kind(first.period_type)} and {_kind(profile.period_type)}"
                raise ProfileFormatError(f"expected profiles of one kind, got {kinds}")
        self.period = max(profile.period for profile in profiles)
        self.sample_types = tuple(
            kind for kind in first.sample_types if all(kind in profile.sample_types for profile in profiles)
        )
        if not self.sample_types:
            raise ProfileFormatError("expected profiles of one kind, got no sample type that all of them have")
        self._interner = StackInterner()

    def samples(self, profile: ProfileData) -> Iterator[tuple[Key, list[int]]]:
        """Yield the key and the common columns of every sample."""
        columns = [profile.sample_types.index(kind) for kind in self.sample_types]
        label_sets: dict[int, tuple[Label, ...]] = {}
        for sample in profile.samples:
            labels = label_sets.get(id(sample.labels))
            if labels is None:
                labels = label_sets[id(sample.labels)] = self._labels(profile, sample)
            yield (self._interner.number(sample.locations), labels), [sample.values[column] for column in columns]

    def rebuild(self, sums: Iterable[tuple[Key, list[int]]]) -> tuple[Sample, ...]:
        """Turn sums into samples; those with nothing but zeros vanish, as in pprof."""
        stacks = self._interner.stacks
        return tuple(Sample(stacks[number], tuple(values), labels) for (number, labels), values in sums if any(values))

    def _labels(self, profile: ProfileData, sample: Sample) -> tuple[Label, ...]:
        labels = sample.labels
        if profile.period_type == HEAP_PERIOD_TYPE:
            # Said where it is not the common one, and there alone, so that equal samples stay equal.
            interval = size_label(sample, "interval")
            if interval is None and profile.period != self.period:
                labels += (Label("interval", num=profile.period, num_unit="bytes"),)
            elif interval == self.period:
                labels = tuple(label for label in labels if label.key != "interval" or label.num != interval)
        return tuple(sorted(labels, key=lambda label: (label.key, label.str, label.num, label.num_unit)))


def _frame(profiles: Sequence[P], common: _Common) -> P:
    """Combine all that is not a sample; where only one can stand, the first profile's."""
    types = {kind.type for kind in common.sample_types}
    return replace(
        profiles[0],
        sample_types=common.sample_types,
        period=common.period,
        default_sample_type=next((p.default_sample_type for p in profiles if p.default_sample_type in types), ""),
        comments=_unique(comment for profile in profiles for comment in profile.comments),
        mappings=_unique(mapping for profile in profiles for mapping in profile.mappings),
        doc_url=next((profile.doc_url for profile in profiles if profile.doc_url), ""),
    )


def _shared(sample_types: Sequence[ValueType], old: Sequence[int], current: Sequence[int]) -> list[int]:
    """Tell how much of a sample two snapshots of one process surely have in common.

    What was allocated up to the first snapshot is part of the second. Of what is in use at the second, all that the
    allocations between the two cannot account for was there at the first.
    """
    grown = {
        kind.type.removeprefix("alloc_"): now - then
        for kind, then, now in zip(sample_types, old, current, strict=True)
        if kind.type.startswith("alloc_")
    }
    return [
        max(0, min(then, now - grown.get(kind.type.removeprefix("inuse_"), 0)))
        for kind, then, now in zip(sample_types, old, current, strict=True)
    ]


def _join_family(families: list[tuple[set[str], Sums]], ancestors: set[str], inherited: Sums) -> None:
    """Take the maximum with the siblings; ancestors form a chain, so siblings share at least the oldest."""
    for family_ancestors, sums in families:
        if not family_ancestors.isdisjoint(ancestors):
            family_ancestors.update(ancestors)
            for key, values in inherited.items():
                sums[key] = [*map(max, values, sums.get(key, values))]
            return
    families.append((ancestors, inherited))


def _add(sums: Sums, key: Key, values: list[int]) -> None:
    known = sums.get(key)
    sums[key] = values if known is None else [a + b for a, b in zip(known, values, strict=True)]


def _comments(profile: ProfileData, keyword: str) -> set[str]:
    """Return what the collector noted under a keyword, as in `process 4711.123456`."""
    words = (comment.split() for comment in profile.comments)
    return {word[1] for word in words if len(word) == 2 and word[0] == keyword}


def _kind(period_type: ValueType | None) -> str:
    return f"{period_type.type}/{period_type.unit}" if period_type else "no period type"


def _unique(items: Iterable[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(items))
