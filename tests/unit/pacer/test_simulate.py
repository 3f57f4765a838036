"""The simulator, against what a real program does under each policy."""

import sys
from functools import cache

import pytest

from lowtide.errors import SettingsError
from lowtide.pacer import record
from lowtide.pacer.replay_policy import default_thresholds, parse_policy
from lowtide.pacer.simulate import Prediction, check, measured, simulate
from tests.unit.pacer import traces

POLICIES = ["stock", "threshold=20000", "freeze", "freeze+threshold=20000"]

pytestmark = pytest.mark.skipif((3, 14) <= sys.version_info < (3, 14, 5), reason="the collector is another one")


@cache
def text_of(policy: str) -> str:
    return traces.recorded(policy)


def trace_of(policy: str) -> record.Trace:
    return record.parse(text_of(policy))


def predicted(policy: str, recorded: str) -> Prediction:
    trace = trace_of(recorded)
    (prediction,) = simulate(trace, [parse_policy(policy, trace.header.python)])
    return prediction


# Numbers of collections and peaks are the program's own and repeat; seconds are the machine's.
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("recorded", ["stock", "freeze"])
def test_collections_under_another_policy_are_those_that_it_runs(recorded: str, policy: str) -> None:
    numbers, truth = predicted(policy, recorded).collections, measured(trace_of(policy)).collections

    for number, true in zip(numbers, truth, strict=True):
        assert number == pytest.approx(true, rel=0.15, abs=2)


@pytest.mark.parametrize("policy", POLICIES)
def test_the_peak_under_another_policy_is_the_one_that_it_reaches(policy: str) -> None:
    peak_blocks = int(text_of(policy).splitlines()[-1].removeprefix("peak "))

    assert predicted(policy, "stock").peak_blocks == pytest.approx(peak_blocks, rel=0.15)


@pytest.mark.parametrize("policy", ["stock", "freeze"])
def test_the_recorded_policy_costs_what_was_recorded(policy: str) -> None:
    found, truth = predicted(policy, policy), measured(trace_of(policy))

    assert found.gc_seconds == pytest.approx(truth.gc_seconds, rel=0.25)
    assert found.collections == pytest.approx(truth.collections, rel=0.05, abs=1)


def test_every_figure_has_the_error_of_the_second_half_predicted_from_the_first() -> None:
    prediction = predicted("stock", "stock")

    assert set(prediction.errors) == set(prediction.figures())
    assert prediction.errors["gen0_collections"] == pytest.approx(0, abs=0.1)
    assert prediction.errors["gc_seconds"] is not None


def test_the_pacer_keeps_collections_out_of_requests() -> None:
    policies = [parse_policy(text, "3.13.0") for text in ("act", "stock")]
    acting, stock = simulate(traces.service(), policies)

    assert stock.request_seconds == pytest.approx(stock.gc_seconds)
    assert acting.request_seconds is not None
    assert stock.request_seconds is not None
    assert acting.request_seconds < stock.request_seconds / 10
    assert "assumes a moment without a request" in " ".join(acting.remarks)


def test_without_the_collector_memory_is_what_pays() -> None:
    disabled, stock = predicted("disable", "stock"), predicted("stock", "stock")

    assert (disabled.gc_seconds, disabled.collections) == (0, (0, 0, 0))
    assert disabled.peak_blocks is not None
    assert stock.peak_blocks is not None
    assert disabled.peak_blocks > stock.peak_blocks
    assert "nothing frees cyclic garbage" in " ".join(disabled.remarks)


def test_what_a_trace_cannot_know_has_no_error_and_is_said() -> None:
    prediction = predicted("stock", "threshold=20000")

    assert prediction.errors["gc_seconds"] is None
    assert prediction.errors["gen0_collections"] is None
    assert "what lives shorter than that is not in the trace" in prediction.remarks[0]
    assert "no automatic full collection was recorded" in prediction.remarks[1]


def test_a_trace_of_the_pacer_vouches_for_the_pacer_alone() -> None:
    placed = traces.service(cause="safepoint")
    acting, stock = simulate(placed, [parse_policy(text, "3.13.0") for text in ("act", "stock")])

    assert acting.errors["gc_seconds"] is not None
    assert stock.errors["gc_seconds"] is None
    assert "recorded with collections between requests" in stock.remarks[0]


def test_three_collections_predict_something_and_vouch_for_nothing() -> None:
    trace = traces.trace(*(traces.collection(at, in_request=True) for at in range(3)))
    (prediction,) = simulate(trace, [parse_policy("stock", "3.13.0")])

    assert prediction.collections[0] == 3
    assert set(prediction.errors.values()) == {None}


def test_a_collection_that_the_program_asks_for_stays_under_any_policy() -> None:
    asked = traces.full(2, cause="explicit", counts=(100, 3, 0), caller="app.py:7")
    trace = traces.trace(traces.collection(0, in_request=True), traces.collection(1, in_request=True), asked)
    (prediction,) = simulate(trace, [parse_policy("disable", "3.13.0")])

    assert prediction.collections == (0, 0, 1)


@pytest.mark.parametrize(("before", "after"), [(0, 412_000), (0, record.UNREAD)], ids=["counted", "too many to count"])
def test_a_freeze_is_seen_by_what_full_collections_leave_out(before: int, after: int) -> None:
    start = [traces.full(1, frozen=before), traces.full(2, cause="explicit", counts=(5, 0, 0), frozen=before)]
    later = [traces.full(at, frozen=after, scanned=20_000, long_lived=20_000) for at in range(3, 9)]

    part = check(traces.trace(*start, *later))

    assert (part.first, part.is_frozen) == (2, True)


@pytest.mark.parametrize(
    "collections", [[], [traces.full(cause="explicit", counts=(0, 0, 0))]], ids=["nothing", "no allocation"]
)
def test_a_trace_without_collections_is_refused(collections: list[record.Collection]) -> None:
    with pytest.raises(SettingsError, match="expected a trace with collections, got one with none"):
        simulate(traces.trace(*collections), [parse_policy("stock", "3.13.0")])


def test_the_incremental_collector_is_refused() -> None:
    trace = traces.trace(traces.collection())
    with pytest.raises(SettingsError, match=r"python 3\.13\.0 has the incremental collector"):
        measured(trace._replace(header=trace.header._replace(incremental=True)))


def test_thresholds_that_a_policy_leaves_alone_are_those_of_its_interpreter() -> None:
    assert default_thresholds("3.11.7") == (700, 10, 10)
    assert default_thresholds("3.13.0") == (2000, 10, 10)
    assert parse_policy("freeze+threshold=50000", "3.11.7").thresholds == (50_000, 10, 10)
    assert parse_policy("percent=100", "3.13.0").percent == 100


@pytest.mark.parametrize(
    "text",
    [
        "",
        "fast",
        "threshold",
        "threshold=0",
        "threshold=2147483648",
        "threshold=x",
        "percent=0",
        "freeze+",
        "stock+act",
    ],
)
def test_a_policy_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="policy must be stock, act, percent=N"):
        parse_policy(text, "3.13.0")


def test_the_pacer_cannot_be_combined() -> None:
    with pytest.raises(SettingsError, match="expected act or percent=N alone"):
        parse_policy("act+freeze", "3.13.0")


def test_what_the_start_left_is_in_the_first_collection_unless_a_freeze_takes_it_away() -> None:
    first = traces.collection(0, in_request=True, counts=(2001, 10, 0), pause_ns=40_000_000)
    middle = traces.collection(1, in_request=True, generation=1, counts=(2001, 11, 0), scanned=420_000, pending=420_000)
    later = [c._replace(start_ns=c.start_ns + 2_000_000_000) for c in traces.service().collections]
    policies = [parse_policy(text, "3.13.0") for text in ("threshold=50000", "freeze+threshold=50000")]

    left, frozen = simulate(traces.trace(first, middle, *later), policies)

    assert left.gc_seconds > frozen.gc_seconds + 0.03


def test_a_cache_that_is_full_leaves_the_pacer_little_to_collect() -> None:
    policies = [parse_policy(text, "3.13.0") for text in ("stock", "act")]
    stock, acting = simulate(traces.full_cache(), policies)

    assert stock.collections[0] == pytest.approx(measured(traces.full_cache()).collections[0], rel=0.05)
    assert acting.collections[0] < stock.collections[0] / 5
