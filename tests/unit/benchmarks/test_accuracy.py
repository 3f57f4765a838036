"""How estimates are judged, on numbers made up for it."""

import pytest

from benchmarks.accuracy import Batch, sum_up


def batch(*values_and_errors: tuple[float, float]) -> Batch:
    return {
        "largest": {"site": 64},
        "truth": {"site": [100.0, 0, 0, 0, 0, 0, 0, 0]},
        "runs": [{"site": [value, 0, 0, 0, error, 0, 0, 0]} for value, error in values_and_errors],
    }


def test_an_interval_covers_when_the_truth_is_within_1_96_errors() -> None:
    (estimate,) = sum_up([batch((80.0, 10.21), (80.0, 10.20), (100.0, 0.0), (120.0, 10.21))])
    assert (estimate.covered, estimate.runs) == (3, 4)
    assert estimate.coverage == 0.75


def test_bias_is_of_the_mean_not_of_a_run() -> None:
    (estimate,) = sum_up([batch((50.0, 1.0), (152.0, 1.0))])
    assert estimate.bias == pytest.approx(0.01)
    assert estimate.worst == 52.0


def test_batches_add_up_and_columns_without_truth_are_left_out() -> None:
    (estimate,) = sum_up([batch((90.0, 1.0)), batch((110.0, 1.0))])
    assert (estimate.column, estimate.runs, estimate.mean) == ("alloc_objects", 2, 100.0)
