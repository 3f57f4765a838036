"""How two sides are compared."""

import pytest

from benchmarks.measure import geometric_mean, half_quartile_range, interleave, ratio


def test_every_side_runs_once_a_round_and_takes_every_place_in_turn() -> None:
    order: list[tuple[int, str, str]] = []

    def run(subject: str, side: str, turn: int) -> float:
        order.append((turn, subject, side))
        return 1.0

    interleave(["w"], ["a", "b", "n"], 3, run)
    assert [side for _, _, side in order] == ["a", "b", "n", "b", "n", "a", "n", "a", "b"]


def test_the_sides_of_one_subject_run_next_to_each_other() -> None:
    order: list[str] = []

    def run(subject: str, _side: str, _turn: int) -> float:
        order.append(subject)
        return 1.0

    interleave(["v", "w"], ["a", "b"], 2, run)
    assert order == ["v", "v", "w", "w"] * 2


def test_figures_come_back_by_subject_side_and_round() -> None:
    times = interleave(["w"], ["a", "b"], 2, lambda _subject, side, turn: turn + (10 if side == "b" else 0))
    assert times == {"w": {"a": [0, 1], "b": [10, 11]}}


def test_a_drift_that_all_sides_share_leaves_the_ratio_alone() -> None:
    times = {"w": {"a": [1.0, 2.0, 4.0], "b": [1.1, 2.2, 4.4]}}
    measured = ratio(times, "b", "a")
    assert measured.value == pytest.approx(1.1)
    assert measured.spread == pytest.approx(0.0)


def test_one_round_that_was_disturbed_does_not_move_the_ratio() -> None:
    times = {"w": {"a": [1.0] * 5, "b": [1.1, 1.1, 9.0, 1.1, 1.1]}}
    assert ratio(times, "b", "a").value == pytest.approx(1.1)


def test_subjects_weigh_alike_however_long_they_take() -> None:
    times = {"short": {"a": [1.0, 1.0], "b": [2.0, 2.0]}, "long": {"a": [100.0, 100.0], "b": [50.0, 50.0]}}
    assert ratio(times, "b", "a").value == pytest.approx(1.0)
    assert ratio(times, "b", "a").by_subject == {"short": 2.0, "long": 0.5}


def test_the_spread_is_half_the_distance_of_the_quartiles() -> None:
    assert half_quartile_range([1.0, 2.0, 3.0, 4.0, 100.0]) == pytest.approx(1.0)


def test_the_geometric_mean_of_a_ratio_and_its_inverse_is_one() -> None:
    assert geometric_mean([4.0, 0.25]) == pytest.approx(1.0)
