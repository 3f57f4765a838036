"""The controller: it carries out one decision at a time, fights nobody, and gives the collector back as it was."""

import gc
import itertools
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lowtide import Pool, pacer
from lowtide.pacer import pressure, process, watch
from lowtide.pacer.lease import Lease
from lowtide.pacer.memory import MemoryReader
from lowtide.pacer.policy import Policy
from lowtide.pacer.reading import Act, Decision, Moment, Reading, Triple
from lowtide.pacer.record import Collection

pytest.importorskip("lowtide._core", reason="the extension is not built")
if (3, 14) <= sys.version_info < (3, 14, 5):
    pytest.skip("the incremental collector is only observed", allow_module_level=True)

from lowtide._core import gc_set_tick
from lowtide.pacer import controller

NEVER = 2**31 - 1
STOCK: Triple = gc.get_threshold()
RAISED = (*STOCK[:2], NEVER)


class Script:
    """A policy that answers what it is told to, and keeps what it hears."""

    def __init__(self, *acts: Act) -> None:
        self._acts = iter(acts)
        self.status = Policy(STOCK).status
        self.asked: list[Reading] = []
        self.heard: list[Any] = []
        self.rest_seconds = 0.0

    def limit_rest_seconds(self) -> float:
        return self.rest_seconds

    def denied(self) -> None:
        self.heard.append("denied")

    def decide(self, reading: Reading) -> Decision:
        self.asked.append(reading)
        act = next(self._acts, Act.NOTHING)
        return Decision(act, "idle", 1000, 0, RAISED, "the script says so" if act is not Act.NOTHING else "")

    def collected(self, collection: Collection) -> None:
        self.heard.append(collection.cause)

    def trimmed(self, freed_bytes: int, took_seconds: float) -> None:
        self.heard.append(("trimmed", freed_bytes >= 0, took_seconds > 0))

    def pressured(self, took_seconds: float) -> None:
        self.heard.append(("pressured", took_seconds > 0))


@pytest.fixture(autouse=True)
def _stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))  # no turns to wait for: nobody shares the lease
    gc.collect(0)  # the next one of CPython's own is as far away as can be
    yield
    pacer.stop()
    pressure._callbacks.clear()


def acting(*acts: Act) -> Script:
    """Start the pacer, and let a script decide from now on, when the test asks it and not when a tick does."""
    pacer.start()
    gc_set_tick(None)
    script = Script(*acts)
    the_controller().policy = script  # type: ignore[assignment] # it has what is needed
    return script


def the_controller() -> controller.Controller:
    found = process._process.pacer
    assert found is not None
    assert found.controller is not None
    return found.controller


def warm_up(seconds: float = 10.0) -> None:
    """Serve until the pacer has frozen; or as long as it would take it, and longer where another process collects."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not pacer.status().collections:
        for _ in range(50):
            pacer.step()
        time.sleep(0.01)


# Carrying out


@pytest.mark.parametrize("act", [Act.FREEZE, Act.FULL])
def test_what_another_thread_collection_keeps_from_being_done_is_not_taken_for_done(act: Act) -> None:
    begun, end = threading.Event(), threading.Event()

    class Slow:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            begun.set()
            end.wait(30)

    script = acting(act)
    Slow()
    thread = threading.Thread(target=gc.collect)
    thread.start()
    try:
        assert begun.wait(30)
        frozen = gc.get_freeze_count()
        pacer.step()
        assert gc.get_freeze_count() == frozen
        assert script.heard == ["denied"]
    finally:
        end.set()
        thread.join()


# Taking over and giving back


def test_full_collections_are_taken_over_by_start_itself() -> None:
    pacer.start()
    assert gc.get_threshold()[2] == NEVER

    pacer.stop()
    assert gc.get_threshold() == STOCK


def test_advising_changes_nothing() -> None:
    pacer.start("advise")
    pacer.on_pressure(lambda: pytest.fail("called"))
    warm_up(0.6)
    gc.collect()

    assert gc.get_threshold() == STOCK
    assert pacer.status().mode == "advise"
    assert pacer.status().collections == {}


def test_what_was_frozen_here_is_unfrozen_at_the_end() -> None:
    before = gc.get_freeze_count()
    pacer.start()
    warm_up()
    assert pacer.status().collections == {"safepoint": 1}
    assert pacer.status().frozen >= gc.get_freeze_count() > 10_000

    pacer.stop()
    gc.collect()
    assert gc.get_freeze_count() == before


@pytest.mark.parametrize("when", ["before", "after"])
def test_what_somebody_else_froze_stays_frozen(when: str) -> None:
    try:
        if when == "before":
            gc.freeze()
        pacer.start()
        warm_up(10.0 if when == "after" else 0.6)
        if when == "after":
            others: list[list[int]] = [[] for _ in range(1000)]
            gc.freeze()
            del others[:900]
        pacer.stop()

        assert gc.get_freeze_count() > 10_000
    finally:
        gc.unfreeze()
        gc.collect()


def test_somebody_elses_thresholds_stay_and_the_pacer_lets_go(capsys: pytest.CaptureFixture[str]) -> None:
    pacer.start()
    try:
        gc.set_threshold(50_000, 20, 100)
        pacer.step()
        assert gc.get_threshold() == (50_000, 20, 100)
        assert pacer.status().released == "somebody else has set the thresholds"
        assert "hands back to CPython" in capsys.readouterr().err

        pacer.stop()
        assert gc.get_threshold() == (50_000, 20, 100)
    finally:
        gc.set_threshold(*STOCK)


def test_the_upper_threshold_goes_back_also_where_somebody_has_set_the_others() -> None:
    pacer.start()
    try:
        gc.set_threshold(50_000, *gc.get_threshold()[1:])
        pacer.step()
        assert gc.get_threshold()[::2] == (50_000, NEVER)

        pacer.stop()
        assert gc.get_threshold() == (50_000, *STOCK[1:])
    finally:
        gc.set_threshold(*STOCK)


def test_a_collector_that_is_off_is_left_alone() -> None:
    gc.disable()
    try:
        pacer.start()
        kept: list[list[int]] = [[] for _ in range(100_000)]
        warm_up(0.6)
        pacer.stop()
        del kept

        assert not gc.isenabled()
        assert pacer.status().collections == {}
    finally:
        gc.enable()


def test_the_watchdog_gives_back_when_nobody_asks_and_whoever_asks_again_takes_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(controller, "WATCHDOG_SECONDS", 0.001)
    pacer.start()
    time.sleep(0.002)
    assert gc.get_threshold()[2] == NEVER

    gc_set_tick(None)
    gc.collect(0)
    assert gc.get_threshold() == STOCK

    pacer.step()
    assert gc.get_threshold()[2] == NEVER
    assert pacer.status().released == ""


def test_without_its_place_in_the_callbacks_the_watchdog_is_blind_and_the_pacer_lets_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(controller, "RENEW_SECONDS", 0.0)
    pacer.start()
    others = gc.callbacks[:]
    gc.callbacks.clear()
    pacer.step()
    gc.callbacks[:] = [callback for callback in others if "lowtide._core" not in str(callback.__module__)]

    assert pacer.status().released == "somebody else has emptied gc.callbacks"
    assert gc.get_threshold() == STOCK


def test_whoever_empties_the_callbacks_makes_the_watchdog_bark_at_once() -> None:
    pacer.start()
    others = [callback for callback in gc.callbacks if "lowtide._core" not in str(callback.__module__)]
    gc.callbacks.clear()
    gc.callbacks += others

    assert gc.get_threshold() == STOCK


def test_threads_that_start_and_stop_leave_the_thresholds_as_they_were() -> None:
    def churn() -> None:
        for _ in range(50):
            pacer.start()
            pacer.step()
            pacer.stop()

    threads = [threading.Thread(target=churn) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert gc.get_threshold() == STOCK


def test_stop_without_start_does_nothing() -> None:
    pacer.stop()

    assert gc.get_threshold() == STOCK


# Carrying out


def test_pressure_empties_the_pools_and_calls_everybody(capsys: pytest.CaptureFixture[str]) -> None:
    script = acting(*[Act.PRESSURE] * 3)
    pool, called = Pool(bytearray), []
    pool.put(item := bytearray(8))
    pacer.on_pressure(lambda: 1 / 0)

    @pacer.on_pressure
    def drop_cache() -> None:
        called.append(pool.get() is item)

    for _ in range(3):
        pacer.step()

    assert len(called) == 3
    assert not called[-1]
    assert script.heard.count(("pressured", True)) == 3
    assert capsys.readouterr().err.count("raised ZeroDivisionError: division by zero") == 1


def test_while_it_has_given_up_on_the_limit_its_turn_is_the_other_workers() -> None:
    script = acting()
    memory = the_controller().memory
    script.rest_seconds = 60.0
    memory._read_at = float("-inf")  # time for a reading
    pacer.step()

    assert not memory.lease.ask(1, time.monotonic())
    assert memory.lease.ask(1, time.monotonic() + 60)


def test_while_another_worker_collects_fully_this_one_does_not_and_the_policy_hears_of_it(tmp_path: Path) -> None:
    script = acting(Act.FULL, Act.FULL)
    with Lease(the_controller().memory.lease.cgroup, str(tmp_path)).full_collection():
        pacer.step()
        assert script.heard == ["denied"]
    pacer.step()
    assert script.heard == ["denied", "idle"]


def test_a_trim_is_reported() -> None:
    script = acting(Act.TRIM)
    pacer.step()

    assert ("trimmed", True, True) in script.heard


def test_an_audit_unfreezes_what_is_frozen_and_looks_at_it() -> None:
    acting(Act.FREEZE, Act.AUDIT)
    pacer.step()
    pacer.step()
    frozen, audited = (c.scanned for c in watch.records() if c.cause == "idle")
    assert audited > frozen // 2
    assert gc.get_freeze_count() < 1_000


def test_a_release_is_final_and_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    acting(Act.RELEASE, Act.FULL)
    pacer.step()
    pacer.step()

    assert gc.get_threshold() == STOCK
    assert pacer.status().released == "the script says so"
    assert pacer.status().collections == {}
    assert capsys.readouterr().err == "lowtide: the pacer hands back to CPython: the script says so\n"


def test_starting_again_takes_over_again_after_a_release() -> None:
    acting(Act.RELEASE)
    pacer.step()
    pacer.start()

    assert pacer.status().released == ""
    assert gc.get_threshold()[2] == NEVER


def test_an_error_of_its_own_ends_in_cpythons_behaviour(capsys: pytest.CaptureFixture[str]) -> None:
    script = acting()
    script.decide = None  # type: ignore[assignment, method-assign] # as an error in it would
    pacer.step()

    assert gc.get_threshold() == STOCK
    assert "an error of its own, TypeError: 'NoneType' object is not callable" in capsys.readouterr().err


def test_requests_that_end_within_a_decision_do_not_nest_another() -> None:
    script = acting(Act.FULL, Act.FULL)

    class EndsARequest:
        def __del__(self) -> None:
            pacer.step()

    cycle: Any = EndsARequest()
    cycle.me = cycle
    del cycle
    pacer.step()

    assert len(script.asked) == 1
    assert script.heard.count("idle") == 1


def test_a_finalizer_may_stop_the_pacer_that_collects() -> None:
    acting(Act.FREEZE)

    class Stops:
        def __del__(self) -> None:
            pacer.stop()

    cycle: Any = Stops()
    cycle.me = cycle
    del cycle
    pacer.step()

    assert pacer.status().mode == "off"
    assert gc.get_threshold() == STOCK
    assert gc.get_freeze_count() < 1_000


def test_what_finalizers_raise_is_unraisable_as_usual() -> None:
    acting(Act.FULL)
    caught: list[object] = []
    hook, sys.unraisablehook = sys.unraisablehook, lambda problem: caught.append(problem.exc_type)

    class Fails:
        def __del__(self) -> None:
            raise LookupError

    try:
        cycle: Any = Fails()
        cycle.me = cycle
        del cycle
        pacer.step()
    finally:
        sys.unraisablehook = hook

    assert caught == [LookupError]
    assert pacer.status().collections == {"idle": 1}


def test_explicit_collections_are_heard_of_and_not_counted_as_own() -> None:
    script = acting()
    for _ in range(300):
        gc.collect(0)
    pacer.step()

    assert script.heard.count("explicit") == 300
    assert pacer.status().collections == {}


@pytest.mark.parametrize("jump", [3600.0, -3600.0, 1e9, -1e9])
def test_a_clock_that_jumps_does_no_harm(jump: float) -> None:
    now = itertools.chain([1000.0] * 200, itertools.repeat(1000.0 + jump))
    pacer.start("advise")  # something has to watch
    subject = controller.Controller(None, MemoryReader(None), clock=lambda: next(now))
    for _ in range(400):
        with pacer.request():
            pass
        subject.ask(Moment.SAFE)

    assert subject.released == ""
    assert gc.get_threshold()[2] == NEVER
    assert sum(subject.collections.values()) <= 3
    subject.stop()
    assert gc.get_threshold() == STOCK
