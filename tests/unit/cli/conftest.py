"""A folder with profiles, and the command line run on it in this process."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click.testing
import pytest

from lowtide.cli.app import cli
from lowtide.profile import Function, Label, Line, Location, Profile, Sample, ValueType

TYPES = tuple(
    ValueType(f"{column}_{unit}", "count" if unit == "objects" else "bytes")
    for column in ("alloc", "inuse")
    for unit in ("objects", "space")
)


def heap_profile(process: str, **inuse_objects: int) -> Profile:
    """Make a profile of blocks of 1 KiB: functions `app.<name>` called by `app.main`, ten times as many freed."""
    main = Location((Line(Function("app.main", filename="/srv/app.py", start_line=1), 2),))
    samples = []
    for line, (name, count) in enumerate(inuse_objects.items(), 10):
        leaf = Location((Line(Function(f"app.{name}", filename="/srv/app.py", start_line=line), line),))
        values = (11 * count, 11 * count * 1024, count, count * 1024)
        samples.append(Sample((leaf, main), values, (Label("bytes", num=1024, num_unit="bytes"),)))
    comments = ("lowtide 0.1.0", f"process {process}", "blocks in free lists are not seen")
    return Profile(
        TYPES, tuple(samples), ValueType("space", "bytes"), 524288, default_sample_type="inuse_space", comments=comments
    )


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, which holds `old.pb.gz`, `new.pb.gz` and both again as two processes in `lowtide-out`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lowtide-out").mkdir()
    old, new = heap_profile("1.10", load=4, parse=2), heap_profile("2.20", load=4, parse=8)
    for profile, names in (
        (old, ("old.pb.gz", "lowtide-out/heap.1.10.pb.gz")),
        (new, ("new.pb.gz", "lowtide-out/heap.2.20.pb.gz")),
    ):
        for name in names:
            profile.write(tmp_path / name)
    return tmp_path


Run = Callable[..., str]


@pytest.fixture
def run(out: Path) -> Run:
    def run(*args: str, stdin: bytes | None = None) -> str:
        return click.testing.CliRunner().invoke(cli, args, input=stdin, catch_exceptions=False).stdout

    return run


@pytest.fixture
def rows(run: Run) -> Callable[..., list[dict[str, Any]]]:
    def rows(*args: str) -> list[dict[str, Any]]:
        record = json.loads(run(*args, "--format", "json"))
        assert record["schema"] == 1
        found: list[dict[str, Any]] = record["rows"]
        return found

    return rows
