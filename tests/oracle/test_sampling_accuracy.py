"""The sampler's estimates against a program whose every block is known."""

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from benchmarks.accuracy import Batch, Estimate, run_sampler, sum_up
from benchmarks.spawn import Interpreter

pytestmark = pytest.mark.oracle

MIB = 2**20
HERE = Interpreter(sys.executable, "this one")
FEW, MANY, BATCH_RUNS = 40, 2_000, 50


@pytest.fixture(scope="module")
def few() -> Batch:
    return run_sampler(HERE, first_seed=1, runs=FEW)


def exact(estimates: list[Estimate]) -> Iterator[Estimate]:
    return (each for each in estimates if each.largest >= 16 * MIB)


def sampled(estimates: list[Estimate]) -> Iterator[Estimate]:
    return (each for each in estimates if each.largest < 16 * MIB)


def test_at_interval_1_every_block_is_counted_once(few: Batch) -> None:
    assert few["truth"]["keep_512"][:4] == [61_470, 61_470 * 512, 61_470, 61_470 * 512]
    assert few["truth"]["keep_1m"][:4] == [104, 104 * MIB, 104, 104 * MIB]
    assert few["truth"]["churn_64"][:4] == [491_550, 491_550 * 64, 0, 0]


def test_means_lie_within_five_standard_errors_of_the_truth(few: Batch) -> None:
    # The thousandth covers sites that so few runs hardly miss a block of: their spread says little.
    for each in sum_up([few]):
        tolerance = 5 * each.deviation / FEW**0.5 + 0.001 * each.truth + 0.5
        assert abs(each.mean - each.truth) <= tolerance, each


def test_intervals_hold_the_truth_about_as_often_as_they_claim(few: Batch) -> None:
    # An interval that holds 93 % of the time holds fewer than 27 times in 40 once in four million.
    assert [each for each in sampled(sum_up([few])) if each.covered < 27] == []


def test_blocks_of_16_mib_and_more_are_counted_exactly(few: Batch) -> None:
    estimates = list(exact(sum_up([few])))
    assert estimates
    assert [each for each in estimates if each.worst > 1] == []


def test_what_is_in_use_never_exceeds_what_was_allocated(few: Batch) -> None:
    for run in few["runs"]:
        for site, (alloc_objects, alloc_space, inuse_objects, inuse_space, *_) in run.items():
            assert inuse_objects <= alloc_objects, site
            assert inuse_space <= alloc_space, site


@pytest.fixture(scope="module")
def many() -> list[Estimate]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        batches = pool.map(partial(run_sampler, HERE, runs=BATCH_RUNS), range(1, MANY, BATCH_RUNS))
        return sum_up(list(batches))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_over_2000_runs_every_mean_is_within_a_hundredth_of_the_truth(many: list[Estimate]) -> None:
    assert [each for each in many if each.bias > 0.01] == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_over_2000_runs_intervals_of_blocks_up_to_1_mib_cover_93_to_97_percent(many: list[Estimate]) -> None:
    assert [each for each in many if each.largest <= MIB and not 0.93 <= each.coverage <= 0.97] == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_over_2000_runs_intervals_of_larger_blocks_cover_at_least_93_percent(many: list[Estimate]) -> None:
    assert [each for each in many if each.largest > MIB and each.coverage < 0.93] == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_over_2000_runs_blocks_of_16_mib_and_more_are_exact(many: list[Estimate]) -> None:
    assert [each for each in exact(many) if each.worst > 1] == []
