"""The memory limit: what is tried, in which order, and when it is given up."""

import pytest

from lowtide.pacer.reading import Act, Memory, Moment
from lowtide.pacer.thresholds import NEVER
from tests.unit.pacer.desk import MIB, QUIET, Desk


def warm() -> Desk:
    return Desk().warm()


def answer(desk: Desk, used_mib: int, retained_mib: int = 0) -> Act:
    """Ask over the limit, and let what is asked for do nothing."""
    decision = desk.over(used_mib, retained_mib=retained_mib)
    if decision.act is Act.PRESSURE:
        desk.policy.pressured(0.001)
    elif decision.act is Act.TRIM:
        desk.policy.trimmed(0, 0.001)
    elif decision.act is Act.FULL:
        assert decision.cause == "limit"
        desk.collected(decision, pause_ms=1)
    return decision.act


def test_far_below_the_limit_nothing_is_done() -> None:
    assert answer(warm(), 500) is QUIET


def test_over_the_limit_callbacks_come_first_then_a_collection_then_a_trim() -> None:
    desk = warm()
    desk.ask(blocks=desk.grown(15))
    assert [answer(desk, 1010, retained_mib=200) for _ in range(3)] == [Act.PRESSURE, Act.FULL, Act.TRIM]


def test_a_collection_that_can_find_nothing_is_left_out() -> None:
    desk = warm()
    assert [answer(desk, 1010, retained_mib=200) for _ in range(2)] == [Act.PRESSURE, Act.TRIM]


def test_little_that_the_c_library_retains_is_not_worth_a_trim() -> None:
    desk = warm()
    assert [answer(desk, 1010, retained_mib=90) for _ in range(3)] == [Act.PRESSURE, QUIET, Act.PRESSURE]


def test_after_three_fruitless_rounds_it_gives_up_loudly_and_once() -> None:
    desk = warm()
    reasons = []
    for _ in range(40):
        decision = desk.over(1010)
        if decision.act is Act.PRESSURE:
            desk.policy.pressured(0.001)
        elif decision.reason:
            reasons.append(decision.reason)
    assert reasons == ["gives up on the memory limit of 1000 MiB: 1010 MiB are in use, and nothing helps"]
    assert desk.policy.status().unreclaimable_bytes == 1010 * MIB
    assert not desk.policy.status().is_tight


def test_having_given_up_it_tries_once_a_minute() -> None:
    desk = warm()
    acts = [answer(desk, 1010) for _ in range(300)]
    assert acts.count(Act.PRESSURE) in range(7, 10)


def test_having_given_up_it_leaves_the_limit_to_others_until_its_next_round() -> None:
    desk = warm()
    assert desk.policy.limit_rest_seconds() == 0
    while not desk.policy.status().unreclaimable_bytes:
        answer(desk, 1010)
    assert desk.policy.limit_rest_seconds() == 60
    desk.over(1010, is_leader=False)
    assert 58 < desk.policy.limit_rest_seconds() < 59


def test_headroom_that_another_worker_has_made_ends_the_giving_up() -> None:
    desk = warm()
    while not desk.policy.status().unreclaimable_bytes:
        answer(desk, 1010)
    desk.over(750, is_leader=False)
    assert desk.policy.limit_rest_seconds() == 0


def test_memory_that_falls_below_the_limit_ends_the_giving_up() -> None:
    desk = warm()
    for _ in range(10):
        answer(desk, 1010)
    desk.over(500)
    assert desk.policy.status().unreclaimable_bytes == 0
    assert answer(desk, 1010) is Act.PRESSURE


def test_a_limit_that_is_raised_ends_it_too() -> None:
    desk = warm()
    for _ in range(10):
        answer(desk, 1010)
    desk.over(1010, limit_mib=2000)
    assert desk.policy.status().unreclaimable_bytes == 0


def test_rounds_that_free_something_are_not_counted_against_it() -> None:
    desk = warm()
    used = 1500
    for _ in range(20):
        answer(desk, used)
        used -= 20
    assert desk.policy.status().unreclaimable_bytes == 0


def test_a_worker_without_the_lease_leaves_the_limit_to_the_one_that_has_it() -> None:
    desk = warm()
    assert desk.over(1010, is_leader=False).act is QUIET
    assert not desk.policy.status().is_tight


def test_in_a_request_the_ladder_waits_a_second() -> None:
    desk = warm()
    memory = Memory(1010 * MIB, 1010 * MIB, 1000 * MIB, 0)
    assert desk.act(moment=Moment.IN_REQUEST, memory=memory) is QUIET
    assert desk.act(after=1.1, memory=memory) is Act.PRESSURE


def test_near_the_limit_half_of_what_is_left_may_be_eaten_between_two_collections() -> None:
    desk = warm()
    assert desk.over(900).act is QUIET
    assert desk.policy.status().is_tight
    assert desk.over(920).act is QUIET
    decision = desk.over(935)
    assert (decision.act, decision.cause) == (Act.FULL, "limit")


@pytest.mark.parametrize(("freed", "due_at_mib"), [(50_000, 959), (0, 982)])
def test_near_the_limit_a_collection_that_found_nothing_doubles_what_may_be_eaten(freed: int, due_at_mib: int) -> None:
    desk = warm()
    desk.over(900)
    desk.collected(desk.over(935), freed=freed)
    desk.over(935)
    due = next(used for used in range(936, 1000) if desk.over(used).act is Act.FULL)
    assert due == due_at_mib


def test_growth_that_will_reach_the_limit_within_half_a_minute_is_near_it() -> None:
    desk = warm()
    for used in range(300, 600, 30):
        desk.over(used)
    assert desk.policy.status().is_tight


def test_tasks_that_wait_for_memory_mean_that_the_limit_is_near() -> None:
    desk = warm()
    desk.over(500, stall_share=0.2)
    assert desk.policy.status().is_tight


def test_what_is_frozen_is_looked_at_when_memory_becomes_tight() -> None:
    desk = warm()
    desk.ask(700)
    decision = desk.over(900)
    assert (decision.act, decision.cause) == (Act.AUDIT, "limit")
    desk.collected(decision)
    assert desk.over(900).act is QUIET


def test_the_pacer_may_take_more_time_while_memory_is_tight() -> None:
    desk = warm()
    desk.over(900)
    desk.ask(blocks=desk.grown(30))
    desk.collected(desk.ask(2.0), pause_ms=1_000)
    desk.over(700)  # drained at 25 % until here
    assert desk.policy.status().bucket_ns < 800_000_000
    assert desk.reading.thresholds[2] == NEVER


# Trimming without a limit


def surplus(desk: Desk, after: float, retained_mib: int = 200) -> Act:
    memory = Memory(300 * MIB, 300 * MIB, 0, retained_mib * MIB)
    return desk.act(after, memory=memory)


def test_free_memory_that_nobody_wants_for_a_minute_goes_back_to_the_system() -> None:
    desk = warm()
    assert surplus(desk, 1) is QUIET
    assert surplus(desk, 30) is QUIET
    assert surplus(desk, 31) is Act.TRIM


def test_free_memory_that_is_used_meanwhile_stays() -> None:
    desk = warm()
    surplus(desk, 1)
    surplus(desk, 30, retained_mib=10)
    assert surplus(desk, 31) is QUIET


def test_a_trim_that_gave_little_is_not_soon_repeated() -> None:
    desk = warm()
    surplus(desk, 1)
    assert surplus(desk, 61) is Act.TRIM
    desk.policy.trimmed(1 * MIB, 0.02)
    assert [surplus(desk, 10) for _ in range(11)] == [QUIET] * 11
    assert surplus(desk, 10) is Act.TRIM
