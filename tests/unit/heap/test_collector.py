"""`lowtide.heap` in this very process."""

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lowtide import heap
from lowtide.errors import NotStartedError, SettingsError
from lowtide.profile import Profile, ValueType

pytest.importorskip("lowtide._core", reason="the extension is not built")


@pytest.fixture
def exact() -> Iterator[None]:
    heap.start(sample_interval=1)
    yield
    heap.stop()


def hold(count: int) -> list[bytes]:
    return [bytes(1000) for _ in range(count)]


def held_bytes(profile: Profile, sample_type: str = "inuse_space") -> int:
    return sum(row.cum for row in profile.top(10_000, sample_type, "function") if row.name.endswith(".hold"))


@pytest.mark.usefixtures("exact")
def test_a_snapshot_has_gos_columns_and_says_how_it_was_taken() -> None:
    profile = heap.snapshot()

    assert [(kind.type, kind.unit) for kind in profile.sample_types] == [
        ("alloc_objects", "count"),
        ("alloc_space", "bytes"),
        ("inuse_objects", "count"),
        ("inuse_space", "bytes"),
    ]
    assert (profile.period_type, profile.period) == (ValueType("space", "bytes"), 1)
    assert any(comment.startswith("lowtide ") for comment in profile.comments)
    assert any("free lists" in comment for comment in profile.comments)
    assert any("not freed yet" in comment for comment in profile.comments)


@pytest.mark.usefixtures("exact")
def test_what_is_freed_leaves_the_inuse_columns_only() -> None:
    held = hold(100)
    full = heap.snapshot()
    del held
    empty = heap.snapshot()

    assert held_bytes(full) - held_bytes(empty) >= 100 * 1000
    assert held_bytes(empty, "alloc_space") == held_bytes(full, "alloc_space")


@pytest.mark.usefixtures("exact")
def test_functions_carry_the_module_they_are_imported_from() -> None:
    held = hold(10)
    names = {row.name for row in heap.snapshot().top(10_000, "alloc_space", "function")}

    assert any(name.endswith("unit.heap.test_collector.hold") for name in names), held


@pytest.mark.usefixtures("exact")
def test_a_path_that_is_no_text_in_sys_path_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, None, Path("/srv"), "", "/srv/\udcff", b"/srv"])

    assert heap.snapshot().samples


@pytest.mark.usefixtures("exact")
def test_write_writes_what_a_snapshot_holds(tmp_path: Path) -> None:
    held = hold(50)
    heap.write(tmp_path / "heap.pb.gz")
    profile = Profile.read(tmp_path / "heap.pb.gz")

    assert held_bytes(profile) == held_bytes(heap.snapshot()) >= 50 * 1000, held


@pytest.mark.usefixtures("exact")
def test_the_profiler_does_not_see_itself(tmp_path: Path) -> None:
    heap.snapshot()
    heap.write(tmp_path / "heap.pb.gz")
    heap.stats()
    rows = heap.snapshot().top(10_000, "alloc_space", "function")

    assert [row.name for row in rows if row.flat and row.file.startswith(str(Path(heap.__file__).parent))] == []


def test_stop_keeps_what_was_recorded() -> None:
    heap.start(sample_interval=1)
    assert heap.is_active()
    held = hold(10)
    heap.stop()
    assert not heap.is_active()
    held += hold(10)
    assert 10 * 1000 <= held_bytes(heap.snapshot()) < 20 * 1000

    del held
    assert held_bytes(heap.snapshot()) < 1000  # CPython's free list may keep the list itself


def test_start_after_stop_begins_anew() -> None:
    heap.start(sample_interval=1)
    held = hold(10)
    heap.stop()
    heap.start(sample_interval=1)
    heap.stop()

    assert held_bytes(heap.snapshot()) == 0, held


def test_start_again_with_other_settings_changes_them() -> None:
    heap.start(sample_interval=1)
    heap.start(sample_interval=4096, max_bytes=2**22)
    stats = heap.stats()
    heap.stop()

    assert (stats.interval_bytes, stats.max_bytes) == (4096, 2**22)


def test_start_again_with_the_same_settings_leaves_an_interval_that_has_grown() -> None:
    heap.start(sample_interval=1, max_bytes=2**21)
    for size in range(20_000):
        bytes(size)
    before = heap.stats()
    heap.start(sample_interval=1, max_bytes=2**21)
    after = heap.stats()
    heap.stop()

    assert after.interval_bytes == before.interval_bytes > 1


@pytest.mark.usefixtures("exact")
def test_stats_count_samples_and_stay_inside_the_budget() -> None:
    before = heap.stats()
    held = hold(100)
    after = heap.stats()

    assert after.samples - before.samples >= len(held)
    assert after.live_samples > before.live_samples
    assert 0 <= after.filter_hit_rate <= 1
    assert 0 < after.table_bytes <= after.max_bytes
    assert after.slow_path_seconds > 0
    assert after.active
    assert not after.displaced


@pytest.mark.usefixtures("exact")
def test_threads_may_snapshot_while_others_allocate() -> None:
    done = threading.Event()

    def churn() -> None:
        while not done.is_set():
            hold(10)

    threads = [threading.Thread(target=churn) for _ in range(2)]
    for thread in threads:
        thread.start()
    snapshots = [heap.snapshot() for _ in range(10)]
    done.set()
    for thread in threads:
        thread.join()

    churned = [held_bytes(profile, "alloc_space") for profile in snapshots]
    assert churned == sorted(churned)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"sample_interval": 0}, "sample_interval must be >= 1 byte, got 0"),
        ({"sample_interval": -(2**70)}, "sample_interval must be >= 1 byte"),
        ({"max_frames": 0}, "max_frames must be 1 to 1024, got 0"),
        ({"max_bytes": 1000}, "max_bytes must be 2 MiB to 1 GiB, got 1000 bytes"),
    ],
)
def test_a_setting_out_of_range_is_refused(settings: dict[str, int], complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint):
        heap.start(**settings)
    assert not heap.is_active()


def test_a_setting_that_is_no_number_is_refused() -> None:
    with pytest.raises(TypeError):
        heap.start(sample_interval=0.5)  # type: ignore[arg-type] # what is tested


def test_before_the_first_start_there_is_nothing_to_see() -> None:
    """In a new process: another test may have started the profiler in this one."""
    import subprocess

    source = (
        "from lowtide import heap; heap.stop(); print(heap.is_active(), heap.stats().interval_bytes); heap.snapshot()"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)

    assert done.stdout == "False 0\n"
    assert done.stderr.splitlines()[-1].startswith(f"{NotStartedError.__module__}.{NotStartedError.__name__}: ")
