"""What the core sees of the collector, against what the collector itself says, on real collections."""

import contextlib
import gc
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from itertools import pairwise
from typing import Any

import pytest

from lowtide.pacer.record import UNREAD
from tests.unit.pacer.collecting import Cycle, Request, core, last, records, requesting, thresholds, watched

RING = 4096
READ_EVERY_NS = 100_000_000
IS_INCREMENTAL = (3, 14) <= sys.version_info < (3, 14, 5)

pytestmark = pytest.mark.skipif(IS_INCREMENTAL, reason="the incremental collector's numbers are not read")


@pytest.fixture(autouse=True)
def _watched() -> Iterator[None]:
    with watched():
        yield


@pytest.fixture
def in_request() -> Iterator[ContextVar[Any]]:
    with requesting() as variable:
        yield variable


@contextlib.contextmanager
def callback(function: Callable[[str, dict[str, int]], object]) -> Iterator[None]:
    gc.callbacks.insert(0, function)
    try:
        yield
    finally:
        gc.callbacks.remove(function)


def here() -> int:
    """Return the caller's line."""
    return sys._getframe(1).f_lineno


# What a record says


def test_every_collection_has_a_record_and_they_are_numbered_from_1() -> None:
    before = [stats["collections"] for stats in gc.get_stats()]
    for generation in (0, 1, 2, 0):
        gc.collect(generation)
    after = [stats["collections"] for stats in gc.get_stats()]

    found = records()
    assert [(c.number, c.generation) for c in found] == [(1, 0), (2, 1), (3, 2), (4, 0)]
    assert [b - a for a, b in zip(before, after, strict=True)] == list(core.gc_totals()[0])


def test_freed_objects_are_those_that_the_collector_counts() -> None:
    gc.collect()
    for _ in range(100):
        Cycle()

    assert last().freed == 0
    assert gc.collect() == last().freed
    assert last().freed >= 100


def test_counts_and_thresholds_are_those_before_the_collection() -> None:
    seen = []
    kept = [[i] for i in range(500)]

    with callback(lambda phase, _: seen.append((gc.get_count(), gc.get_threshold())) if phase == "start" else None):
        gc.collect(0)
        gc.collect(1)

    # The callback's own objects come after its look, and before ours.
    for (counts, in_force), record in zip(seen, records(), strict=True):
        assert record.counts[1:] == counts[1:]
        assert 0 <= record.counts[0] - counts[0] < 10
        assert record.thresholds == in_force
    assert records()[0].counts[0] >= len(kept) - 100


def test_the_state_is_what_the_module_gc_says() -> None:
    gc.collect(0)
    kept = [[i] for i in range(500)]  # more than CPython keeps for reuse

    counts, in_force, _, _, is_enabled = core.gc_state()

    assert abs(counts[0] - gc.get_count()[0]) < 10
    assert counts[0] >= len(kept) - 100
    assert counts[1:] == gc.get_count()[1:]
    assert in_force == gc.get_threshold()
    assert is_enabled is False


def test_after_a_full_collection_long_lived_is_what_it_has_left() -> None:
    gc.collect()

    oldest = len(gc.get_objects(generation=2))
    assert abs(last().long_lived - oldest) <= 0.01 * oldest  # tuples that turn out to hold no container leave it
    assert last().pending == 0
    assert core.gc_state()[2:4] == (last().long_lived, 0)


@pytest.mark.skipif(sys.version_info >= (3, 15), reason="the collector says itself what it has scanned")
def test_what_was_scanned_is_what_is_left_and_what_was_freed() -> None:
    gc.collect()  # nothing is pending
    kept = [[i] for i in range(500)]
    for _ in range(100):
        Cycle()
    gc.collect(1)
    middle = last()
    gc.collect()

    assert middle.scanned == middle.pending + middle.freed >= len(kept) + 100
    assert last().scanned == last().long_lived + last().freed


@pytest.mark.skipif(sys.version_info < (3, 15), reason="the collector does not say what it scans")
def test_what_was_scanned_is_what_the_collector_says() -> None:
    said = []
    with callback(lambda phase, info: said.append(info["candidates"]) if phase == "stop" else None):
        for generation in (0, 1, 2):
            gc.collect(generation)

    assert [c.scanned for c in records()] == said


def test_a_pause_holds_the_finalizers_and_the_totals_hold_the_pauses() -> None:
    started = time.monotonic_ns()
    Cycle(lambda: time.sleep(0.02))
    gc.collect(0)
    ended = time.monotonic_ns()

    record = last()
    assert record.pause_ns >= 20_000_000
    assert started <= record.start_ns <= record.start_ns + record.pause_ns <= ended
    assert core.gc_totals()[1] == (record.pause_ns, 0, 0)
    assert core.gc_totals()[2] >= record.pause_ns


def test_memory_is_read_at_full_collections_and_ten_times_a_second_at_most() -> None:
    gc.collect(1)
    assert (last().blocks_before, last().rss_bytes, last().frozen) == (UNREAD, UNREAD, UNREAD)
    for _ in range(10):
        gc.collect()

    read = [c for c in records() if c.blocks_before != UNREAD]
    assert [c.number for c in read][:1] == [2]
    assert all(b.start_ns - a.start_ns >= READ_EVERY_NS for a, b in pairwise(read))
    assert abs(read[0].blocks_after - sys.getallocatedblocks()) < 0.2 * read[0].blocks_after
    assert 10 * 2**20 < read[0].rss_bytes < 2**33


def test_frozen_objects_are_counted_and_the_count_is_kept() -> None:
    before = gc.get_freeze_count()
    gc.freeze()
    try:
        frozen = core.gc_frozen()
        gc.collect()
        assert frozen == pytest.approx(gc.get_freeze_count(), abs=20)
        assert last().frozen == frozen
    finally:
        gc.unfreeze()
    gc.collect()
    assert last().frozen == pytest.approx(before, abs=20)


def test_frozen_objects_that_are_too_many_to_count_in_a_millisecond_are_not_taken_for_those_counted_before() -> None:
    gc.freeze()
    try:
        core.gc_frozen()
        many: list[list[int]] = [[] for _ in range(1_000_000)]
        gc.freeze()
        gc.collect()
        counted = core.gc_frozen()
        assert last().frozen in (UNREAD, counted)
        assert counted > len(many)
    finally:
        gc.unfreeze()


# Causes


def test_an_explicit_collection_names_its_caller() -> None:
    gc.collect()
    line = here() - 1

    assert (last().cause, last().caller) == ("explicit", f"{__file__}:{line}")


def test_a_long_path_keeps_its_end_and_a_line_of_a_trace_stays_one_line() -> None:
    name = "/" + "ü" * 300 + "/a\nb.py"
    exec(compile("\n\nimport gc; gc.collect(0)", name, "exec"), {})  # noqa: S102 - the code is the test's own

    assert last().caller.startswith("...ü")
    assert last().caller.endswith("ü/a?b.py:3")


def test_young_collections_of_the_collector_itself_are_young() -> None:
    with thresholds(200, 5, 1000):
        kept = [[[i] for i in range(10)] for _ in range(500)]

    assert {c.cause for c in records()} == {"young"}
    assert {c.generation for c in records()} == {0, 1}
    assert len(kept) == 500


def test_a_full_collection_of_the_collector_itself_is_full() -> None:
    gc.collect()
    needed = last().long_lived // 4
    with thresholds(200, 2, 2):
        kept = []
        for i in range(2 * needed):  # the collector takes its chance between two turns
            kept.append([i])  # noqa: PERF401 - each list is to be made here

    automatic = [c for c in records() if c.number > 1]
    assert {c.cause for c in automatic if c.generation == 2} == {"full"}
    assert {c.cause for c in automatic if c.generation < 2} == {"young"}


def test_a_callback_that_runs_first_does_not_make_a_young_collection_explicit() -> None:
    def frees(phase: str, _: object) -> None:
        if phase == "start":
            del kept[-3:]

    kept = [[i] for i in range(100)]
    with callback(frees), thresholds(200, 10, 1000):
        kept += [[i] for i in range(10_000)]

    assert {c.cause for c in records()} == {"young"}


def test_an_announced_collection_has_its_cause_once() -> None:
    core.gc_announce("idle", 12_345, 777)
    gc.collect(0)
    gc.collect(0)

    first, second = records()
    assert (first.cause, first.predicted_ns, first.goal_blocks, first.caller) == ("idle", 12_345, 777, "")
    assert (second.cause, second.predicted_ns, second.goal_blocks) == ("explicit", 0, 777)


def test_an_announcement_is_for_the_thread_that_makes_it() -> None:
    core.gc_announce("growth", 1, 0)
    thread = threading.Thread(target=gc.collect, args=(0,))
    thread.start()
    thread.join()
    gc.collect(0)

    assert [c.cause for c in records()] == ["explicit", "growth"]


def test_an_announcement_can_be_taken_back() -> None:
    core.gc_announce("limit", 1, 5)
    core.gc_announce("", 0, 6)
    gc.collect(0)

    assert (last().cause, last().goal_blocks) == ("explicit", 6)


# Requests


def test_a_collection_knows_the_requests_in_flight_and_whether_it_is_in_one(in_request: ContextVar[Any]) -> None:
    assert core.gc_request(3) == 3
    gc.collect(0)
    assert (last().requests, last().in_request) == (3, True)

    thread = threading.Thread(target=gc.collect, args=(0,))  # with a context of its own
    if sys.version_info < (3, 15):
        thread.start()
        thread.join()
        assert (last().requests, last().in_request) == (3, False)
    in_request.set(Request(active=False))
    assert core.gc_request(-3) == 0
    gc.collect(0)
    assert (last().requests, last().in_request) == (0, False)


def test_the_number_of_requests_is_never_below_0() -> None:
    assert core.gc_request(-2) == 0
    assert core.gc_request(1) == 1
    assert core.gc_request(-1) == 0


@pytest.mark.parametrize("value", [None, 7, Request(active=1), Request(active=[])])
def test_a_variable_that_holds_something_else_is_no_request(in_request: ContextVar[Any], value: object) -> None:
    in_request.set(value)
    gc.collect(0)

    assert not last().in_request


# The ring


def test_the_ring_holds_the_last_4096() -> None:
    for _ in range(RING + 500):
        gc.collect(0)

    assert [c.number for c in records()] == list(range(501, RING + 501))
    assert [fields[0] for fields in core.gc_records(RING + 497)] == [RING + 498, RING + 499, RING + 500]
    assert core.gc_records(RING + 500) == core.gc_records(2**62) == []
    assert all(c.caller.startswith(__file__) for c in records())


def test_records_are_whole_when_reading_them_collects() -> None:
    with thresholds(1, 2, 1000):
        for _ in range(20):
            numbers = [fields[0] for fields in core.gc_records(0)]
            assert numbers == sorted(set(numbers))
