"""The control law, rule by rule."""

from typing import Any

import pytest

from lowtide.errors import SettingsError
from lowtide.pacer.policy import Policy
from lowtide.pacer.reading import Act, Decision, Moment
from lowtide.pacer.thresholds import NEVER
from tests.unit.pacer.desk import FROZEN, QUIET, STOCK, Desk
from tests.unit.pacer.traces import collection, full


@pytest.fixture
def desk() -> Desk:
    return Desk().warm()


# Young collections


def test_the_upper_threshold_is_raised_from_the_first_answer_on() -> None:
    assert Desk().reading.thresholds[2] == NEVER


def test_young_collections_move_to_the_ends_of_requests(desk: Desk) -> None:
    count = desk.reading.thresholds[0] // 8
    assert desk.act(counts=(count - 1, 0, 0)) is QUIET
    assert desk.act(counts=(count, 0, 0), moment=Moment.IN_REQUEST) is QUIET
    decision = desk.ask(counts=(count, 0, 0), moment=Moment.SAFE)
    assert (decision.act, decision.cause) == (Act.YOUNG, "safepoint")
    assert decision.predicted_ns > 0


def test_while_others_are_in_flight_a_young_collection_waits_for_half_of_the_threshold() -> None:
    desk = Desk(stock=(50_000, 10, 10)).warm()
    count = desk.reading.thresholds[0] // 2
    assert desk.act(counts=(count - 1, 0, 0), moment=Moment.BUSY) is QUIET
    assert desk.act(counts=(count, 0, 0), moment=Moment.BUSY) is Act.YOUNG


def test_no_young_collection_at_a_safe_point_comes_later_than_cpythons() -> None:
    desk = Desk(stock=(300, 10, 10)).warm()
    assert desk.act(counts=(300, 0, 0), moment=Moment.BUSY) is Act.YOUNG


def test_generation_1_is_collected_before_its_threshold_is_reached_in_a_request(desk: Desk) -> None:
    assert desk.act(counts=(5_000, desk.reading.thresholds[1] // 2 + 1, 0)) is Act.MIDDLE


@pytest.mark.parametrize(("each_ns", "threshold"), [(20, 10_000), (100, 10_000), (300, 3_333), (2_000, 2_000)])
def test_the_young_threshold_is_what_a_millisecond_can_scan(desk: Desk, each_ns: int, threshold: int) -> None:
    for _ in range(60):
        count = desk.reading.thresholds[0] + 1
        desk.policy.collected(collection(counts=(count, 0, 0), scanned=count, pause_ns=each_ns * count))
        desk.ask()
    assert desk.reading.thresholds[0] == pytest.approx(threshold, rel=0.3)


def test_where_generation_1_is_slow_it_is_collected_more_often(desk: Desk) -> None:
    for _ in range(30):
        desk.policy.collected(collection(generation=1, counts=(2_000, 9, 0), pause_ns=5_000_000))
    assert desk.ask().thresholds[1] == 2


# The first freeze


def test_the_first_safe_point_after_a_hundred_requests_collects_and_freezes() -> None:
    desk = Desk()
    assert desk.act(requests_ended=99) is QUIET
    assert desk.act(requests_ended=100, moment=Moment.IN_REQUEST) is QUIET
    assert desk.act(requests_ended=100, moment=Moment.BUSY) is QUIET
    decision = desk.ask(requests_ended=101, moment=Moment.SAFE)
    assert (decision.act, decision.cause) == (Act.FREEZE, "safepoint")


def test_half_a_second_after_the_first_rest_will_do_as_well() -> None:
    desk = Desk()
    assert desk.act(moment=Moment.SAFE, requests_ended=1) is QUIET
    assert desk.act(after=0.6) is Act.FREEZE


def test_what_a_child_will_share_is_frozen_before_the_first_fork_and_only_then() -> None:
    desk = Desk()
    decision = desk.ask(moment=Moment.FORK)

    assert decision.act is Act.FREEZE
    desk.collected(decision)
    assert desk.act(moment=Moment.FORK, blocks=10_000_000) is QUIET


def test_a_program_that_never_rests_is_frozen_outside_a_request_after_a_minute() -> None:
    desk = Desk()
    assert desk.act(moment=Moment.BUSY, requests_ended=200) is QUIET
    assert desk.act(after=59) is QUIET
    assert desk.act(after=2, moment=Moment.IN_REQUEST) is QUIET
    assert desk.act(moment=Moment.BUSY) is Act.FREEZE


# Full collections


def test_growth_makes_a_full_collection_due_and_idle_time_that_fits_runs_it(desk: Desk) -> None:
    idle: dict[str, Any] = {"moment": Moment.IDLE, "counts": (200_000, 0, 0)}  # 20 ms at 100 ns each
    assert desk.act(blocks=desk.grown(19), idle_seconds=1.0, **idle | {"counts": (0, 0, 0)}) is QUIET
    assert desk.act(blocks=desk.grown(20), moment=Moment.SAFE) is QUIET
    assert desk.act(idle_seconds=0.010, **idle) is not Act.FULL
    decision = desk.ask(after=2, idle_seconds=0.5, **idle)
    assert (decision.act, decision.cause) == (Act.FULL, "idle")


@pytest.mark.parametrize(
    ("moment", "growth", "waits"),
    [
        *((Moment.SAFE, 26, 0), (Moment.BUSY, 26, 0), (Moment.SAFE, 20, 61)),
        *((Moment.IN_REQUEST, 31, 0), (Moment.IN_REQUEST, 20, 121)),
    ],
)
def test_what_is_due_is_run_in_the_next_best_place_when_growth_or_time_runs_out(
    desk: Desk, moment: Moment, growth: float, waits: float
) -> None:
    assert desk.act(blocks=desk.grown(20), moment=moment) is QUIET
    decision = desk.ask(after=waits, blocks=desk.grown(growth))
    assert (decision.act, decision.cause) == (Act.FULL, "growth")


def test_inside_a_request_a_collection_waits_where_outside_it_would_not(desk: Desk) -> None:
    assert desk.act(blocks=desk.grown(20), moment=Moment.IN_REQUEST) is QUIET
    assert desk.act(after=61, blocks=desk.grown(26)) is QUIET


def test_a_hundred_percent_means_doubled() -> None:
    desk = Desk(percent=100).warm()
    assert desk.ask().goal_blocks == 2_000_000
    assert desk.act(blocks=1_999_999) is QUIET
    assert desk.act(blocks=2_000_000, moment=Moment.IDLE, idle_seconds=1.0) is Act.FULL


def test_setting_percent_returns_the_one_before_and_takes_effect_at_once(desk: Desk) -> None:
    desk.ask(blocks=desk.grown(15), moment=Moment.IDLE, idle_seconds=1.0)
    assert desk.policy.set_percent(10) is None
    assert desk.act() is Act.FULL
    assert desk.policy.set_percent(None) == 10


@pytest.mark.parametrize("percent", [0, -5])
def test_percent_below_one_is_refused(percent: int) -> None:
    with pytest.raises(SettingsError, match=rf"^percent must be >= 1 or None, got {percent}$"):
        Policy(STOCK, percent)


def test_a_count_of_blocks_from_before_a_collection_does_not_make_another_one_due(desk: Desk) -> None:
    stale = desk.grown(30)
    desk.ask(blocks=desk.grown(20))
    decision = desk.ask(blocks=stale)
    desk.collected(decision, freed=300_000)
    assert desk.act(after=61, blocks=stale) is QUIET


def test_an_act_of_which_nothing_is_heard_is_asked_for_again_after_a_second(desk: Desk) -> None:
    desk.ask(blocks=desk.grown(20))
    assert desk.act(blocks=desk.grown(30)) is Act.FULL
    assert desk.act() is QUIET
    assert desk.act(after=1) is Act.FULL


def test_one_that_had_to_wait_for_another_worker_is_asked_for_again_at_once_and_has_cost_nothing(desk: Desk) -> None:
    before_ns = desk.policy.status().bucket_ns
    assert desk.act(moment=Moment.IDLE, idle_seconds=1.0, blocks=desk.grown(25)) is Act.FULL
    desk.policy.denied()
    assert desk.policy.status().bucket_ns == before_ns
    assert desk.act() is Act.FULL


def test_somebody_elses_full_collection_serves_as_well(desk: Desk) -> None:
    desk.ask(blocks=desk.grown(20))
    desk.policy.collected(full(cause="explicit", blocks_after=desk.grown(20)))
    assert desk.act(after=61, blocks=desk.grown(30)) is QUIET


# What full collections have found


def due(desk: Desk, after: float = 1.0) -> Decision:
    """Let the heap grow to its goal, and ask in a long idle moment."""
    return desk.ask(after, blocks=desk.ask().goal_blocks, moment=Moment.IDLE, idle_seconds=60.0)


def test_finding_nothing_for_ten_minutes_doubles_the_growth_and_finding_much_halves_it(desk: Desk) -> None:
    def ratio() -> float:
        return round(desk.ask().goal_blocks / desk.reading.blocks - 1, 2)

    desk.collected(due(desk, after=601))
    assert ratio() == 0.4
    desk.collected(due(desk, after=601))
    assert ratio() == 0.8
    desk.collected(due(desk), freed=100_000)
    assert ratio() == 0.4


def test_finding_nothing_within_minutes_proves_nothing(desk: Desk) -> None:
    desk.collected(due(desk, after=500))
    assert desk.ask().goal_blocks == pytest.approx(1.2 * desk.reading.blocks, rel=0.01)


def test_what_has_proved_to_live_is_frozen_too_and_looked_at_again_once_there_is_garbage(desk: Desk) -> None:
    barren = due(desk, after=601)
    assert barren.act is Act.FULL
    desk.collected(barren)
    tenure = due(desk)
    assert tenure.act is Act.FREEZE
    desk.collected(tenure)
    fruitful = due(desk)
    assert fruitful.act is Act.FULL
    desk.collected(fruitful, freed=100_000)
    assert due(desk).act is Act.AUDIT


def test_what_is_frozen_is_looked_at_every_hour_in_a_long_idle_moment(desk: Desk) -> None:
    assert desk.act(after=3700, moment=Moment.SAFE) is QUIET
    assert desk.act(moment=Moment.IDLE, idle_seconds=0.01) is QUIET
    decision = desk.ask(idle_seconds=10.0)
    assert (decision.act, decision.cause) == (Act.AUDIT, "idle")
    desk.collected(decision)
    assert desk.act(after=1800) is QUIET


# The share of the time


def test_a_full_bucket_puts_collections_off_until_it_has_drained(desk: Desk) -> None:
    desk.ask(blocks=desk.grown(20))
    desk.collected(desk.ask(blocks=desk.grown(26)), pause_ms=5_000)
    desk.ask(blocks=desk.ask().goal_blocks)
    assert desk.act(after=61) is QUIET
    assert desk.policy.status().throttled == 1
    assert desk.act(after=40) is Act.FULL


def test_young_collections_are_no_time_of_the_pacers(desk: Desk) -> None:
    desk.ask(blocks=desk.grown(20))
    desk.collected(desk.ask(blocks=desk.grown(26)), pause_ms=5_000)
    level_ns = desk.policy.status().bucket_ns
    assert desk.act(counts=(20_000, 0, 0)) is Act.YOUNG
    desk.policy.collected(collection(cause="safepoint", counts=(20_000, 0, 0), pause_ns=5_000_000))
    assert desk.policy.status().bucket_ns <= level_ns


def test_full_collections_for_which_there_is_no_time_are_lent_to_cpython(desk: Desk) -> None:
    desk.ask(blocks=desk.grown(20))
    desk.collected(desk.ask(blocks=desk.grown(26)), pause_ms=2_000)
    goal = desk.ask().goal_blocks
    assert desk.act(blocks=goal) is QUIET
    decision = desk.ask(blocks=2 * goal)
    assert decision.act is QUIET
    assert decision.thresholds[2] == STOCK[2]
    assert "CPython" in decision.reason
    assert desk.ask().thresholds[2] == STOCK[2]
    desk.policy.collected(full(blocks_after=desk.reading.blocks))
    assert desk.ask(100).thresholds[2] == NEVER


@pytest.mark.parametrize("jump", [-50.0, -1e9])
def test_a_clock_that_goes_back_neither_fills_the_bucket_nor_stops_the_policy(desk: Desk, jump: float) -> None:
    desk.ask(after=jump)
    assert desk.policy.status().bucket_ns == 0
    desk.ask(blocks=desk.grown(20))
    assert desk.act(after=61) is Act.FULL


# Others


def test_whoever_sets_the_upper_threshold_has_it(desk: Desk) -> None:
    decision = desk.ask(thresholds=(50_000, 20, 100))
    assert (decision.act, decision.thresholds) == (Act.RELEASE, (50_000, 20, 100))
    assert desk.ask(after=10_000, blocks=10**8).act is Act.RELEASE
    assert not desk.policy.status().is_acting


def test_young_thresholds_that_others_set_stay_and_come_back_with_cpythons_upper_one(desk: Desk) -> None:
    decision = desk.ask(thresholds=(5_000, 7, NEVER))
    assert (decision.act, decision.thresholds) == (QUIET, (5_000, 7, NEVER))
    assert "somebody else" in decision.reason
    assert not desk.ask().reason
    assert desk.policy.status().outside_changes == 1
    for _ in range(30):
        desk.policy.collected(collection(counts=(5_001, 0, 0), scanned=5_001, pause_ns=50_000_000))
    assert desk.ask().thresholds == (5_000, 7, NEVER)


@pytest.mark.parametrize("off", [{"is_enabled": False}, {"thresholds": (0, 10, NEVER)}])
def test_nothing_is_collected_while_somebody_has_switched_collections_off(desk: Desk, off: dict[str, Any]) -> None:
    desk.ask(**off)
    assert desk.act(after=200, blocks=10**8, counts=(30_000, 8, 0), moment=Moment.IDLE, idle_seconds=60.0) is QUIET


def test_freezing_is_left_to_others_once_they_do_it(desk: Desk) -> None:
    assert "frozen" in desk.ask(after=2, frozen=FROZEN + 5).reason
    desk.collected(due(desk, after=601))
    assert due(desk).act is Act.FULL
    assert desk.act(after=4_000, moment=Moment.IDLE, idle_seconds=60.0, blocks=1_000_000) is QUIET


def test_where_freezing_was_left_out_what_lives_is_reckoned_with(desk: Desk) -> None:
    unfrozen = Desk()
    decision = unfrozen.ask(requests_ended=100)
    unfrozen.collected(decision, scanned=500_000)
    unfrozen.ask(10.0, frozen=0)
    assert due(unfrozen).predicted_ns > 10 * due(desk).predicted_ns


def test_objects_that_die_frozen_are_no_meddling(desk: Desk) -> None:
    assert desk.ask(after=2, frozen=FROZEN - 100_000).reason == ""
    assert desk.policy.status().outside_changes == 0


# Never worse than CPython


def young(desk: Desk, count: int, pause_ns: int, times: int) -> None:
    for _ in range(times):
        desk.policy.collected(collection(counts=(count, 0, 0), scanned=count, pause_ns=pause_ns))


def test_it_lets_go_when_collections_have_taken_more_time_than_cpythons_for_ten_minutes(desk: Desk) -> None:
    young(desk, count=20, pause_ns=2_000_000, times=100)  # what CPython would do once, a hundred times
    desk.policy.collected(full(cause="growth", pause_ns=9_000_000_000))
    assert desk.act(after=500) is QUIET
    decision = desk.ask(after=101)
    assert (decision.act, decision.thresholds) == (Act.RELEASE, STOCK)
    assert "CPython alone" in decision.reason


def test_who_sets_percent_has_chosen_the_price() -> None:
    desk = Desk(percent=5).warm()
    desk.policy.collected(full(cause="growth", pause_ns=9_000_000_000))
    assert desk.act(after=601) is QUIET


def test_it_keeps_on_where_cpython_would_have_taken_as_long(desk: Desk) -> None:
    young(desk, count=20_000, pause_ns=1_000_000, times=2_000)
    assert desk.act(after=601) is QUIET


def test_it_lets_go_when_more_full_collections_fall_into_requests_than_cpython_would_run(desk: Desk) -> None:
    desk.policy.collected(full(cause="growth", pause_ns=1_000, in_request=True))
    assert "requests" in desk.ask(after=601).reason
    assert not desk.policy.status().is_acting


# An answer that is ready


def test_while_nothing_is_due_the_answer_is_not_made_anew(desk: Desk) -> None:
    answer = desk.ask()
    assert desk.ask() is answer
    assert desk.ask(moment=Moment.IN_REQUEST, counts=(10_000, 0, 0)) is answer
