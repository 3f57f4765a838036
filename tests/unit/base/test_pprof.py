"""What csrc/base's encoder writes, read back with lowtide.profile."""

import statistics
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lowtide.profile.formats.pprof import decode
from lowtide.profile.model import ProfileData
from tests.models.heap_tables import DOMAINS, INT64_MAX, Frame, HeapTables, probability
from tests.strategies import texts
from tests.unit.base.library import Header, Tables
from tests.unit.base.reading import check_profile

NewTables = Callable[..., Tables]

LINES = st.integers(-(2**31), 2**31 - 1)
FRAMES = st.builds(Frame, name=texts, file=texts.map(lambda text: "/site/" + text), first_line=LINES, line=LINES)
BLOCKS = st.lists(
    st.tuples(st.lists(FRAMES, max_size=5).map(tuple), st.integers(0, 2**63 - 1), st.sampled_from(DOMAINS)),
    max_size=20,
)
LEAF = Frame("f", "/site/mod.py", 1, 2)


def read(tables: Tables, header: Header | None = None) -> ProfileData:
    snapshot = tables.begin_snapshot()
    try:
        return decode(tables.encode(snapshot, header or Header()), ProfileData)
    finally:
        tables.end_snapshot(snapshot)


def values_of(tables: Tables) -> tuple[int, ...]:
    (sample,) = read(tables).samples
    return sample.values


@given(blocks=BLOCKS, interval=st.sampled_from([1, 3, 524288]), script=texts, comments=st.lists(texts, max_size=3))
@example(blocks=[((LEAF,), 2**63 - 1, "raw")] * 3, interval=1, script="", comments=[])
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_says_what_the_tables_hold(
    blocks: list[tuple[tuple[Frame, ...], int, str]], interval: int, script: str, comments: list[str]
) -> None:
    model, tables = HeapTables(interval), Tables(interval=interval)
    for number, block in enumerate(blocks, 1):
        assert tables.record(number << 4, *block)
        model.record(number << 4, *block)
    for number in range(1, len(blocks), 3):
        tables.remove(number << 4)
        model.remove(number << 4)
    profile = read(tables, Header(["/site"], script, comments, time_nanos=-7))
    tables.close()
    check_profile(profile, model, ["/site"], script)
    assert profile.comments == tuple(comments)
    assert profile.time_nanos == -7


def test_empty_tables_make_a_readable_profile(new_tables: NewTables) -> None:
    profile = read(new_tables(interval=4096), Header(["/site"], "/app/main.py", ["nothing yet"], 1))
    assert (profile.samples, profile.period, profile.comments) == ((), 4096, ("nothing yet",))


def test_what_no_sample_uses_is_left_out(new_tables: NewTables) -> None:
    tables = new_tables()
    tables.intern([Frame("unused", "/site/unused.py", 1, 1)])
    tables.record(16, [Frame("inherited", "/site/inherited.py", 1, 1)], 100, "obj")
    tables.remove(16)
    tables.fork()
    tables.record(32, [LEAF], 100, "obj")
    snapshot = tables.begin_snapshot()
    message = tables.encode(snapshot, Header())
    tables.end_snapshot(snapshot)
    assert b"unused" not in message
    assert b"inherited" not in message
    assert len(decode(message, ProfileData).samples) == 1


def test_a_child_shows_inherited_blocks_as_its_parents(new_tables: NewTables) -> None:
    tables = new_tables()
    for address in (16, 32):
        tables.record(address, [LEAF], 100, "obj")
    tables.fork()
    tables.remove(16)
    tables.record(48, [LEAF], 100, "obj")
    origins = {}
    for sample in read(tables).samples:
        labels = {label.key: label.str for label in sample.labels}
        origins[labels.get("origin", "")] = sample.values
    assert origins == {"": (1, 100, 1, 100), "parent": (0, 0, 1, 100)}


def test_a_block_of_size_0_counts_as_1_byte(new_tables: NewTables) -> None:
    tables = new_tables()
    tables.record(16, [LEAF], 0, "obj")
    assert values_of(tables) == (1, 1, 1, 1)


@pytest.mark.parametrize("interval", [1, 2])
def test_sums_beyond_the_format_stop_at_its_largest_number(new_tables: NewTables, interval: int) -> None:
    tables = new_tables(interval=interval)
    for number in range(1, 6):
        tables.record(number << 4, [LEAF], 2**62, "raw")
    assert values_of(tables) == (5, INT64_MAX, 5, INT64_MAX)


@given(size=st.integers(1, 2**21), interval=st.integers(2, 2**21))
@settings(deadline=None, max_examples=30)
def test_columns_never_fall_while_blocks_come_and_never_cross(size: int, interval: int) -> None:
    tables = Tables(interval=interval)
    before: tuple[int, ...] = (0, 0, 0, 0)
    for number in range(1, 30):
        tables.record(number << 4, [LEAF], size, "obj")
        values = values_of(tables)
        assert all(now >= then for now, then in zip(values, before, strict=True))
        before = values
    for number in range(1, 29):
        tables.remove(number << 4)
        values = values_of(tables)
        assert values[:2] == before[:2]
        assert before[2] >= values[2] >= 1
        assert before[3] >= values[3] >= 1
        before = values
    tables.close()


@pytest.mark.parametrize("size", [1000, 262144, 524288, 1048576, 2000000])
def test_rounding_many_buckets_loses_nothing(new_tables: NewTables, size: int) -> None:
    """A sample at the interval's size stands for 1.58 blocks: were all cut to 1, a third of them would be gone."""
    tables, sites = new_tables(max_bytes=16 * 2**20, interval=524288), 4000
    for site in range(sites):
        tables.record(site + 1 << 4, [Frame("f", "/site/mod.py", 1, site)], size, "obj")
    counts = [sample.values[0] for sample in read(tables).samples]
    scale = 1 / probability(size, 524288)
    deviation = ((scale % 1) * (1 - scale % 1) / sites) ** 0.5
    assert statistics.fmean(counts) == pytest.approx(scale, abs=4 * deviation)
    assert set(counts) <= {int(scale), int(scale) + 1}


def test_samples_of_other_intervals_carry_them(new_tables: NewTables) -> None:
    tables = new_tables(interval=1024)
    tables.record(16, [LEAF], 100, "obj")
    tables.set_interval(4096)
    tables.record(32, [LEAF], 100, "obj")
    profile = read(tables)
    intervals = [label for sample in profile.samples for label in sample.labels if label.key == "interval"]
    assert profile.period == 4096
    assert [(label.num, label.num_unit) for label in intervals] == [(1024, "bytes")]
