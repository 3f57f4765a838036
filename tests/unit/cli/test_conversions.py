"""`lowtide flame`, `convert` and `merge`: a profile in another shape."""

import io
from collections.abc import Callable
from pathlib import Path

import click.testing
import pytest

from lowtide.cli.app import cli
from lowtide.profile import Profile

Run = Callable[..., str]


def test_flame_writes_a_page_here_and_says_where(run: Run, out: Path) -> None:
    assert run("flame", "lowtide-out/heap.1.10.pb.gz") == "heap.1.10.html\n"
    assert (out / "heap.1.10.html").read_text().lstrip().lower().startswith("<!doctype html>")


@pytest.mark.parametrize(("file", "page"), [("new.pb.gz", "new.html"), ("lowtide-out", "lowtide-out.html")])
def test_flame_names_the_page_after_its_source(file: str, page: str, run: Run) -> None:
    assert run("flame", file) == f"{page}\n"


def test_flame_writes_where_it_is_told_to(run: Run, out: Path) -> None:
    assert run("flame", "new.pb.gz", "-o", "page.html") == "page.html\n"
    assert run("flame", "new.pb.gz", "-o", "-") == (out / "page.html").read_text()


def test_folded_stacks_go_to_standard_output(run: Run) -> None:
    assert run("convert", "--to", "folded", "old.pb.gz") == "app.main;app.load 4096\napp.main;app.parse 2048\n"


def test_folded_stacks_hold_the_column_and_the_stacks_asked_for(run: Run, out: Path) -> None:
    assert (
        run(
            *(
                "convert",
                "--to",
                "folded",
                "--sample-type",
                "inuse_objects",
                "--focus",
                "load",
                "old.pb.gz",
                "-o",
                "folded",
            )
        )
        == ""
    )
    assert (out / "folded").read_text() == "app.main;app.load 4\n"


def test_pprof_holds_every_column(run: Run, out: Path) -> None:
    run("convert", "--to", "pprof", "--focus", "load", "old.pb.gz", "-o", "load.pb.gz")
    profile = Profile.read(out / "load.pb.gz")

    assert profile == Profile.read(out / "old.pb.gz").focus("load")


def test_merge_writes_one_profile(run: Run, out: Path) -> None:
    assert run("merge", "lowtide-out", "-o", "all.pb.gz") == ""

    assert Profile.read(out / "all.pb.gz").total("inuse_objects") == 18


def test_merge_writes_to_a_pipe(out: Path) -> None:
    written = click.testing.CliRunner().invoke(cli, ["merge", "old.pb.gz", "new.pb.gz", "-o", "-"]).stdout_bytes

    assert Profile.read(io.BytesIO(written)).total("inuse_objects") == 18
