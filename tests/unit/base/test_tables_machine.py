"""The tables of csrc/base against dictionaries, through arbitrary sequences of what hooks, snapshots and forks do."""

import copy
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lowtide.profile.formats.pprof import decode
from lowtide.profile.model import ProfileData
from tests.models.heap_tables import DOMAINS, Frame, HeapTables
from tests.unit.base.library import NONE, Header, Tables
from tests.unit.base.reading import check_profile

FRAMES = st.builds(
    Frame,
    name=st.sampled_from(["f", "C.m", "größe", "<lambda>", ""]),
    file=st.sampled_from(["/app/main.py", "/site/pkg/mod.py", "<string>", ""]),
    first_line=st.integers(-1, 3),
    line=st.integers(-1, 3),
)
STACKS = st.lists(FRAMES, max_size=4).map(tuple)
# Neighbours, and blocks that share a counter of the filter.
ADDRESSES = st.one_of(st.integers(1, 40).map(lambda n: n << 4), st.integers(1, 40).map(lambda n: (n << 38) + 64))
SIZES = st.one_of(st.integers(0, 5), st.integers(0, 2**40))
INTERVALS = st.sampled_from([1, 2, 1024, 524288, 2**30])
HEADER = Header(roots=["/site"], script="/app/main.py", comments=["a comment"], time_nanos=5)


@dataclass
class Reading:
    snapshot: int
    model: HeapTables  # as it was when the snapshot began


class TablesMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.readings: list[Reading] = []

    @initialize(seed=st.integers(0, 2**64 - 1), interval=INTERVALS)
    def begin(self, seed: int, interval: int) -> None:
        self.model = HeapTables(interval)
        self.tables = Tables(interval=interval, seed=seed)

    def teardown(self) -> None:
        for reading in self.readings:
            self.tables.end_snapshot(reading.snapshot)
        self.tables.close()

    @rule(address=ADDRESSES, stack=STACKS, size=SIZES, domain=st.sampled_from(DOMAINS))
    def record(self, address: int, stack: tuple[Frame, ...], size: int, domain: str) -> None:
        assert self.tables.record(address, stack, size, domain)
        self.model.record(address, stack, size, domain)

    @rule(stack=STACKS, sizes=st.lists(SIZES, min_size=50, max_size=400))
    def record_many(self, stack: tuple[Frame, ...], sizes: list[int]) -> None:
        for number, size in enumerate(sizes):
            self.record((number + 100) << 4, stack, size, "raw")

    @rule(address=ADDRESSES)
    def free(self, address: int) -> None:
        keys = self.tables.keys()
        bucket, expected = self.tables.remove(address), self.model.remove(address)
        assert (None if bucket == NONE else keys[bucket]) == expected

    @rule(address=ADDRESSES)
    def fail_to_realloc(self, address: int) -> None:
        if (bucket := self.tables.remove(address)) != NONE:
            self.tables.restore(address, bucket)

    @rule(interval=INTERVALS)
    def change_the_interval(self, interval: int) -> None:
        self.tables.set_interval(interval)
        self.model.interval = interval

    @rule()
    def fork(self) -> None:
        self.tables.fork()
        self.model.fork()
        self.readings.clear()

    @rule()
    def thin(self) -> None:
        thinned = self.tables.thin()
        assert thinned == (not self.readings and self.model.interval < 2**50)
        if thinned:
            self.model.thin(self.tables.state().interval, self.tables.live(), self.tables.allocs())

    @precondition(lambda self: not self.readings)
    @rule(max_bytes=st.integers(1, 8).map(lambda n: n * 2**20))
    def change_the_budget(self, max_bytes: int) -> None:
        assert self.tables.set_budget(max_bytes)
        if self.tables.state().interval != self.model.interval:
            self.model.thin(self.tables.state().interval, self.tables.live(), self.tables.allocs())

    @precondition(lambda self: len(self.readings) < 2)
    @rule()
    def begin_a_snapshot(self) -> None:
        self.readings.append(Reading(self.tables.begin_snapshot(), copy.deepcopy(self.model)))

    @precondition(lambda self: self.readings)
    @rule(index=st.integers(0, 1))
    def end_a_snapshot(self, index: int) -> None:
        reading = self.readings.pop(index % len(self.readings))
        profile = decode(self.tables.encode(reading.snapshot, HEADER), ProfileData)
        self.tables.end_snapshot(reading.snapshot)
        check_profile(profile, reading.model, ["/site"], "/app/main.py")
        assert (profile.comments, profile.time_nanos) == (("a comment",), 5)

    @invariant()
    def agrees_with_the_model(self) -> None:
        allocs, live = self.tables.allocs(), self.tables.live()
        assert +allocs == +self.model.allocs
        assert live == self.model.live
        assert +self.tables.live_counts() == self.model.live_counts()
        assert all(self.tables.maybe_live(address) for address in live)

    @invariant()
    def counts_itself_right(self) -> None:
        state = self.tables.state()
        assert (state.samples, state.stale, state.lost) == (self.model.samples, self.model.stale, 0)
        assert (state.interval, state.generation) == (self.model.interval, self.model.generation)
        assert state.committed + state.copied <= state.max_bytes
        assert (state.copied > 0) == bool(self.readings)


BRIEF = settings(deadline=None, max_examples=40, stateful_step_count=30, suppress_health_check=[HealthCheck.too_slow])
LONG = settings(BRIEF, max_examples=400, stateful_step_count=60)

TestTables = TablesMachine.TestCase
TestTables.settings = BRIEF


class LongTablesMachine(TablesMachine):
    """The same for minutes."""


TestTablesForMinutes = pytest.mark.slow(pytest.mark.timeout(1200)(LongTablesMachine.TestCase))
TestTablesForMinutes.settings = LONG
