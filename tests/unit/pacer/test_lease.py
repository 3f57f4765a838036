"""Of the workers of a cgroup one acts at a time; shown with real processes, which end as they please."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowtide.pacer.lease import FRESH_SECONDS, MAX_WORKERS, Lease, _enter

# A worker reads a line and answers with one: `ask BYTES SECONDS`, `full`, `end`; after `fork`, a child of it does.
WORKER = """
import os, sys, time
from contextlib import ExitStack
from lowtide.pacer.lease import Lease

lease, held = Lease(sys.argv[2], sys.argv[1]), ExitStack()

def answer(words):
    match words:
        case ["ask", size, now]:
            return lease.ask(int(size), float(now))
        case ["full"]:
            return held.enter_context(lease.full_collection())
        case ["end"]:
            return held.close()
        case ["live"]:
            print(os.getpid(), flush=True)
            time.sleep(30)

for line in sys.stdin:
    words = line.split()
    if words[0] != "fork":
        print(answer(words), flush=True)
    elif os.fork() == 0:
        print(answer(words[1:]), flush=True)
        os._exit(0)
"""


class Worker:
    def __init__(self, folder: Path, cgroup: str) -> None:
        command = [sys.executable, "-c", WORKER, str(folder), cgroup]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, line: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


Hire = Callable[..., Worker]


@pytest.fixture
def hire(tmp_path: Path) -> Iterator[Hire]:
    hired: list[Worker] = []

    def begin(cgroup: str = "/web") -> Worker:
        hired.append(Worker(tmp_path, cgroup))
        return hired[-1]

    yield begin
    for worker in hired:
        worker.kill()


@pytest.fixture
def lease(tmp_path: Path) -> Lease:
    return Lease("/web", str(tmp_path))


# Full collections


def test_two_workers_never_collect_fully_at_once(hire: Hire) -> None:
    first, second = hire(), hire()

    assert (first("full"), second("full")) == ("True", "False")
    first("end")
    second("end")
    assert second("full") == "True"


def test_workers_of_different_cgroups_do_not_wait_for_each_other(hire: Hire) -> None:
    assert (hire("/web")("full"), hire("/mail")("full")) == ("True", "True")


def test_a_worker_that_is_killed_while_it_collects_leaves_the_turn_to_others(hire: Hire, lease: Lease) -> None:
    worker = hire()
    worker("full")
    worker.kill()

    with lease.full_collection() as is_mine:
        assert is_mine


def test_threads_of_one_worker_do_not_collect_fully_at_once_either(lease: Lease) -> None:
    with lease.full_collection(), lease.full_collection() as is_mine:
        assert not is_mine
    with lease.full_collection() as is_mine:
        assert is_mine


def test_a_collection_that_raises_ends_the_turn(lease: Lease) -> None:
    with pytest.raises(KeyboardInterrupt), lease.full_collection():
        raise KeyboardInterrupt
    with lease.full_collection() as is_mine:
        assert is_mine


def test_a_child_forked_in_the_middle_neither_has_the_turn_nor_keeps_it(hire: Hire) -> None:
    parent, other = hire(), hire()
    parent("full")
    child = int(parent("fork live"))
    try:
        assert parent("fork full") == "False"
        assert other("full") == "False"
        other("end")
        parent("end")
        assert other("full") == "True"
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_child_that_leaves_the_block_first_does_not_end_its_parents_turn(hire: Hire) -> None:
    parent, other = hire(), hire()
    parent("full")
    parent("fork end")

    assert other("full") == "False"


def test_a_turn_leaves_no_descriptor_behind(lease: Lease) -> None:
    before = sorted(path.name for path in Path("/proc/self/fd").iterdir())
    with lease.full_collection():
        lease.ask(1, 1.0)
    lease.ask(1, 1.0)

    assert sorted(path.name for path in Path("/proc/self/fd").iterdir()) == before


# The memory limit


def test_the_largest_of_those_who_ask_acts(hire: Hire) -> None:
    small, large = hire(), hire()

    assert large("ask 200 10.0") == "True"
    assert small("ask 100 10.1") == "False"
    assert large("ask 200 10.2") == "True"


def test_a_larger_one_waits_until_the_one_that_acts_has_asked_again(hire: Hire) -> None:
    small, large = hire(), hire()

    assert small("ask 100 10.0") == "True"
    assert large("ask 200 10.1") == "False"
    assert small("ask 100 10.2") == "False"
    assert large("ask 200 10.3") == "True"


def test_one_that_has_given_memory_back_passes_the_turn_on(hire: Hire) -> None:
    first, second = hire(), hire()
    first("ask 300 10.0")
    second("ask 200 10.0")

    assert first("ask 100 10.1") == "False"
    assert second("ask 200 10.2") == "True"


def test_one_that_has_died_is_not_waited_for(hire: Hire) -> None:
    large, small = hire(), hire()
    large("ask 200 10.0")
    large.kill()

    assert small("ask 100 10.0") == "True"


def test_one_that_asks_no_more_is_waited_for_no_longer_than_it_is_fresh(hire: Hire) -> None:
    large, small = hire(), hire()
    large("ask 200 10.0")

    assert small(f"ask 100 {10.0 + FRESH_SECONDS - 0.1}") == "False"
    assert small(f"ask 100 {10.0 + FRESH_SECONDS}") == "True"


def test_one_that_stands_down_leaves_the_limit_to_the_others_until_then(hire: Hire, lease: Lease) -> None:
    lease.stand_down(20.0)

    assert not lease.ask(200, 19.9)
    assert hire()("ask 100 19.9") == "True"
    assert not lease.ask(200, 20.0)  # the other one acts now


def test_one_that_acts_and_stands_down_leaves_its_turn_with_its_next_question(hire: Hire, lease: Lease) -> None:
    other = hire()
    assert lease.ask(200, 10.0)
    lease.stand_down(20.0)
    assert other("ask 100 10.1") == "False"

    assert not lease.ask(200, 10.2)
    assert other("ask 100 10.3") == "True"


def test_a_forked_child_asks_for_itself(hire: Hire) -> None:
    parent = hire()

    assert parent("ask 100 10.0") == "True"
    assert parent("fork ask 200 10.1") == "False"


@pytest.mark.parametrize("content", [b"\xff" * 1000, b"x", b"\0" * 5000])
def test_a_table_of_nonsense_is_replaced(content: bytes, tmp_path: Path, lease: Lease) -> None:
    lease.ask(1, 10.0)
    (table,) = tmp_path.iterdir()
    table.write_bytes(content)

    assert lease.ask(100, 10.0)
    assert table.stat().st_size < 100


ALIVE = (os.getpid(), os.getppid(), 1)


@given(st.lists(st.tuples(st.sampled_from(ALIVE), st.integers(0, 5), st.floats(0, 7)), max_size=60))
def test_never_do_two_act_whose_turns_are_fresh(asked: list[tuple[int, int, float]]) -> None:
    turns: dict[int, float] = {}
    now = 100.0
    with tempfile.TemporaryFile() as table:
        for pid, could_give_bytes, seconds in asked:
            now += seconds
            turns.pop(pid, None)
            if _enter(table.fileno(), could_give_bytes, pid, now):
                turns[pid] = now
            assert len([at for at in turns.values() if now - at < FRESH_SECONDS]) <= 1


@given(st.lists(st.tuples(st.sampled_from(ALIVE), st.integers(0, 5)), max_size=20))
def test_whoever_is_largest_acts_when_all_have_asked_twice(asked: list[tuple[int, int]]) -> None:
    with tempfile.TemporaryFile() as table:
        for pid, could_give_bytes in asked:
            _enter(table.fileno(), could_give_bytes, pid, 100.0)
        for could_give_bytes, pid in enumerate(ALIVE):
            _enter(table.fileno(), could_give_bytes, pid, 101.0)
        acts = [_enter(table.fileno(), could_give_bytes, pid, 102.0) for could_give_bytes, pid in enumerate(ALIVE)]

    assert acts[-1]


def test_the_table_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lowtide.pacer.lease._is_alive", lambda _pid: True)
    with tempfile.TemporaryFile() as table:
        acts = [_enter(table.fileno(), pid, pid, 100.0) for pid in range(1, 2 * MAX_WORKERS)]

        assert os.fstat(table.fileno()).st_size < 30 * MAX_WORKERS
    assert acts.count(True) == 1


# Where the files cannot be shared


def hostile(lease: Lease, folder: Path, replace: Callable[[Path], object]) -> None:
    """Put something else in the place of the lease's files; see that it is left alone, and that all is allowed."""
    lease.ask(1, 1.0)
    with lease.full_collection():
        paths = list(folder.iterdir())
    for path in paths:
        path.unlink()
        replace(path)

    assert lease.ask(1, 2.0)
    assert str(folder) in lease.reason
    lease.reason = ""
    with lease.full_collection() as is_mine:
        assert is_mine
    assert str(folder) in lease.reason


def test_a_link_is_not_followed(tmp_path: Path, lease: Lease) -> None:
    victim = tmp_path.parent / f"{tmp_path.name}-victim"
    victim.write_text("precious")

    hostile(lease, tmp_path, lambda path: path.symlink_to(victim))
    assert victim.read_text() == "precious"


def test_a_file_that_has_another_name_too_is_not_written_to(tmp_path: Path, lease: Lease) -> None:
    victim = tmp_path.parent / f"{tmp_path.name}-victim"
    victim.write_text("precious")

    hostile(lease, tmp_path, lambda path: path.hardlink_to(victim))
    assert victim.read_text() == "precious"


def test_a_pipe_is_not_waited_for(tmp_path: Path, lease: Lease) -> None:
    hostile(lease, tmp_path, os.mkfifo)


def test_a_folder_in_the_place_of_a_file_means_to_act_alone(tmp_path: Path, lease: Lease) -> None:
    hostile(lease, tmp_path, lambda path: path.mkdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's file")
def test_another_users_file_is_left_alone(tmp_path: Path, lease: Lease) -> None:
    def make(path: Path) -> None:
        path.write_text("theirs")
        os.chown(path, 65534, 65534)

    hostile(lease, tmp_path, make)
    assert {path.read_text() for path in tmp_path.iterdir()} == {"theirs"}


def test_without_a_folder_a_worker_acts_alone_and_says_why(tmp_path: Path) -> None:
    lease = Lease("/web", str(tmp_path / "missing"))

    assert lease.ask(1, 1.0)
    assert lease.reason.endswith(".limit: No such file or directory")
    with lease.full_collection() as is_mine:
        assert is_mine
    assert lease.reason.endswith(".full: No such file or directory")


def test_the_files_are_this_users_alone(tmp_path: Path, lease: Lease) -> None:
    lease.ask(1, 1.0)

    assert [path.stat().st_mode & 0o777 for path in tmp_path.iterdir()] == [0o600]


@pytest.mark.parametrize("runtime", [None, "relative", "/nonexistent"])
def test_the_files_go_where_temporary_ones_do_without_a_runtime_folder(
    runtime: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    if runtime is not None:
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
    Lease("/web").ask(1, 1.0)

    assert len(list(tmp_path.iterdir())) == 1


def test_the_files_go_into_the_runtime_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    Lease("/web").ask(1, 1.0)

    assert len(list(tmp_path.iterdir())) == 1
