"""The control law on synthetic services, beside CPython alone: where collections fall, what they cost, what is held."""

import functools
from dataclasses import replace

import pytest

from lowtide.pacer.policy import Policy
from lowtide.pacer.reading import Act
from tests.models.pacer_service import BASE_BYTES, OBJECT_BYTES, STOCK, Outcome, Service, Workload

MIB = 2**20
SESSIONS = Workload(kept=60, kept_requests=5_000, kept_become_garbage=True)

STATIC_HEAP = Workload(static=1_000_000, kept=10, kept_requests=200)
REQUEST_CYCLES = Workload(static=100_000, temporary=1_800, cycles=200, kept=60, kept_requests=500)
OLD_GARBAGE = replace(SESSIONS, static=200_000)
NO_IDLE_HOOK = replace(SESSIONS, static=200_000, tells_idle=False)
SATURATED = replace(SESSIONS, static=200_000, gap_seconds=0.0)
BURSTS = replace(SESSIONS, static=500_000, gap_seconds=0.0001, burst=500, burst_gap_seconds=2.0)
NOTHING_STATIC = replace(SESSIONS, temporary=100)
LEAK = Workload(static=200_000, kept=50)
FLOOD = Workload(static=50_000, kept=3_000, kept_requests=2_000, kept_become_garbage=True, gap_seconds=0.0)

EVERY_BUT_THE_LEAK = {
    "static heap": (STATIC_HEAP, 20_000),
    "request cycles": (REQUEST_CYCLES, 10_000),
    "old garbage": (OLD_GARBAGE, 30_000),
    "no idle hook": (NO_IDLE_HOOK, 30_000),
    "saturated": (SATURATED, 30_000),
    "bursts": (BURSTS, 30_000),
    "nothing static": (NOTHING_STATIC, 30_000),
}


@functools.cache
def paced(workload: Workload, requests: int, limit_bytes: int = 0) -> Outcome:
    return Service(workload, Policy(STOCK), limit_bytes).run(requests)


@functools.cache
def alone(workload: Workload, requests: int) -> Outcome:
    return Service(workload, None).run(requests)


every_workload = pytest.mark.parametrize(
    ("workload", "requests"), EVERY_BUT_THE_LEAK.values(), ids=EVERY_BUT_THE_LEAK.keys()
)


@every_workload
def test_no_full_collection_falls_into_a_request(workload: Workload, requests: int) -> None:
    assert paced(workload, requests).in_request(generation=2) == []


@every_workload
def test_no_pause_in_a_request_is_longer_than_two_milliseconds(workload: Workload, requests: int) -> None:
    assert max(paced(workload, requests).in_request(), default=0.0) <= 0.002


@every_workload
def test_the_peak_is_at_most_a_tenth_above_cpythons(workload: Workload, requests: int) -> None:
    def peak_bytes(outcome: Outcome) -> int:
        return BASE_BYTES + outcome.peak_objects * OBJECT_BYTES

    assert peak_bytes(paced(workload, requests)) <= 1.1 * peak_bytes(alone(workload, requests))


@every_workload
def test_it_does_not_let_go(workload: Workload, requests: int) -> None:
    assert paced(workload, requests).acts(Act.RELEASE) == []


def test_request_cycles_cost_less_than_half_of_what_they_cost_cpython() -> None:
    assert paced(REQUEST_CYCLES, 10_000).share <= alone(REQUEST_CYCLES, 10_000).share / 2


def test_a_static_heap_is_collected_once_and_frozen() -> None:
    assert [decision.act for decision in paced(STATIC_HEAP, 20_000).acts(Act.FULL, Act.FREEZE)] == [Act.FREEZE]


def test_idle_time_takes_all_full_collections_where_it_is_long_enough() -> None:
    assert {decision.cause for decision in paced(BURSTS, 30_000).acts(Act.FULL)} == {"idle"}


def test_a_live_leak_costs_no_more_than_a_twentieth_of_the_time() -> None:
    assert paced(LEAK, 30_000).share <= 0.05


def test_a_live_leak_over_its_limit_is_given_up_on_once_and_costs_no_more() -> None:
    outcome = paced(LEAK, 30_000, 120 * MIB)
    assert outcome.share <= 0.05
    assert [decision.reason.split(" of ")[0] for decision in outcome.acts(Act.NOTHING)] == [
        "gives up on the memory limit"
    ]


def test_old_garbage_is_kept_under_a_limit_that_cpython_alone_would_break() -> None:
    limit_bytes = BASE_BYTES + 560_000 * OBJECT_BYTES
    assert alone(OLD_GARBAGE, 30_000).peak_objects > 560_000
    outcome = paced(OLD_GARBAGE, 30_000, limit_bytes)
    assert outcome.peak_objects <= 560_000
    assert outcome.share <= 0.05


def test_looking_at_what_is_frozen_near_the_limit_does_not_push_memory_over_it() -> None:
    sessions = replace(SESSIONS, static=40_000, kept_requests=1_000, seconds=0.01, gap_seconds=0.005)
    outcome = paced(sessions, 45_000, BASE_BYTES + 120_000 * OBJECT_BYTES)
    assert len(outcome.acts(Act.AUDIT)) == 1
    assert outcome.peak_objects <= 120_000


def test_a_flood_of_garbage_is_left_to_cpython_so_that_memory_stays_bounded() -> None:
    flood, cpython = paced(FLOOD, 10_000), alone(FLOOD, 10_000)
    assert any("CPython" in decision.reason for decision in flood.acts(Act.NOTHING))
    assert flood.peak_objects <= 1.25 * cpython.peak_objects
    assert flood.share <= cpython.share
