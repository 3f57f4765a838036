"""What a forked process says of its memory: its own allocations, and what it inherited, told apart and counted right.

At interval 1, so that every number has one right value.
"""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from lowtide.profile import Profile, merge
from lowtide.profile.model import Sample
from tests.e2e.programs import comments, environment, profiles, python, script

pytest.importorskip("lowtide._core", reason="the extension is not built")

# What every program begins with. CPython >= 3.12 warns of forks beside threads: these programs do it on purpose.
PREAMBLE = """
import os, sys, threading, time, warnings
from lowtide import heap

warnings.simplefilter("ignore", DeprecationWarning)
OUT = sys.argv[1]

def write(name):
    heap.write(f"{OUT}/{name}.pb.gz")

def forked(work):
    # Run work() in a child; give the child's pid.
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            sys.stderr.flush()
            os._exit(code)
    return pid

def wait_for(pids):
    # Every one ends, and well: a child that hangs is ended by its alarm.
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    assert codes == [0] * len(codes), codes
"""


def run(tmp_path: Path, source: str) -> dict[str, Profile]:
    """Run a program that ends by itself and without a word; give the profiles that it wrote, by name."""
    program = script(tmp_path, source)
    program.write_text(PREAMBLE + program.read_text())
    done = subprocess.run(
        [sys.executable, str(program), str(tmp_path)], env=environment(), capture_output=True, text=True, timeout=100
    )
    assert (done.returncode, done.stderr) == (0, "")
    return {path.name.removesuffix(".pb.gz"): Profile.read(path) for path in tmp_path.glob("*.pb.gz")}


def from_parent(sample: Sample) -> bool:
    return any((label.key, label.str) == ("origin", "parent") for label in sample.labels)


def size_of(sample: Sample) -> int:
    return next(label.num for label in sample.labels if label.key == "bytes")


def numbers(samples: Iterable[Sample]) -> list[int]:
    """Add up the four columns."""
    return [sum(column) for column in zip([0] * 4, *(sample.values for sample in samples), strict=True)]


def at(profile: Profile, function: str, data_bytes: int, *, inherited: bool) -> list[int]:
    """Give the four columns of the blocks that `bytes(data_bytes)` asked for in `function`."""
    size = bytes(data_bytes).__sizeof__()
    return numbers(
        sample
        for sample in profile.samples
        if size_of(sample) == size
        and from_parent(sample) == inherited
        and any(location.lines[0].function.name == f"__main__.{function}" for location in sample.locations)
    )


def columns(allocs: int, live: int, data_bytes: int) -> list[int]:
    size = bytes(data_bytes).__sizeof__()
    return [allocs, allocs * size, live, live * size]


def test_a_child_counts_its_own_and_keeps_what_it_inherited(tmp_path: Path) -> None:
    found = run(
        tmp_path,
        """
        def first():
            return [bytes(5000) for _ in range(1000)]

        def second():
            return [bytes(6000) for _ in range(500)]

        def third():
            return [bytes(7000) for _ in range(100)]

        def grandchild():
            write("grandchild-at-once")
            del inherited[:200], own[:100]
            kept = third()
            write("grandchild")

        def child():
            global own
            write("child-at-once")
            del inherited[:300]
            own = second()
            write("child")
            wait_for([forked(grandchild)])
            write("child-later")

        heap.start(1, 64, 2**28)
        inherited = first()
        wait_for([forked(child)])
        write("parent")
        """,
    )

    def first(name: str, *, inherited: bool) -> list[int]:
        return at(found[name], "first", 5000, inherited=inherited)

    def second(name: str, *, inherited: bool) -> list[int]:
        return at(found[name], "second", 6000, inherited=inherited)

    nothing = [0, 0, 0, 0]
    assert first("child-at-once", inherited=True) == columns(0, 1000, 5000)
    assert first("child-at-once", inherited=False) == nothing
    assert first("child", inherited=True) == columns(0, 700, 5000)
    assert second("child", inherited=False) == columns(500, 500, 6000)
    assert second("child", inherited=True) == nothing
    assert first("child-later", inherited=True) == columns(0, 700, 5000)
    assert second("child-later", inherited=False) == columns(500, 500, 6000)

    assert first("grandchild-at-once", inherited=True) == columns(0, 700, 5000)
    assert second("grandchild-at-once", inherited=True) == columns(0, 500, 6000)
    assert first("grandchild", inherited=True) == columns(0, 500, 5000)
    assert second("grandchild", inherited=True) == columns(0, 400, 6000)
    assert second("grandchild", inherited=False) == nothing
    assert at(found["grandchild"], "third", 7000, inherited=False) == columns(100, 100, 7000)

    assert first("parent", inherited=False) == columns(1000, 1000, 5000)
    assert first("parent", inherited=True) == second("parent", inherited=False) == nothing


def test_all_that_a_child_inherits_is_left_out_of_its_alloc_columns(tmp_path: Path) -> None:
    found = run(
        tmp_path,
        """
        def child():
            write("child")

        heap.start(1, 64, 2**28)
        kept = [{n: str(n)} for n in range(1000)]
        write("parent")
        wait_for([forked(child)])
        """,
    )
    inherited = [sample for sample in found["child"].samples if from_parent(sample)]
    assert numbers(inherited)[:2] == [0, 0]
    assert numbers(inherited)[2] > 1000
    # Between the two snapshots little happens: what the child allocates is a small part of what the parent had.
    assert numbers(found["child"].samples)[0] < numbers(found["parent"].samples)[0] // 3
    assert comments(found["child"], "ancestor") == comments(found["parent"], "process")


def test_merging_a_family_counts_inherited_memory_once(tmp_path: Path) -> None:
    found = run(
        tmp_path,
        """
        def preload():
            return [bytes(5000) for _ in range(1000)]

        def child(n):
            del kept[:100 * n]
            write(f"child-{n}")

        heap.start(1, 64, 2**28)
        kept = preload()
        wait_for([forked(lambda n=n: child(n)) for n in range(1, 4)])
        write("parent")
        """,
    )
    children = [found[f"child-{n}"] for n in range(1, 4)]

    def in_use(profile: Profile) -> int:
        row = at(profile, "preload", 5000, inherited=True), at(profile, "preload", 5000, inherited=False)
        return row[0][2] + row[1][2]

    assert [in_use(child) for child in children] == [900, 800, 700]
    assert in_use(merge([found["parent"], *children])) == 1000
    assert in_use(merge(children)) == 900


def test_siblings_sample_differently(tmp_path: Path) -> None:
    """Or each would have the same blind spots, and their sum no less error than one of them."""
    found = run(
        tmp_path,
        """
        def allocate():
            return [bytes(16000 + n) for n in range(1500)]

        def child(n):
            kept = allocate()
            write(f"child-{n}")

        heap.start(64 * 1024, 64)
        wait_for([forked(lambda n=n: child(n)) for n in range(4)])
        kept = allocate()
        write("parent")
        """,
    )
    sampled = [
        frozenset(size_of(sample) for sample in profile.samples if size_of(sample) >= 16000)
        for profile in found.values()
    ]
    assert all(200 < len(sizes) < 500 for sizes in sampled)  # each block is sampled with p = 0.22
    assert len(set(sampled)) == len(sampled) == 5


FORK_UNDER_LOAD = """
    import signal

    def churn(n):
        kept = {{}}
        for i in range(10**9):
            if stop.is_set():
                return
            kept[i % 500] = [str(i * n), bytes(i % 3000), {{i: n}}]
            if i % 50 == 0:
                hashlib.sha256(bytes(5000)).digest()

    def child(n):
        signal.alarm(60)
        kept = [bytes(9000) for _ in range(100)]
        if n % 10 == 0:
            wait_for([forked(lambda: child(n + 1))])
        profile = heap.snapshot()
        for sample in profile.samples:
            assert sample.values[0] >= sample.values[2] or sample.values[0] == 0, sample
        write(f"child-{{n}}")

    import hashlib
    stop = threading.Event()
    heap.start(1, 32, 2**28)
    churning = [threading.Thread(target=churn, args=(n,)) for n in range(3)]
    snapping = [threading.Thread(target=lambda: [heap.write(os.devnull) for _ in iter(stop.is_set, True)])]
    for thread in churning + snapping:
        thread.start()
    try:
        for start in range(0, {children}, 5):
            wait_for([forked(lambda n=n: child(n)) for n in range(start, start + 5)])
    finally:
        stop.set()
    for thread in churning + snapping:
        thread.join()
    write("parent")
    assert not heap.stats().lost_samples
"""


@pytest.mark.parametrize("children", [20, pytest.param(300, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
def test_children_of_a_busy_parent_have_a_sound_profile(tmp_path: Path, children: int) -> None:
    """Its threads allocate, free and take snapshots all the while."""
    found = run(tmp_path, FORK_UNDER_LOAD.format(children=children))
    for n in range(children):
        profile = found[f"child-{n}"]
        assert at(profile, "child", 9000, inherited=False) == columns(100, 100, 9000)
        assert numbers(sample for sample in profile.samples if from_parent(sample))[:2] == [0, 0]
        if n % 10 == 0:  # the grandchild wrote under the next name, and its sibling may have written over it
            assert f"child-{n + 1}" in found


def test_snapshots_under_way_leave_nothing_behind_in_a_line_of_children(tmp_path: Path) -> None:
    """The copy that the parent's thread is reading is no use to a child, nor is its share of the budget."""
    run(
        tmp_path,
        """
        import resource

        def line(depth):
            # Each process forks the next while a thread of its own is reading a snapshot.
            stop = threading.Event()
            snapping = threading.Thread(target=lambda: [heap.write(os.devnull) for _ in iter(stop.is_set, True)])
            snapping.start()
            time.sleep(0.02)
            if depth:
                wait_for([forked(lambda: line(depth - 1))])
            else:
                time.sleep(0.02)
            stop.set()
            snapping.join()
            assert heap.stats().table_bytes < before + 2**21, (depth, heap.stats().table_bytes, before)

        def kept_stacks(depth):
            return [bytes(1000 + depth), kept_stacks(depth - 1)] if depth else None

        heap.start(1, 64, 2**28)
        kept = [[bytes(100 + n) for n in range(10_000)], kept_stacks(300)]
        heap.write(os.devnull)
        before = heap.stats().table_bytes
        line(20)
        """,
    )


def test_a_child_may_stop_and_start_anew(tmp_path: Path) -> None:
    found = run(
        tmp_path,
        """
        def before():
            return [bytes(5000) for _ in range(100)]

        def after():
            return [bytes(6000) for _ in range(100)]

        def child():
            heap.stop()
            heap.start(1, 64, 2**27)
            own = after()
            del inherited[:50]
            write("child")

        heap.start(1, 64, 2**28)
        inherited = before()
        wait_for([forked(child)])
        write("parent")
        """,
    )
    child = found["child"]
    assert at(child, "after", 6000, inherited=False) == columns(100, 100, 6000)
    assert not [sample for sample in child.samples if from_parent(sample)]
    assert at(found["parent"], "before", 5000, inherited=False) == columns(100, 100, 5000)


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_children_of_multiprocessing_count_what_they_did(tmp_path: Path, method: str) -> None:
    program = script(
        tmp_path,
        f"""
        import multiprocessing

        def task(n):
            global kept
            kept = [bytes(8000) for _ in range(n)]

        if __name__ == "__main__":
            task(50)
            context = multiprocessing.get_context("{method}")
            children = [context.Process(target=task, args=(n,)) for n in (100, 200)]
            for child in children:
                child.start()
            for child in children:
                child.join()
                assert child.exitcode == 0
            print(*(child.pid for child in children))
        """,
    )
    done = python(program, env=environment(LOWTIDE_HEAP=f"interval=1,out={tmp_path / 'out'}"))
    assert (done.returncode, done.stderr) == (0, "")
    found = profiles(tmp_path / "out")
    for pid, n in zip(map(int, done.stdout.split()), (100, 200), strict=True):
        assert at(found[pid], "task", 8000, inherited=False) == columns(n, n, 8000)
        assert at(found[pid], "task", 8000, inherited=True) == columns(0, 0, 8000)  # what a forked one had, it replaced
