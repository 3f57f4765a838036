"""The mix of requests."""

import random
from collections import Counter
from itertools import islice

import pytest

from tools.openload import Request, Scenario, Step


def _mix() -> Scenario:
    def search(rng: random.Random) -> Request:
        return Request("GET", f"/search?page={rng.randrange(1000)}")

    def put(rng: random.Random) -> Request:
        return Request("POST", "/items", rng.randbytes(8))

    return Scenario(Step("search", 3, search), Step("put", 1, put))


def test_the_same_seed_draws_the_same_requests() -> None:
    first, again, other = (list(islice(_mix().requests(seed), 100)) for seed in (7, 7, 8))
    assert first == again
    assert first != other


def test_steps_are_drawn_in_proportion_to_their_weights() -> None:
    drawn = Counter(name for name, _ in islice(_mix().requests(seed=1), 10_000))
    assert drawn["search"] == pytest.approx(7500, abs=250)
    assert drawn.total() == 10_000


def test_a_scenario_without_steps_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^scenario must have at least one step, got none$"):
        Scenario()


@pytest.mark.parametrize("weight", [0, -1, float("nan"), float("inf")])
def test_a_weight_out_of_range_is_refused(weight: float) -> None:
    with pytest.raises(ValueError, match=r"^weight of step 'x' must be > 0, got "):
        Scenario(Step("x", weight, lambda _: Request("GET", "/")))
