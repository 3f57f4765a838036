"""The promises and the verdicts on them."""

import pytest

from benchmarks.__main__ import ROWS
from benchmarks.budgets import Budget, Reading, judge, load

RATIO = Budget("cpu", "CPU time", "x", at_most=1.02, noise=0.02)
COUNT = Budget("count", "instructions", "instructions", at_most=25)
SHARE = Budget("share", "share", "x", at_least=0.5)


def test_every_budget_belongs_to_exactly_one_row() -> None:
    assert sorted(key for keys, _ in ROWS.values() for key in keys) == sorted(load())


@pytest.mark.parametrize(
    ("budget", "measured", "verdict"),
    [
        (COUNT, 25, "pass"),
        (COUNT, 25.01, "miss"),
        (SHARE, 0.5, "pass"),
        (SHARE, 0.49, "miss"),
        (COUNT, None, "not measured"),
        (COUNT, 0, "pass"),
    ],
)
def test_a_figure_on_the_limit_keeps_the_promise(budget: Budget, measured: float | None, verdict: str) -> None:
    assert judge(budget, Reading(budget.name, measured=measured)) == verdict


@pytest.mark.parametrize("measured", [1.0, 1.5])
@pytest.mark.parametrize(("null", "null_spread"), [(1.0, 0.03), (0.97, 0.001), (1.03, 0.001)])
def test_a_null_pair_beyond_the_margin_makes_any_figure_noise(measured: float, null: float, null_spread: float) -> None:
    reading = Reading("cpu", measured=measured, null=null, null_spread=null_spread)
    assert judge(RATIO, reading) == "noisy"


def test_a_quiet_null_pair_lets_the_figure_speak() -> None:
    assert judge(RATIO, Reading("cpu", measured=1.02, null=1.01, null_spread=0.02)) == "pass"
    assert judge(RATIO, Reading("cpu", measured=1.021, null=0.99, null_spread=0.0)) == "miss"


def test_a_budget_needs_one_limit() -> None:
    with pytest.raises(ValueError, match="either at_most or at_least"):
        Budget("none", "nothing", "x")
    with pytest.raises(ValueError, match="either at_most or at_least"):
        Budget("both", "everything", "x", at_most=1, at_least=0)
