"""Ranking: flat, cum and the standard error of a row."""

import math
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowtide.errors import SettingsError
from lowtide.profile import Function, Label, Line, Location, Mapping, Profile, Row, Sample, ValueType
from lowtide.profile.ops import By
from tests.models.profile import flat_and_cum, frames, site, variance
from tests.strategies import HEAP_TYPES, SPACE, heap_profiles

LEAF, CALLER = (
    Function(f"app.{name}", filename="app.py", start_line=line) for name, line in (("leaf", 10), ("caller", 20))
)
CPU_TYPES = (ValueType("samples", "count"), ValueType("cpu", "nanoseconds"))

columns = st.sampled_from(range(4))
groupings = st.sampled_from(["line", "function", "file"])


def at(function: Function, line: int) -> Location:
    return Location((Line(function, line),))


def cpu_profile(*samples: tuple[tuple[Location, ...], int]) -> Profile:
    return Profile(CPU_TYPES, tuple(Sample(stack, (value, value * 10**7)) for stack, value in samples))


@given(heap_profiles(), columns, groupings)
def test_flat_and_cum_are_those_of_the_model(profile: Profile, column: int, by: By) -> None:
    rows = profile.top(10**6, HEAP_TYPES[column].type, by)

    assert {(row.name, row.file, row.line): (row.flat, row.cum) for row in rows} == flat_and_cum(profile, column, by)


@given(heap_profiles(periods=st.sampled_from([1, 4096, 524288])), columns, groupings)
def test_stderr_adds_up_the_variances_of_the_leafs_samples(profile: Profile, column: int, by: By) -> None:
    variances: defaultdict[tuple[str, str, int], float] = defaultdict(float)
    for sample in profile.samples:
        leaf = site(frames(sample)[0], by)
        variances[leaf] += variance(sample, column, profile.period, HEAP_TYPES[column].unit)

    for row in profile.top(10**6, HEAP_TYPES[column].type, by):
        expected = math.sqrt(variances[row.name, row.file, row.line])
        assert row.stderr == pytest.approx(expected, rel=1e-6, abs=1e-9)


@given(heap_profiles(), st.integers(1, 4))
def test_rows_come_largest_first_and_no_more_than_asked(profile: Profile, n: int) -> None:
    everything = profile.top(10**6)

    assert profile.top(n) == everything[:n]
    assert [row.flat for row in everything] == sorted((row.flat for row in everything), reverse=True)


@given(heap_profiles(), columns)
def test_flat_adds_up_to_the_total(profile: Profile, column: int) -> None:
    rows = profile.top(10**6, HEAP_TYPES[column].type)

    assert sum(row.flat for row in rows) == profile.total(HEAP_TYPES[column].type)


def test_a_recursive_stack_counts_once_in_cum() -> None:
    profile = cpu_profile(((at(LEAF, 11), at(LEAF, 11), at(CALLER, 21), at(LEAF, 11)), 5))

    assert profile.top(sample_type="samples") == [
        Row("app.leaf", "app.py", 11, 5, 5, None),
        Row("app.caller", "app.py", 21, 0, 5, 0.0),
    ]


def test_an_inlined_leaf_takes_the_flat_value() -> None:
    inlined = Location((Line(LEAF, 11), Line(CALLER, 21)))

    rows = cpu_profile(((inlined,), 5)).top(sample_type="samples", by="function")
    assert [(row.name, row.line, row.flat, row.cum) for row in rows] == [
        ("app.leaf", 10, 5, 5),
        ("app.caller", 20, 0, 5),
    ]


def test_an_address_without_a_symbol_is_named_by_its_binary() -> None:
    address = Location(address=0x401234, mapping=Mapping(filename="/usr/lib/libc.so.6"))
    profile = cpu_profile(((address, at(CALLER, 21)), 5), ((Location(),), 4))

    assert [row.name for row in profile.top(sample_type="samples")] == [
        "0x401234 [libc.so.6]",
        "0x0 <unknown>",
        "app.caller",
    ]
    assert profile.top(1, "samples", "function")[0].name == "[libc.so.6]"
    assert profile.top(1, "samples", "file")[0].name == "[libc.so.6]"


def test_functions_of_one_name_in_two_files_stay_apart() -> None:
    twins = [Function("app.get", filename=name) for name in ("a.py", "b.py")]
    profile = cpu_profile(*(((at(twin, 1),), 5) for twin in twins))

    assert [row.file for row in profile.top(sample_type="samples", by="function")] == ["a.py", "b.py"]


def test_a_sample_keeps_the_interval_of_its_label() -> None:
    labels = (Label("bytes", num=1024, num_unit="bytes"), Label("interval", num=1048576, num_unit="bytes"))
    sample = Sample((at(LEAF, 11),), (0, 0, 2050, 2099200), labels)
    p = 1 - math.exp(-1024 / 1048576)
    profile = Profile(HEAP_TYPES, (sample,), SPACE, period=524288)

    assert profile.top()[0].stderr == pytest.approx(1024 * math.sqrt(2050 * (1 - p) / p))


def test_large_blocks_are_exact() -> None:
    size = 32 * 2**20
    sample = Sample((at(LEAF, 11),), (3, 3 * size, 3, 3 * size), (Label("bytes", num=size, num_unit="bytes"),))

    assert Profile(HEAP_TYPES, (sample,), SPACE, period=524288).top()[0].stderr == pytest.approx(0, abs=size * 1e-6)


def test_without_the_size_of_its_blocks_a_row_has_no_stderr() -> None:
    sample = Sample((at(LEAF, 11),), (1, 48, 1, 48))

    assert Profile(HEAP_TYPES, (sample,), SPACE, period=524288).top()[0].stderr is None


def test_the_default_column_is_the_profiles_own_else_its_last() -> None:
    profile = cpu_profile(((at(LEAF, 11),), 5))

    assert profile.top(sample_type=None)[0].flat == 5 * 10**7
    own = Profile(CPU_TYPES, profile.samples, default_sample_type="samples")
    assert own.top(sample_type=None)[0].flat == 5


def test_an_unknown_sample_type_gets_the_list_of_the_known() -> None:
    with pytest.raises(SettingsError, match=r"sample_type must be one of samples, cpu, got 'inuse_space'"):
        cpu_profile().top()
    with pytest.raises(SettingsError, match=r"one of samples, cpu, got ''"):
        cpu_profile().total("")


def test_an_argument_out_of_range_gets_the_range() -> None:
    with pytest.raises(SettingsError, match=r"n must be >= 1, got 0"):
        cpu_profile().top(0)
    with pytest.raises(SettingsError, match=r"by must be one of line, function, file, got 'lines'"):
        cpu_profile().top(by="lines")  # type: ignore[arg-type]  # what the test is about


def test_stacks_without_frames_count_in_the_total_alone() -> None:
    profile = cpu_profile(((), 5))

    assert profile.top(sample_type="samples") == []
    assert profile.total("samples") == 5
