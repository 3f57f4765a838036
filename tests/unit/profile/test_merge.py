"""One service out of many processes."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowtide.errors import ProfileFormatError, SettingsError
from lowtide.profile import Label, Location, Profile, Sample, ValueType, merge
from tests.models.profile import columns_by_identity
from tests.strategies import HEAP_TYPES, SPACE, heap_profiles
from tests.unit.profile.builders import OTHER, SIZE, STACK, heap

INHERITED = Label("origin", "parent")


def live(objects: int, *labels: Label, stack: tuple[Location, ...] = STACK) -> Sample:
    return Sample(stack, (0, 0, objects, objects * 48), (SIZE, *labels))


@given(st.lists(heap_profiles(), min_size=1, max_size=3))
def test_every_sample_is_the_sum_of_its_equals(profiles: list[Profile]) -> None:
    together = replace(profiles[0], samples=tuple(sample for profile in profiles for sample in profile.samples))

    assert columns_by_identity(merge(profiles)) == columns_by_identity(together)


@given(st.lists(heap_profiles(inherited=True), min_size=1, max_size=3))
def test_no_two_samples_of_a_merge_are_equal(profiles: list[Profile]) -> None:
    merged = merge(profiles)

    assert len(merged.samples) == len(columns_by_identity(merged))


@given(heap_profiles(inherited=True), heap_profiles(inherited=True))
def test_the_order_changes_no_figure(one: Profile, two: Profile) -> None:
    two = replace(two, comments=("process 2.1", "ancestor 1.1"))
    one = replace(one, comments=("process 3.1", "ancestor 1.1"))

    assert columns_by_identity(merge([one, two])) == columns_by_identity(merge([two, one]))


@given(heap_profiles(periods=st.sampled_from([1, 524288])), heap_profiles(periods=st.sampled_from([1, 1048576])))
def test_standard_errors_add_up_as_variances_across_intervals(one: Profile, two: Profile) -> None:
    def variances(profile: Profile) -> float:
        return math.fsum((row.stderr or 0) ** 2 for row in profile.top(10**6))

    assert variances(merge([one, two])) == pytest.approx(variances(one) + variances(two), rel=1e-6)


def test_a_sample_keeps_its_interval_where_the_periods_differ() -> None:
    merged = merge([heap(live(1), period=524288), heap(live(2), period=1048576)])

    assert merged.period == 1048576
    assert {sample.values[2]: sample.labels for sample in merged.samples} == {
        1: (SIZE, Label("interval", num=524288, num_unit="bytes")),
        2: (SIZE,),
    }


def test_an_interval_label_vanishes_where_it_is_the_period() -> None:
    labelled = heap(live(1, Label("interval", num=1048576, num_unit="bytes")), period=524288)

    assert merge([labelled, heap(live(2), period=1048576)]).samples == (live(3),)


def test_an_interval_label_of_somebody_elses_stays() -> None:
    apart = (Sample(STACK, (7,), (Label("interval", "daily"),)), Sample(STACK, (-7,)))
    requests = Profile((ValueType("requests", "count"),), apart)

    assert merge([requests]).samples == apart


def test_inherited_memory_is_left_out_where_the_parent_is_in_the_list() -> None:
    parent = heap(live(100), process="1.1")
    child = heap(live(90, INHERITED), live(5, stack=OTHER), process="2.2", ancestors=("1.1",))

    assert merge([child, parent]).samples == merge([parent, child]).samples[::-1] == (live(5, stack=OTHER), live(100))


def test_inherited_memory_is_left_out_where_the_grandparent_is_in_the_list() -> None:
    grandparent = heap(live(100), process="1.1")
    grandchild = heap(live(90, INHERITED), process="3.3", ancestors=("1.1", "2.2"))

    assert merge([grandparent, grandchild]).samples == (live(100),)


def test_siblings_without_their_parent_contribute_the_maximum() -> None:
    siblings = [
        heap(live(90, INHERITED), live(5, stack=OTHER), process="2.2", ancestors=("1.1",)),
        heap(live(80, INHERITED), live(6, stack=OTHER), process="3.3", ancestors=("1.1",)),
        heap(live(70, INHERITED), process="4.4", ancestors=("2.9", "1.1")),
    ]

    assert merge(siblings).samples == (live(11, stack=OTHER), live(90, INHERITED))


def test_two_blocks_of_one_child_are_added_before_siblings_are_compared() -> None:
    siblings = [
        heap(live(40, INHERITED), live(50, INHERITED), process="2.2", ancestors=("1.1",)),
        heap(live(80, INHERITED), process="3.3", ancestors=("1.1",)),
    ]

    assert merge(siblings).samples == (live(90, INHERITED),)


def test_children_of_different_parents_are_added() -> None:
    strangers = [
        heap(live(90, INHERITED), process="2.2", ancestors=("1.1",)),
        heap(live(80, INHERITED), process="4.4", ancestors=("3.3",)),
    ]

    assert merge(strangers).samples == (live(170, INHERITED),)


def test_merging_in_two_steps_gives_the_same() -> None:
    profiles = [
        heap(live(90, INHERITED), process="2.2", ancestors=("1.1",)),
        heap(live(80, INHERITED), process="3.3", ancestors=("1.1",)),
        heap(live(95, INHERITED), process="4.4", ancestors=("1.1",)),
    ]

    assert merge([merge(profiles[:2]), profiles[2]]).samples == merge(profiles).samples == (live(95, INHERITED),)


def test_what_surrounds_the_samples_is_combined() -> None:
    first = replace(heap(), time_nanos=20, duration_nanos=3, comments=("lowtide 1", "process 1.1"))
    second = replace(
        heap(), time_nanos=10, duration_nanos=4, comments=("lowtide 1", "process 2.2"), doc_url="https://x"
    )
    merged = merge([first, second, heap()])

    assert (merged.time_nanos, merged.duration_nanos, merged.doc_url) == (10, 7, "https://x")
    assert merged.comments == ("lowtide 1", "process 1.1", "process 2.2")
    assert type(merged) is Profile


def test_columns_that_one_of_them_lacks_are_left_out() -> None:
    inuse_only = Profile(HEAP_TYPES[2:], (Sample(STACK, (1, 48), (SIZE,)),), SPACE, 524288)
    merged = merge([heap(live(2)), inuse_only])

    assert merged.sample_types == HEAP_TYPES[2:]
    assert merged.samples == (Sample(STACK, (3, 144), (SIZE,)),)


def test_profiles_of_different_kinds_are_refused() -> None:
    cpu = Profile((ValueType("cpu", "nanoseconds"),), period_type=ValueType("cpu", "nanoseconds"))

    with pytest.raises(ProfileFormatError, match="expected profiles of one kind, got space/bytes and cpu/nanoseconds"):
        merge([heap(), cpu])
    with pytest.raises(ProfileFormatError, match="no sample type that all of them have"):
        merge([heap(), replace(cpu, period_type=SPACE)])


def test_nothing_to_merge_is_an_error() -> None:
    with pytest.raises(SettingsError, match="merge needs at least one profile, got none"):
        merge([])
