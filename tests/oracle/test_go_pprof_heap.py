"""Files of the real heap profiler: Go's pprof and lowtide see the same in them."""

import subprocess
import sys
from pathlib import Path

import pytest

from lowtide.profile import Profile, diff
from lowtide.profile.formats.table import format_site
from tests.oracle.pprof import GoPprof, total_line
from tests.strategies import HEAP_TYPES

pytest.importorskip("lowtide._core", reason="the profiler runs on Linux GIL builds")
pytestmark = [pytest.mark.oracle, pytest.mark.timeout(120, func_only=True)]

INDEXES = [kind.type for kind in HEAP_TYPES]
PROGRAM = """
import sys
from lowtide import heap

class Catalogue:
    def __init__(self):
        self.rows = [self.load(number) for number in range(200)]

    def load(self, number):
        return bytearray(3000 + number % 7)

def größe(depth):
    return bytes(5000) if not depth else größe(depth - 1)

heap.start(sample_interval=int(sys.argv[1]))
kept = Catalogue(), [größe(3) for _ in range(100)]
heap.write("base.pb.gz")
kept = kept[1], sorted((bytes(2000 + n) for n in range(50)), key=lambda block: (len(block), bytes(900)))
heap.write("new.pb.gz")
"""


@pytest.fixture(scope="module", params=[1, 4096])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run a program that writes a profile, changes its mind and writes another; exact, and sampled."""
    folder = tmp_path_factory.mktemp("heap")
    (folder / "program.py").write_text(PROGRAM)
    subprocess.run([sys.executable, "program.py", str(request.param)], cwd=folder, check=True)
    return folder


@pytest.mark.parametrize("sample_type", INDEXES)
def test_top_agrees_line_by_line(go_pprof: GoPprof, folder: Path, sample_type: str) -> None:
    rows = Profile.read(folder / "new.pb.gz").top(10**6, sample_type)

    theirs = go_pprof.top(f"-sample_index={sample_type}", "-lines", folder / "new.pb.gz")
    assert {format_site(row): (row.flat, row.cum) for row in rows} == theirs


@pytest.mark.parametrize("sample_type", INDEXES)
def test_diff_agrees_with_base(go_pprof: GoPprof, folder: Path, sample_type: str) -> None:
    base, new = folder / "base.pb.gz", folder / "new.pb.gz"
    difference = diff(Profile.read(base), Profile.read(new))
    arguments = (f"-sample_index={sample_type}", "-lines", "-base", base, new)

    rows = difference.top(10**6, sample_type)
    assert {format_site(row): (row.flat, row.cum) for row in rows} == go_pprof.top(*arguments)
    report = go_pprof("-top", "-unit=bytes", "-nodefraction=0", *arguments)
    assert total_line(report)[1] == difference.total(sample_type)


def test_python_names_survive_pprof(go_pprof: GoPprof, folder: Path) -> None:
    names = go_pprof.top("-sample_index=alloc_space", folder / "new.pb.gz").keys()

    assert {"__main__.Catalogue.load", "__main__.größe", "__main__.<lambda>", "__main__.<module>"} <= names


def test_pprof_takes_our_labels_and_our_comments(go_pprof: GoPprof, folder: Path) -> None:
    raw = go_pprof("-raw", folder / "new.pb.gz")

    assert "bytes:[" in raw
    assert "domain:[" in raw
    assert "Comment: lowtide " in raw
    assert "PeriodType: space bytes" in raw


def test_reading_and_writing_changes_nothing(go_pprof: GoPprof, folder: Path) -> None:
    Profile.read(folder / "new.pb.gz").write(folder / "again.pb.gz")

    assert go_pprof("-raw", folder / "again.pb.gz") == go_pprof("-raw", folder / "new.pb.gz")
