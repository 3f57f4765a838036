"""`lowtide top` and `lowtide diff`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lowtide.errors import LowtideError, SettingsError

Run = Callable[..., str]
Rows = Callable[..., list[dict[str, Any]]]


def test_top_ranks_what_is_in_use_and_says_how_sure_it_is(run: Run) -> None:
    title, _, heading, first, second, third, _, remark = run("top", "new.pb.gz").splitlines()

    assert title == "new.pb.gz: inuse_space 12 KiB, one sample per 512 KiB"
    assert heading.split() == ["flat", "±", "flat%", "cum", "cum%", "site"]
    assert first.split()[:2] == ["8", "KiB"]
    assert first.endswith("app.parse /srv/app.py:11")
    assert second.endswith("app.load /srv/app.py:10")
    assert third.split()[:2] == ["0", "B"]
    assert third.endswith("100.0%  app.main /srv/app.py:2")
    assert remark == "blocks in free lists are not seen"


def test_top_adds_files_up(rows: Rows) -> None:
    expected = [("app.parse", 10 * 1024), ("app.load", 8 * 1024)]

    assert [(row["name"], row["flat"]) for row in rows("top", "-n", "2", "old.pb.gz", "new.pb.gz")] == expected
    assert [(row["name"], row["flat"]) for row in rows("top", "-n", "2", "lowtide-out")] == expected


def test_top_tells_of_how_many_processes_a_folder_holds_profiles(run: Run) -> None:
    assert run("top", "lowtide-out").startswith("lowtide-out (2 processes): inuse_space 18 KiB")


def test_top_reads_standard_input(run: Run, out: Path) -> None:
    from_file = run("top", "new.pb.gz").splitlines()[1:]

    assert run("top", "-", stdin=(out / "new.pb.gz").read_bytes()).splitlines()[1:] == from_file


def test_json_says_what_its_numbers_are(run: Run) -> None:
    record = json.loads(run("top", "--format", "json", "--sample-type", "alloc_objects", "-n", "1", "old.pb.gz"))

    (row,) = record.pop("rows")
    assert record == {"schema": 1, "sample_type": "alloc_objects", "unit": "count"}
    assert row.pop("stderr") > 0
    assert row == {"name": "app.load", "file": "/srv/app.py", "line": 10, "flat": 44, "cum": 44}


@pytest.mark.parametrize(("by", "name", "line"), [("line", "app.main", 2), ("function", "app.main", 1)])
def test_rows_are_what_was_asked_for(by: str, name: str, line: int, rows: Rows) -> None:
    assert (name, line) in [(row["name"], row["line"]) for row in rows("top", "--by", by, "old.pb.gz")]


def test_a_row_may_be_a_file(rows: Rows) -> None:
    assert [row["name"] for row in rows("top", "--by", "file", "old.pb.gz")] == ["/srv/app.py"]


def test_focus_and_ignore_select_stacks(rows: Rows) -> None:
    assert {row["name"] for row in rows("top", "--focus", "parse", "old.pb.gz")} == {"app.parse", "app.main"}
    assert {row["name"] for row in rows("top", "--ignore", "parse", "old.pb.gz")} == {"app.load", "app.main"}


def test_diff_shows_growth_and_nothing_that_stayed(rows: Rows) -> None:
    found = {row["name"]: row["flat"] for row in rows("diff", "old.pb.gz", "new.pb.gz")}

    assert found["app.parse"] == 6 * 1024
    assert found.get("app.load", 0) == 0


def test_diff_shows_what_shrank_as_negative(run: Run, rows: Rows) -> None:
    assert run("diff", "new.pb.gz", "old.pb.gz").startswith("old.pb.gz - new.pb.gz: inuse_space -6 KiB")
    assert rows("diff", "new.pb.gz", "old.pb.gz")[0]["flat"] == -6 * 1024


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        (["--sample-type", "cpu"], "must be one of alloc_objects, alloc_space, inuse_objects, inuse_space, got 'cpu'"),
        (["-n", "0"], "n must be >= 1, got 0"),
        (["--focus", "("], r"focus must be a regular expression, got '\('"),
        (["--max-bytes", "10"], "larger than 10 B"),
    ],
)
def test_a_wrong_option_is_named(args: list[str], complaint: str, run: Run) -> None:
    with pytest.raises(LowtideError, match=complaint):
        run("top", "new.pb.gz", *args)


def test_a_folder_without_profiles_says_what_was_expected(run: Run, out: Path) -> None:
    (out / "empty").mkdir()
    with pytest.raises(SettingsError, match=r"no profiles in empty: expected heap\.\*\.pb\.gz"):
        run("top", "empty")
