"""Our files and our figures, held against a real `go tool pprof`; and Go's own files, read by us."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowtide.profile import Profile, Row, diff, merge
from lowtide.profile.formats.table import format_site
from tests.models.profile import frames
from tests.oracle.pprof import GoPprof, Trace, total_line
from tests.strategies import HEAP_TYPES, heap_profiles

pytestmark = [pytest.mark.oracle, pytest.mark.timeout(120, func_only=True)]

# Each example is a few processes.
few = settings(max_examples=30)
sample_types = st.sampled_from([kind.type for kind in HEAP_TYPES])

AS_PPROF_SHOWS = {1: "1B", 48: "48B", 512: "512B", 4096: "4kB", 10**6: "976.56kB"}

GO_PROGRAM = """
package main

import (
	"os"
	"runtime"
	"runtime/pprof"
	"time"
)

var kept [][]byte

func churn() int {
	total := 0
	for i := 0; i < 2000; i++ {
		total += len(make([]byte, 4096+i%3))
	}
	return total
}

func keep() {
	for i := 0; i < 200; i++ {
		kept = append(kept, make([]byte, 10000))
	}
}

func burn(until time.Time) (n int) {
	for time.Now().Before(until) {
		for i := 0; i < 1000; i++ {
			n += i * n
		}
	}
	return
}

func main() {
	runtime.MemProfileRate = 1024
	cpu, _ := os.Create("cpu.pb.gz")
	pprof.StartCPUProfile(cpu)
	burn(time.Now().Add(300 * time.Millisecond))
	pprof.StopCPUProfile()
	cpu.Close()
	func() { churn(); keep() }()
	runtime.GC()
	heap, _ := os.Create("heap.pb.gz")
	pprof.WriteHeapProfile(heap)
	heap.Close()
}
"""


@contextmanager
def files(*profiles: Profile) -> Iterator[list[Path]]:
    with TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}.pb.gz" for number in range(len(profiles))]
        for path, profile in zip(paths, profiles, strict=True):
            profile.write(path)
        yield paths


def by_name(rows: list[Row]) -> dict[str, tuple[int, int]]:
    return {row.name: (row.flat, row.cum) for row in rows}


@few
@given(heap_profiles(), sample_types)
def test_top_agrees_by_function_line_and_file(go_pprof: GoPprof, profile: Profile, sample_type: str) -> None:
    with files(profile) as (path,):
        by_function = go_pprof.top(f"-sample_index={sample_type}", path)
        by_line = go_pprof.top(f"-sample_index={sample_type}", "-lines", path)
        files_rows = go_pprof.rows(f"-sample_index={sample_type}", "-files", path)

    assert by_name(profile.top(1000, sample_type, "function")) == by_function
    assert {format_site(row): (row.flat, row.cum) for row in profile.top(1000, sample_type, "line")} == by_line
    # pprof has a row for each function of a file, all under the file's name, so only flat is comparable.
    flat_by_file: Counter[str] = Counter()
    for name, flat, _ in files_rows:
        flat_by_file[name] += flat
    assert Counter({row.name: row.flat for row in profile.top(1000, sample_type, "file")}) == flat_by_file


@few
@given(heap_profiles(), heap_profiles(), sample_types)
def test_diff_agrees_with_base_and_diff_base(go_pprof: GoPprof, base: Profile, new: Profile, sample_type: str) -> None:
    difference = diff(base, new)
    with files(base, new, difference) as (base_path, new_path, difference_path):
        index = f"-sample_index={sample_type}"
        with_base = go_pprof.top(index, "-base", base_path, new_path)
        with_diff_base = go_pprof.top(index, "-diff_base", base_path, new_path)
        our_file = go_pprof.top(index, difference_path)
        shown, total = total_line(
            go_pprof("-top", "-unit=bytes", "-nodefraction=0", index, "-base", base_path, new_path)
        )

    ours = by_name(difference.top(1000, sample_type, "function"))
    assert ours == with_base
    assert ours == with_diff_base
    assert ours == our_file
    assert sum(flat for flat, _ in ours.values()) == shown
    assert difference.total(sample_type) == total


@few
@given(st.lists(heap_profiles(), min_size=2, max_size=3), sample_types)
def test_merge_agrees_with_several_files(go_pprof: GoPprof, profiles: list[Profile], sample_type: str) -> None:
    merged = merge(profiles)
    with files(merged, *profiles) as (merged_path, *paths):
        theirs = go_pprof.top(f"-sample_index={sample_type}", *paths)
        ours = go_pprof.top(f"-sample_index={sample_type}", merged_path)

    assert ours == theirs
    assert by_name(merged.top(1000, sample_type, "function")) == theirs


@few
@given(heap_profiles(), sample_types)
def test_traces_show_our_stacks_and_labels(go_pprof: GoPprof, profile: Profile, sample_type: str) -> None:
    column = [kind.type for kind in HEAP_TYPES].index(sample_type)
    expected: Counter[Trace] = Counter()
    for sample in profile.samples:
        labels = {f"{label.key}:  {label.str or AS_PPROF_SHOWS[label.num]}" for label in sample.labels}
        stack = tuple(frame.function.name for frame in frames(sample))
        if sample.values[column]:
            expected[Trace(stack, frozenset(labels))] += sample.values[column]
    with files(profile) as (path,):
        traces = go_pprof.traces(f"-sample_index={sample_type}", path)

    assert traces == expected


@few
@given(heap_profiles(), st.sampled_from(["search", "app", "json|x", r"<lambda>"]))
def test_focus_and_ignore_agree(go_pprof: GoPprof, profile: Profile, pattern: str) -> None:
    # pprof matches the binary's name, too, which here is in every sample.
    profile = replace(profile, mappings=(replace(profile.mappings[0], filename="-"),))
    with files(profile) as (path,):
        focused = go_pprof.top(f"-focus={pattern}", path)
        ignored = go_pprof.top(f"-ignore={pattern}", path)

    assert by_name(profile.focus(pattern).top(1000, by="function")) == focused
    assert by_name(profile.ignore(pattern).top(1000, by="function")) == ignored


@few
@given(heap_profiles())
def test_reading_and_writing_changes_nothing_in_the_raw_text(go_pprof: GoPprof, profile: Profile) -> None:
    with files(profile) as (path,):
        again = path.with_name("again.pb.gz")
        Profile.read(path).write(again)

        assert go_pprof("-raw", again) == go_pprof("-raw", path)


@pytest.fixture(scope="session")
def go_profiles(go_pprof: GoPprof, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run a Go program that writes a heap and a CPU profile; return the folder."""
    folder = tmp_path_factory.mktemp("go")
    (folder / "main.go").write_text(GO_PROGRAM)
    go_pprof.go("run", "main.go", folder=folder)
    return folder


@pytest.mark.parametrize("name", ["heap", "cpu"])
def test_gos_own_profiles_survive_reading_and_writing(go_pprof: GoPprof, go_profiles: Path, name: str) -> None:
    path, again = go_profiles / f"{name}.pb.gz", go_profiles / f"{name}.again.pb.gz"
    Profile.read(path).write(again)

    assert go_pprof("-raw", again) == go_pprof("-raw", path)
    assert Profile.read(again) == Profile.read(path)


@pytest.mark.parametrize("sample_type", [kind.type for kind in HEAP_TYPES])
def test_top_of_gos_heap_profile_agrees(go_pprof: GoPprof, go_profiles: Path, sample_type: str) -> None:
    path = go_profiles / "heap.pb.gz"
    rows = Profile.read(path).top(1000, sample_type, "function")

    assert by_name(rows) == go_pprof.top(f"-sample_index={sample_type}", path)
    assert {"main.keep", "main.churn"} & {row.name for row in rows}
    assert all(row.stderr is not None for row in rows)


def test_top_of_gos_cpu_profile_agrees(go_pprof: GoPprof, go_profiles: Path) -> None:
    path = go_profiles / "cpu.pb.gz"
    rows = Profile.read(path).top(1000, "samples", "function")

    assert by_name(rows) == go_pprof.top("-sample_index=samples", path)
    assert rows[0].name in ("main.burn", "time.Now", "runtime.nanotime1")
