"""`lowtide pool advise`, from a program under the profiler to the answer."""

import json
from pathlib import Path

import pytest

from lowtide.profile import Profile, Sample, ValueType
from tests.e2e.programs import lowtide, script

PROGRAM = """
import io
import sqlite3

HELD = []
KEYS = [str(number) for number in range(3000)]

def scratch():
    return len(bytearray(65536))

def grow():
    found = []
    for _ in range(3000):
        found.append(None)
    return found

def index():
    return dict.fromkeys(KEYS)

def hold():
    HELD.append(bytes(8192))

def connect():
    sqlite3.connect(":memory:").close()

for _ in range(400):
    scratch()
    grow()
    index()
    hold()
    connect()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("advise")
    script(folder, PROGRAM)
    done = lowtide("run", "--heap-interval", "1", "program.py", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_each_place_gets_its_verdict_and_why(folder: Path) -> None:
    done = lowtide("pool", "advise", "lowtide-out", "--format", "json", "-n", "1000", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    record = json.loads(done.stdout)
    rows = {row["name"].removeprefix("__main__."): row for row in record["rows"] if row["line"]}

    assert record["schema"] == 1
    assert record["measured"]["pool_ns"] > 0
    assert rows["scratch"]["verdict"] == "pool"
    assert (rows["scratch"]["makes"], rows["scratch"]["stderr"]) == (400, 0)
    assert "BufferPool" in rows["scratch"]["text"]
    assert (rows["connect"]["what"], rows["connect"]["verdict"]) == ("sqlite3.connect", "pool")
    assert rows["hold"]["verdict"] == "leave"
    assert "churned" in rows["hold"]["text"]
    containers = [row for row in record["rows"] if row["what"] == "growing list, dict or set"]
    assert {row["name"] for row in containers} == {"__main__.grow", "__main__.index"}
    assert all(row["verdict"] == "leave" and "clear()" in row["text"] for row in containers)


def test_the_answer_for_people_pipes(folder: Path) -> None:
    done = lowtide("pool", "advise", "--focus", "scratch|grow", "lowtide-out", cwd=folder)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("lowtide-out: ")
    assert "\x1b" not in done.stdout
    for title in ("worth pooling", "make one and share it", "not worth pooling", "measured here in"):
        assert f"\n{title}" in done.stdout


def test_lines_of_code_are_read_from_regular_python_files_only(folder: Path, tmp_path: Path) -> None:
    (profile,) = (Profile.read(path) for path in (folder / "lowtide-out").glob("*.pb.gz"))
    (folder / "program.py").rename(folder / "elsewhere")
    profile.write(tmp_path / "heap.pb.gz")
    (folder / "program.py").symlink_to("/dev/zero")
    try:
        done = lowtide("pool", "advise", str(tmp_path / "heap.pb.gz"), "--format", "json")
    finally:
        (folder / "program.py").unlink()
        (folder / "elsewhere").rename(folder / "program.py")

    (row,) = (row for row in json.loads(done.stdout)["rows"] if row["name"] == "__main__.scratch")
    assert row["verdict"] == "pool"


@pytest.fixture
def odd(folder: Path, tmp_path: Path) -> Path:
    """Profiles that lack what the advice needs, and one with nothing in it."""
    (profile,) = (Profile.read(path) for path in (folder / "lowtide-out").glob("*.pb.gz"))
    bare = tuple(Sample(sample.locations, sample.values) for sample in profile.samples)
    Profile(profile.sample_types, bare).write(tmp_path / "bare.pb.gz")
    Profile((ValueType("cpu", "nanoseconds"),)).write(tmp_path / "cpu.pb.gz")
    Profile(profile.sample_types).write(tmp_path / "empty.pb.gz")
    return tmp_path


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        (["bare.pb.gz"], "bare.pb.gz: the samples have no label `bytes`"),
        (["cpu.pb.gz"], "cpu.pb.gz: expected a heap profile with alloc_objects and inuse_objects, got cpu"),
        (["gone.pb.gz"], "gone.pb.gz: no such file"),
        (["-n", "0", "empty.pb.gz"], "n must be >= 1, got 0"),
        (["--focus", "(", "empty.pb.gz"], "focus must be a regular expression"),
        ([], "missing argument 'PROFILE'"),
    ],
)
def test_bad_input_gets_one_line(args: list[str], complaint: str, odd: Path) -> None:
    done = lowtide("pool", "advise", *args, cwd=odd)

    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("lowtide: ")
    assert complaint in line


def test_an_empty_profile_has_nothing_to_pool(odd: Path) -> None:
    done = lowtide("pool", "advise", "empty.pb.gz", cwd=odd)

    assert done.returncode == 0
    assert "worth pooling\n  nothing" in done.stdout
