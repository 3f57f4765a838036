"""One difference out of two points in time."""

import math
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given

from lowtide.errors import ProfileFormatError
from lowtide.profile import Profile, Sample, ValueType, diff
from tests.models.profile import columns_by_identity
from tests.strategies import HEAP_TYPES, heap_profiles
from tests.unit.profile.builders import OTHER, SIZE, STACK, heap


def sample(allocated: int, in_use: int) -> Sample:
    return Sample(STACK, (allocated, allocated * 48, in_use, in_use * 48), (SIZE,))


def blocks_stderr(profile: Profile, sample_type: str) -> float | None:
    """Return the standard error of the one row, in sampled blocks: 4.0 means sqrt(16)."""
    p = 1 - math.exp(-48 / 524288)
    stderr = profile.top(sample_type=sample_type)[0].stderr
    return stderr and stderr / math.sqrt((1 - p) / p)


@pytest.mark.parametrize("comments", [(), ("process 1.1",)])
@given(base=heap_profiles(), new=heap_profiles())
def test_every_column_is_new_less_base(base: Profile, new: Profile, comments: tuple[str, ...]) -> None:
    expected: dict[object, Counter[int]] = {}
    for profile, sign in ((base, -1), (new, 1)):
        for identity, values in columns_by_identity(profile).items():
            expected.setdefault(identity, Counter()).update({n: sign * value for n, value in enumerate(values)})
    difference = diff(replace(base, comments=comments), replace(new, comments=comments))

    assert columns_by_identity(difference) == {
        identity: tuple(counter[column] for column in range(4))
        for identity, counter in expected.items()
        if any(counter.values())
    }


@given(heap_profiles())
def test_a_profile_does_not_differ_from_itself(profile: Profile) -> None:
    assert diff(profile, profile).top() == []
    assert diff(profile, profile).total() == 0


def test_what_shrank_is_negative_and_ranks_by_its_size() -> None:
    grown = Sample(OTHER, (1, 48, 1, 48), (SIZE,))
    rows = diff(heap(sample(100, 60)), heap(sample(150, 20), grown)).top()

    assert [(row.name, row.flat) for row in rows] == [("app.load", -40 * 48), ("app.serve", 48)]


def test_the_stderr_between_two_processes_is_that_of_both() -> None:
    difference = diff(heap(sample(0, 9), process="1.1"), heap(sample(0, 16), process="2.2"))

    assert difference.top(sample_type="inuse_objects")[0].flat == 7
    assert blocks_stderr(difference, "inuse_objects") == pytest.approx(5)


def test_what_two_snapshots_of_a_process_share_adds_no_stderr() -> None:
    difference = diff(heap(sample(1000, 900), process="1.1"), heap(sample(1016, 916), process="1.1"))

    assert blocks_stderr(difference, "alloc_objects") == pytest.approx(4)
    assert blocks_stderr(difference, "inuse_objects") == pytest.approx(4)


def test_live_blocks_that_were_replaced_between_two_snapshots_add_stderr() -> None:
    difference = diff(heap(sample(1000, 9), process="1.1"), heap(sample(2000, 16), process="1.1"))

    assert difference.top(sample_type="inuse_objects")[0].flat == 7
    assert blocks_stderr(difference, "inuse_objects") == pytest.approx(5)


def test_the_difference_has_the_time_of_new_and_lasts_since_base() -> None:
    base, new = replace(heap(), time_nanos=10), replace(heap(), time_nanos=25)

    assert (diff(base, new).time_nanos, diff(base, new).duration_nanos) == (25, 15)
    assert diff(new, base).duration_nanos == 0
    assert diff(base, replace(new, duration_nanos=7)).duration_nanos == 7


def test_profiles_of_different_kinds_are_refused() -> None:
    cpu = Profile((ValueType("cpu", "nanoseconds"),), period_type=ValueType("cpu", "nanoseconds"))

    with pytest.raises(ProfileFormatError, match="expected profiles of one kind"):
        diff(heap(), cpu)


def test_cpu_profiles_differ_sample_by_sample() -> None:
    cpu = (ValueType("cpu", "nanoseconds"),)
    base, new = (Profile(cpu, (Sample(STACK, (value,)),), period_type=cpu[0], period=1) for value in (70, 40))

    assert diff(base, new).samples == (Sample(STACK, (-30,)),)
    assert HEAP_TYPES[0] not in diff(base, new).sample_types
