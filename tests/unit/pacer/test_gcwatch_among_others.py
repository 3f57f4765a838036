"""What the core does beside watching (tick, watchdog, guard), and what others may do to it."""

import gc
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from itertools import pairwise
from typing import Any

import pytest

from tests.unit.pacer.collecting import OFF, ON, Cycle, core, last, records, requesting, thresholds, watched

IS_INCREMENTAL = (3, 14) <= sys.version_info < (3, 14, 5)

pytestmark = pytest.mark.skipif(IS_INCREMENTAL, reason="the incremental collector's numbers are not read")


@pytest.fixture(autouse=True)
def _watched() -> Iterator[None]:
    with watched():
        yield


@pytest.fixture
def in_request() -> Iterator[ContextVar[Any]]:
    with requesting() as variable:
        yield variable


# The tick


def ticked(ticks: list[Any], *, patience_seconds: float = 5) -> None:
    """Collect until there was a tick."""
    before, deadline = len(ticks), time.monotonic() + patience_seconds
    while len(ticks) == before and time.monotonic() < deadline:
        gc.collect(0)
        time.sleep(0.001)
    assert len(ticks) > before


def test_a_callback_in_python_that_comes_later_does_not_keep_the_tick_away() -> None:
    heard: list[tuple[str, str]] = []
    others = [
        lambda phase, _info: heard.append(("first", phase)),
        lambda phase, _info: heard.append(("second", phase)),
        lambda phase, _info: heard.append(("third", phase)),
    ]
    ticks: list[int] = []
    core.gc_set_tick(lambda: ticks.append(0))
    before = len(records())
    try:
        gc.callbacks.extend(others)
        gc.collect(0)
        gc.collect(0)
        order = [callback for callback in gc.callbacks if callback in others]
        ticked(ticks)
    finally:
        for callback in others:
            gc.callbacks.remove(callback)

    assert order == others
    names = ["first", "second", "third"]
    assert heard[:12] == [(name, phase) for phase in ("start", "stop") * 2 for name in names]
    assert len(records()) - before >= 3  # each collection once, though the watch was called twice at a start


def test_an_announced_collection_keeps_its_cause_when_a_callback_was_added_behind_ours() -> None:
    def later(_phase: str, _info: dict[str, int]) -> None:
        pass

    core.gc_announce("idle", 12_345, 777)
    gc.callbacks.append(later)
    try:
        gc.collect(0)
    finally:
        gc.callbacks.remove(later)
    assert (last().cause, last().predicted_ns) == ("idle", 12_345)


def test_the_tick_comes_on_the_main_thread_after_a_collection_and_not_in_one() -> None:
    ticks: list[tuple[threading.Thread, int]] = []
    began = time.monotonic()
    Cycle(lambda: time.sleep(0.2))  # in which a tick would be due
    core.gc_set_tick(lambda: ticks.append((threading.current_thread(), gc.collect(0))))
    thread = threading.Thread(target=gc.collect, args=(0,))
    thread.start()
    thread.join()
    for _ in range(2):
        ticked(ticks)

    assert {thread for thread, _ in ticks} == {threading.main_thread()}
    assert (len(ticks) - 1) * 0.1 <= time.monotonic() - began
    # gc.collect() does nothing while the collector runs: each tick's own collection has a record.
    assert sum("lambda" not in c.caller and c.caller.startswith(__file__) for c in records()) >= len(ticks)


def test_what_the_tick_raises_is_dropped() -> None:
    ticks: list[int] = []

    def fails() -> None:
        ticks.append(1)
        raise ValueError("nobody's business")

    core.gc_set_tick(fails)
    ticked(ticks)


# The watchdog


def test_the_watchdog_barks_once_after_its_deadline() -> None:
    before = gc.get_threshold()
    try:
        core.gc_set_watchdog(time.monotonic_ns() + 10**12, (123, 4, 5))
        gc.collect(0)
        assert not core.gc_watchdog_barked()
        assert gc.get_threshold() == before

        core.gc_set_watchdog(time.monotonic_ns(), (123, 4, 5))
        gc.collect(0)
        assert core.gc_watchdog_barked()
        assert gc.get_threshold() == (123, 4, 5)

        gc.set_threshold(*before)
        gc.collect(0)
        assert gc.get_threshold() == before
        core.gc_set_watchdog(0, before)
        assert not core.gc_watchdog_barked()
    finally:
        gc.set_threshold(*before)


# The guard


def test_the_guard_makes_an_explicit_full_collection_in_a_request_scan_nothing(in_request: ContextVar[Any]) -> None:
    gc.collect()
    before = (gc.get_freeze_count(), core.gc_state()[2:4])
    freed: list[int] = []
    Cycle(lambda: freed.append(1))
    core.gc_set_guard(ON)

    assert gc.collect() == 0

    assert (last().scanned, last().freed, last().cause, freed) == (0, 0, "explicit", [])
    after = (gc.get_freeze_count(), core.gc_state()[2:4])
    assert after[1] == before[1]  # CPython's next full collection comes when it would have come
    assert after[0] <= before[0]
    core.gc_set_guard(OFF)
    gc.collect()
    assert freed == [1]


@pytest.mark.parametrize("why", ["a young one", "an announced one", "out of a request", "frozen by the program"])
def test_the_guard_lets_everything_else_through(in_request: ContextVar[Any], why: str) -> None:
    gc.collect()
    core.gc_set_guard(ON)
    if why == "frozen by the program":
        gc.freeze()
    if why == "an announced one":
        core.gc_announce("limit", 0, 0)
    if why == "out of a request":
        in_request.set(None)
    try:
        frozen = gc.get_freeze_count()
        Cycle()
        assert gc.collect(0 if why == "a young one" else 2) >= 1
        assert gc.get_freeze_count() == pytest.approx(frozen, abs=20)
    finally:
        gc.unfreeze()


@pytest.mark.parametrize("kept", [False, True])
def test_a_callback_removed_under_the_guard_leaves_nothing_frozen(in_request: ContextVar[Any], kept: bool) -> None:
    removed: list[Any] = []

    def remove(phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            removed.extend(gc.callbacks if kept else ())
            gc.callbacks[:] = [remove]

    gc.collect()
    frozen = gc.get_freeze_count()
    others = [each for each in gc.callbacks if getattr(each, "__module__", "") != "lowtide._core"]
    core.gc_set_guard(ON)
    gc.callbacks.append(remove)
    try:
        gc.collect()
        if kept:  # it lives on
            core.gc_set_guard(OFF)  # by whoever sees that it is not watched any more
        assert gc.get_freeze_count() <= frozen + 20  # less on 3.12, where CPython's own come back when it meets them
    finally:
        gc.callbacks[:] = others
        gc.unfreeze()


# Others


def test_watching_twice_is_watching_once_and_begins_anew_after_a_stop() -> None:
    gc.collect(0)
    core.gc_watch(ON)
    gc.collect(0)
    assert [c.number for c in records()] == [1, 2]

    core.gc_watch(OFF)
    assert not core.gc_is_watched()
    gc.collect(0)
    assert len(records()) == 2
    core.gc_watch(ON)
    assert records() == []
    assert core.gc_totals()[:2] == ((0, 0, 0), (0, 0, 0))


def test_a_cleared_list_is_noticed_and_watching_can_go_on() -> None:
    others = [each for each in gc.callbacks if getattr(each, "__module__", "") != "lowtide._core"]
    gc.collect(0)
    gc.callbacks.clear()
    assert not core.gc_is_watched()
    gc.collect(0)
    core.gc_watch(ON)
    gc.callbacks[:0] = others
    gc.collect(0)

    assert core.gc_is_watched()
    assert [c.number for c in records()] == [1, 2]  # of one run


def test_another_list_in_the_module_changes_nothing() -> None:
    real = gc.callbacks
    try:
        gc.callbacks = []
        assert core.gc_is_watched()
        core.gc_watch(OFF)
        assert not core.gc_is_watched()
        core.gc_watch(ON)
        gc.collect(0)
    finally:
        gc.callbacks = real
    assert core.gc_is_watched()
    assert len(records()) == 1


def test_a_list_cleared_in_the_middle_of_a_collection_leaves_no_half_record() -> None:
    others = list(gc.callbacks)
    Cycle(gc.callbacks.clear)
    gc.collect(0)
    assert records() == []
    gc.callbacks[:] = others
    gc.collect(1)

    assert [(c.number, c.generation) for c in records()] == [(1, 1)]


class Hostile:
    def __init__(self, hash_: int) -> None:
        self._hash = hash_

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("compared")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("start",),
        ("start", {}),
        ("start", None),
        (b"start", {"generation": 1}),
        ("start", {"generation": "1"}),
        ("start", {"generation": 3}),
        ("stop", {"generation": -1}),
        ("stop", {"generation": 2**70}),
        ("start", {Hostile(hash("generation")): 1}),
        ("stop", {"generation": 1}),
        ("start", {"generation": 2, "collected": 0, "uncollectable": 0}),
        ("other", {"generation": 1}),
        ("start", {"generation": 0}, 3),
    ],
    ids=range(14),
)
def test_somebody_else_s_calls_of_the_callback_are_nothing(arguments: tuple[Any, ...]) -> None:
    (ours,) = [each for each in gc.callbacks if getattr(each, "__module__", None) == "lowtide._core"]

    assert ours(*arguments) is None
    Cycle(lambda: ours(*arguments))  # within a collection
    gc.collect(0)
    gc.collect(1)

    assert records()[-1].generation == 1
    assert len(records()) <= 2


def test_finalizers_may_allocate_raise_and_collect(monkeypatch: pytest.MonkeyPatch) -> None:
    unraisable: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: unraisable.append(args.exc_type))
    kept: list[Any] = []

    def fails() -> None:
        raise ValueError("of a finalizer")

    with thresholds(50, 5, 1000):
        for _ in range(100):
            Cycle(lambda: kept.extend([[i] for i in range(200)]))
            Cycle(gc.collect)
            Cycle(fails)
        gc.collect()

    assert unraisable == [ValueError] * 100
    assert [c.number for c in records()] == list(range(1, len(records()) + 1))
    assert last().cause == "explicit"


def test_threads_that_collect_all_at_once_are_recorded_one_by_one() -> None:
    def storm() -> None:
        for _ in range(300):
            Cycle()
            gc.collect(0)

    threads = [threading.Thread(target=storm) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [c.number for c in records()] == list(range(1, sum(core.gc_totals()[0]) + 1))
    assert all(a.start_ns + a.pause_ns <= b.start_ns for a, b in pairwise(records()))


def in_child(work: Callable[[], bool]) -> bool:
    pid = os.fork()
    if pid == 0:
        good = False
        try:
            good = work()
        finally:
            os._exit(0 if good else 1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_forked_child_begins_anew_and_the_parent_goes_on() -> None:
    core.gc_request(2)
    gc.collect(0)

    def child() -> bool:
        is_empty = records() == [] and core.gc_totals()[0] == (0, 0, 0) and core.gc_request(0) == 0
        gc.collect()
        return is_empty and [(c.number, c.generation) for c in records()] == [(1, 2)] and last().rss_bytes > 0

    assert in_child(child)
    gc.collect(0)
    assert [c.number for c in records()] == [1, 2]
    core.gc_request(-2)


def test_a_fork_in_the_middle_of_a_collection_leaves_both_with_their_record() -> None:
    children: list[int] = []
    Cycle(lambda: children.append(os.fork()))
    gc.collect(0)
    if children == [0]:
        os._exit(0 if [(c.number, c.generation) for c in records()] == [(1, 0)] else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 0
    assert [(c.number, c.generation) for c in records()] == [(1, 0)]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: core.gc_announce("young", 0, 0), "cause must be safepoint, idle, growth, limit or empty, got 'young'"),
        (lambda: core.gc_announce("idle", -1, 5), "predicted_ns and goal_blocks must be >= 0, got -1 and 5"),
        (
            lambda: core.gc_set_watchdog(-1, (1, 2, 3)),
            "deadline_ns and thresholds must be >= 0, got -1 and (1, 2, 3)",
        ),
    ],
)
def test_what_is_out_of_range_is_told(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        call()
    assert str(caught.value) == message
