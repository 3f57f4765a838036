"""The knobs of the pacer: what they return, which values they take, and what holds where nothing is said."""

import gc
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lowtide import pacer
from lowtide.errors import NotStartedError, SettingsError
from lowtide.pacer import watch
from lowtide.pacer.advice import Advice

pytest.importorskip("lowtide._core", reason="the extension is not built")
if (3, 14) <= sys.version_info < (3, 14, 5):
    pytest.skip("the incremental collector is only observed", allow_module_level=True)

MIB = 1024 * 1024


@pytest.fixture(autouse=True)
def _stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))  # the turns of this cgroup's workers, other tests' among them
    for variable in ("LOWTIDE_GC_PERCENT", "LOWTIDE_MEMORY_LIMIT"):
        monkeypatch.delenv(variable, raising=False)
    yield
    pacer.stop()


def test_a_knob_returns_what_it_was() -> None:
    pacer.start(percent=100, memory_limit="2GiB")

    assert [pacer.set_percent(200), pacer.set_percent(None), pacer.set_percent(-1)] == [100, 200, None]
    assert [pacer.set_memory_limit("90 %"), pacer.set_memory_limit(None)] == [2048 * MIB, "90%"]
    assert pacer.set_memory_limit("auto") is None


def test_a_negative_number_only_asks() -> None:
    pacer.start(percent=100, memory_limit=4096 * MIB)

    assert [pacer.set_percent(-5), pacer.set_memory_limit(-1)] == [100, 4096 * MIB]
    assert (pacer.status().percent, pacer.status().memory_limit) == (100, 4096 * MIB)


def test_percent_is_when_the_next_full_collection_is_due() -> None:
    pacer.start(percent=100)
    gc.collect()
    pacer.step()
    assert pacer.status().goal_blocks == pytest.approx(2 * sys.getallocatedblocks(), rel=0.1)

    pacer.set_percent(300)
    pacer.step()
    assert pacer.status().goal_blocks == pytest.approx(4 * sys.getallocatedblocks(), rel=0.1)


@pytest.mark.parametrize("mode", ["act", "advise"])
def test_starting_again_changes_what_differs(mode: str) -> None:
    pacer.start(mode, percent=100)
    pacer.start(mode, percent=200, memory_limit=None)

    status = pacer.status()
    assert (status.mode, status.percent, status.memory_limit) == (mode, 200, None)


def test_starting_to_advise_gives_back_what_acting_took() -> None:
    before = gc.get_threshold()
    pacer.start("act")
    pacer.start("advise")

    assert gc.get_threshold() == before


def test_the_environment_holds_where_the_call_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOWTIDE_GC_PERCENT", "150")
    monkeypatch.setenv("LOWTIDE_MEMORY_LIMIT", "3GiB")
    pacer.start("advise")
    assert (pacer.status().percent, pacer.status().memory_limit) == (150, 3072 * MIB)

    pacer.start("advise", percent=80, memory_limit="70%")
    assert (pacer.status().percent, pacer.status().memory_limit) == (80, "70%")


@pytest.mark.parametrize("text", ["0", "-3", "many", "1.5"])
def test_a_malformed_variable_is_said_once_and_ignored(
    text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("lowtide.pacer.messages._said", set())
    monkeypatch.setenv("LOWTIDE_GC_PERCENT", text)
    pacer.start("advise")
    pacer.start("advise")

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("lowtide: LOWTIDE_GC_PERCENT: ")
    assert line.endswith("; it is ignored")
    assert pacer.status().percent is None


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"mode": "run"}, "mode must be 'act' or 'advise', got 'run'"),
        ({"percent": 0}, "percent must be 1 to 1000000"),
        ({"percent": -1}, "percent must be 1 to 1000000"),
        ({"memory_limit": 0}, "memory_limit must be >= 1 byte"),
        ({"memory_limit": "much"}, "expected a memory limit such as 900MiB"),
        ({"mode": "advise", "guard_requests": True}, "guard_requests needs mode 'act'"),
    ],
)
def test_a_wrong_value_is_named_and_nothing_starts(arguments: dict[str, object], complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint):
        pacer.start(**arguments)  # type: ignore[arg-type] # that is the point

    assert pacer.status().mode == "off"


def test_zero_percent_is_refused_and_changes_nothing() -> None:
    pacer.start(percent=100)
    with pytest.raises(SettingsError, match="percent must be 1 to 1000000"):
        pacer.set_percent(0)

    assert pacer.status().percent == 100


def test_a_percentage_that_is_no_number_is_named() -> None:
    pacer.start()
    with pytest.raises(TypeError, match="percent must be a whole number such as 100"):
        pacer.set_percent("100")  # type: ignore[arg-type] # that is the point


def test_a_knob_before_the_start_says_what_to_do() -> None:
    with pytest.raises(NotStartedError, match=r"call lowtide\.pacer\.start\(\) first"):
        pacer.set_percent(100)
    with pytest.raises(NotStartedError, match="was not started"):
        pacer.set_memory_limit(100)


def test_a_limit_below_what_is_in_use_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    pacer.start(memory_limit=MIB)

    assert "are in use already, 1 MiB are allowed" in capsys.readouterr().err


def test_the_status_has_the_bytes_that_could_not_be_had_when_the_pacer_has_given_up(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pacer.start(memory_limit=MIB)
    deadline = time.monotonic() + 30
    while pacer.status().unreclaimable_bytes == 0 and time.monotonic() < deadline:
        with pacer.request():
            pass
        time.sleep(0.01)

    assert pacer.status().unreclaimable_bytes > MIB
    assert "gives up on the memory limit of 1 MiB" in capsys.readouterr().err


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no malloc_trim")
def test_freeing_gives_back_what_the_c_library_keeps() -> None:
    held = [bytes(20_000) for _ in range(4_000)]
    pins = held[::100]
    del held

    assert pacer.free_os_memory() > 40 * MIB
    assert len(pins) == 40


def test_an_explicit_collection_in_a_request_scans_nothing_under_the_guard() -> None:
    pacer.start(guard_requests=True)
    with pacer.request():
        gc.collect()
    gc.collect()

    guarded, unguarded = (c.scanned for c in watch.records() if (c.cause, c.generation) == ("explicit", 2))
    assert guarded == 0
    assert unguarded > 10_000


def test_advice_is_about_automatic_full_collections_in_requests() -> None:
    assert str(Advice()) == "no automatic full collection: there is nothing to save"
    assert str(Advice(2, 0.1, 0.06)) == "2 automatic full collections took 100 ms, the longest 60 ms"
    assert str(Advice(1, 0.1, 0.1, 1, 0.1)).endswith("1 of them in requests, where acting would have saved 100 ms")
