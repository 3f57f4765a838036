"""What is in the folder, whatever ends the program; and a folder that fails does not end it."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lowtide.profile import Profile
from tests.e2e.programs import comments, environment, profiles, python, script, sites

pytest.importorskip("lowtide._core", reason="the extension is not built")

CHURN = """
    import os, sys, time
    def work():
        return [bytes(1000) for _ in range(100)]
    held = work()
    print("ready", flush=True)
"""


@contextmanager
def started(tmp_path: Path, source: str, every: str = "100ms") -> Iterator[subprocess.Popen[str]]:
    """Run a program with frequent snapshots into `out`, from the moment that it said `ready`."""
    process = subprocess.Popen(
        [sys.executable, script(tmp_path, CHURN + source)],
        env=environment(LOWTIDE_HEAP=f"interval=1,out={tmp_path}/out,every={every}"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def eventually(holds: Callable[[], object]) -> None:
    patience = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < patience
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_after_a_signal_the_last_snapshot_stands(number: signal.Signals, tmp_path: Path) -> None:
    with started(tmp_path, "    time.sleep(60)") as process:
        eventually(lambda: profiles(tmp_path / "out"))
        process.send_signal(number)
        assert process.wait() == -number

    assert "__main__.work" in " ".join(sites(profiles(tmp_path / "out")[process.pid]))


def test_after_os_exit_the_last_snapshot_stands(tmp_path: Path) -> None:
    with started(tmp_path, "    sys.stdin.read(1)\n    os._exit(3)") as process:
        eventually(lambda: profiles(tmp_path / "out"))
        process.communicate("x")
        assert process.returncode == 3

    assert process.pid in profiles(tmp_path / "out")


def test_a_short_life_has_its_first_snapshot_after_a_second(tmp_path: Path) -> None:
    with started(tmp_path, "    time.sleep(60)", every="60s") as process:
        eventually(lambda: process.pid in profiles(tmp_path / "out"))


def test_readers_see_whole_files_only(tmp_path: Path) -> None:
    with started(tmp_path, "    while True: held += work()[:2]") as process:
        eventually(lambda: profiles(tmp_path / "out"))
        (path,) = (tmp_path / "out").glob("heap.*.pb.gz")
        times: set[int] = set()
        while len(times) < 5:
            times.add(Profile.read(path).time_nanos)

    left = {path.name for path in (tmp_path / "out").iterdir() if not path.name.startswith(".")}
    assert left == {f"heap.{process.pid}.{path.name.split('.')[2]}.pb.gz"}


def test_the_file_is_named_after_the_process_and_its_start(tmp_path: Path) -> None:
    with started(tmp_path, "    sys.stdin.read(1)") as process:
        start_ticks = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[19]
        process.communicate("x")

    (path,) = (tmp_path / "out").iterdir()
    assert path.name == f"heap.{process.pid}.{start_ticks}.pb.gz"
    assert comments(Profile.read(path), "process") == [f"{process.pid}.{start_ticks}"]


def test_a_relative_folder_is_the_one_of_the_start(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    done = python(
        script(tmp_path, "import os; os.chdir('elsewhere')"),
        env=environment(LOWTIDE_HEAP="out=a/b"),
        cwd=tmp_path,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert len(profiles(tmp_path / "a" / "b")) == 1


def test_a_folder_that_vanishes_costs_one_warning(tmp_path: Path) -> None:
    with started(tmp_path, "    sys.stdin.read(1)") as process:
        eventually(lambda: profiles(tmp_path / "out"))
        (tmp_path / "out").rename(tmp_path / "gone")
        time.sleep(0.5)
        _, stderr = process.communicate("x")

    assert process.returncode == 0
    (line,) = stderr.splitlines()
    assert line.startswith("lowtide: the heap profile cannot be written: ")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made_costs_one_warning(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = python("-c", "print(1)", env=environment(LOWTIDE_HEAP=f"out={tmp_path}/file/out"))

    assert (done.returncode, done.stdout) == (0, "1\n")
    (line,) = done.stderr.splitlines()
    assert line.startswith("lowtide: LOWTIDE_HEAP: ")
    assert line.endswith("the program runs without a heap profile")


def test_a_file_that_must_not_grow_leaves_the_older_profile_and_no_rest(tmp_path: Path) -> None:
    done = python(
        script(
            tmp_path,
            """
            import resource, signal
            from lowtide import heap
            heap.write("heap.pb.gz")
            before = open("heap.pb.gz", "rb").read()
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
            try:
                heap.write("heap.pb.gz")
            except OSError as error:
                print("refused")
            print(open("heap.pb.gz", "rb").read() == before)
            resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
            """,
        ),
        env=environment(LOWTIDE_HEAP=f"interval=1,every=0,out={tmp_path}/out"),
        cwd=tmp_path,
    )

    assert done.stdout == "refused\nTrue\n", done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["heap.pb.gz", "out", "program.py"]


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("yes", "expected key=value (keys: interval, out, every, frames, bytes), got 'yes'"),
        ("interval=0", "sample_interval must be >= 1 byte, got 0"),
        ("interval=many", "interval: expected a size such as 512KiB, 64MiB or 4096, got 'many'"),
        ("evry=60s", "expected one of the keys interval, out, every, frames, bytes, got 'evry'"),
        ("out=", "out: expected a folder, got nothing"),
    ],
)
def test_a_malformed_variable_costs_one_warning(value: str, complaint: str, tmp_path: Path) -> None:
    done = python("-c", "print(1)", env=environment(LOWTIDE_HEAP=value), cwd=tmp_path)

    assert (done.returncode, done.stdout) == (0, "1\n")
    assert done.stderr == f"lowtide: LOWTIDE_HEAP: {complaint}; the program runs without a heap profile\n"
    assert list(tmp_path.iterdir()) == []


def test_development_mode_finds_nothing_to_complain_about(tmp_path: Path) -> None:
    done = python(
        *("-X", "dev", "-W", "error", "-bb", "-c", "import time; time.sleep(0.3)"),
        env=environment(LOWTIDE_HEAP=f"interval=1,every=100ms,out={tmp_path}/out", PYTHONWARNDEFAULTENCODING="1"),
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert len(profiles(tmp_path / "out")) == 1


def test_an_empty_variable_is_none(tmp_path: Path) -> None:
    done = python("-c", "print(1)", env=environment(LOWTIDE_HEAP=""), cwd=tmp_path)

    assert (done.stdout, done.stderr) == ("1\n", "")
    assert list(tmp_path.iterdir()) == []


def test_a_program_may_use_the_profiler_itself_meanwhile(tmp_path: Path) -> None:
    done = python(
        script(
            tmp_path,
            """
            from lowtide import heap
            heap.start(sample_interval=1)
            held = [bytes(100_000) for _ in range(100)]
            heap.stop()
            print(heap.snapshot().top(1)[0].name, heap.is_active())
            """,
        ),
        env=environment(LOWTIDE_HEAP=f"out={tmp_path}/out"),
    )

    assert done.stdout.startswith("__main__.<"), done.stderr
    assert done.stdout.endswith("False\n")
    assert len(profiles(tmp_path / "out")) == 1
