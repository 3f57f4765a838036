"""`lowtide pacer`, from a program whose trace was recorded to the answers."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from lowtide.pacer import record
from tests.e2e.programs import environment, lowtide
from tests.unit.pacer import traces


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pacer")
    raw = traces.recorded("stock")
    trace = record.parse(raw)
    (folder / "gc.log").write_text(raw)
    lines = [record.json_header(trace.header), *map(record.json_line, trace.collections)]
    (folder / "gc.json").write_text("".join(f"{line}\n" for line in lines))
    (folder / "empty.log").touch()
    (folder / "text.log").write_text("not a trace\n")
    (folder / "bytes.log").write_bytes(b"\xff\xfe\x00")
    (folder / "profile.json").write_text('{"schema": 1}\n')
    (folder / "none.log").write_text(raw.splitlines()[0] + "\n")
    (folder / "later.log").write_text(raw.replace("gctrace 1", "gctrace 2", 1))
    (folder / "broken.log").write_text("\n".join([*raw.splitlines()[:3], "gc 4 @", *raw.splitlines()[4:6], ""]))
    (folder / "cut.log").write_text("\n".join(raw.splitlines()[:-2])[:-20])
    return folder


def test_explain_annotates_lines_and_ends_with_what_to_try(folder: Path) -> None:
    done = lowtide("pacer", "explain", "gc.log", cwd=folder)

    assert (done.returncode, done.stderr) == (0, "")
    titles = ["how to read a line", "line by line", "what it shows", "what to try, by predicted effect"]
    assert [line for line in done.stdout.splitlines() if line in titles] == titles
    assert "gen2 full" in done.stdout
    assert "\x1b" not in done.stdout


def test_both_forms_of_a_trace_are_read_from_a_file_or_a_pipe(folder: Path) -> None:
    raw = lowtide("pacer", "explain", "gc.log", "--format", "json", cwd=folder)
    piped = lowtide("pacer", "explain", "-", "--format", "json", input=(folder / "gc.log").read_text())
    other = lowtide("pacer", "explain", "gc.json", "--format", "json", cwd=folder)

    assert json.loads(raw.stdout) == json.loads(piped.stdout)
    assert json.loads(other.stdout)["header"]["pid"] == json.loads(raw.stdout)["header"]["pid"]
    assert json.loads(other.stdout)["findings"] == json.loads(raw.stdout)["findings"]


def test_traces_of_other_processes_are_pointed_out(folder: Path, tmp_path: Path) -> None:
    for name in ("gc.log", "gc.log.77", "gc.log.78", "gc.log.old"):
        (tmp_path / name).write_text((folder / "gc.log").read_text())

    first = lowtide("pacer", "explain", "gc.log", cwd=tmp_path)
    assert first.stderr.endswith("; other processes wrote gc.log.77, gc.log.78\n")
    assert lowtide("pacer", "explain", "gc.log.77", cwd=tmp_path).stderr == ""


def test_a_page_is_written_where_it_is_wanted(folder: Path) -> None:
    done = lowtide("pacer", "explain", "gc.log", "--format", "html", "-o", "gc.html", cwd=folder)

    assert (done.returncode, done.stdout) == (0, "gc.html\n")
    assert (folder / "gc.html").read_text().startswith("<!doctype html>")


def test_a_trace_cut_off_by_a_kill_is_explained_up_to_there(folder: Path) -> None:
    done = lowtide("pacer", "explain", "cut.log", cwd=folder)

    assert done.returncode == 0
    assert "the last line is broken off" in done.stdout


def test_a_long_trace_tells_a_terminal_that_it_takes_its_time(tmp_path: Path) -> None:
    long = traces.service(seconds=500.0)
    lines = [record.json_header(long.header), *map(record.json_line, long.collections)]
    (tmp_path / "long.json").write_text("".join(f"{line}\n" for line in lines))
    reading, terminal = pty.openpty()
    command = [sys.executable, "-m", "lowtide", "pacer", "explain", "long.json"]

    subprocess.run(command, cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL, stderr=terminal, check=True)
    os.close(terminal)
    assert b"replaying 5,000 collections" in os.read(reading, 65536)
    os.close(reading)


def test_simulate_puts_policies_beside_what_was_recorded(folder: Path) -> None:
    done = lowtide("pacer", "simulate", "gc.log", "--policy", "freeze", "--policy", "percent=100", cwd=folder)

    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split("  ")[0].strip() for line in done.stdout.splitlines()[:4]] == [
        "policy",
        "as recorded",
        "freeze",
        "percent=100",
    ]


def test_simulate_has_policies_of_its_own_and_a_form_for_programs(folder: Path) -> None:
    done = lowtide("pacer", "simulate", "gc.log", "--format", "json", cwd=folder)

    found = json.loads(done.stdout)
    assert (found["schema"], found["since"]) == (1, "its first request")
    assert [each["policy"] for each in found["predictions"]] == ["stock", "freeze", "threshold=50000", "act"]
    assert found["predictions"][0]["gen0_collections"] == pytest.approx(found["recorded"]["gen0_collections"], rel=0.05)


@pytest.mark.parametrize("verb", ["explain", "simulate"])
@pytest.mark.parametrize(
    ("file", "complaint"),
    [
        ("gone.log", "gone.log: no such file or directory"),
        (".", ".: is a directory"),
        ("/proc/self/mem", "/proc/self/mem: input/output error"),
        ("empty.log", "empty.log: expected a gctrace, got a text without a gctrace's first line"),
        ("text.log", "text.log: expected a gctrace"),
        ("bytes.log", "bytes.log: expected a gctrace, got bytes that are no text"),
        ("profile.json", "profile.json: expected a gctrace"),
        ("later.log", "later.log: line 1: expected a gctrace of version 1, got version 2"),
        ("broken.log", "broken.log: line 4: expected `gc N @SECONDS ...`"),
    ],
)
def test_what_is_no_trace_gets_one_line(verb: str, file: str, complaint: str, folder: Path) -> None:
    done = lowtide("pacer", verb, file, cwd=folder)

    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"lowtide: {complaint}")


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        (["simulate", "none.log"], "expected a trace with collections, got one with none"),
        (["simulate", "gc.log", "--policy", "fast"], "policy must be stock, act, percent=N"),
        (["simulate", "gc.log", "--policy", "act+freeze"], "the pacer freezes and sets thresholds itself"),
        (["explain", "gc.log", "--format", "svg"], "invalid value for '--format'"),
        (["explain", "gc.log", "-o", "gone/gc.txt"], "no such file or directory"),
        (["explain"], "missing argument 'LOG'"),
        (["forecast"], "no such command 'forecast'"),
    ],
)
def test_what_cannot_be_done_gets_one_line(args: list[str], complaint: str, folder: Path) -> None:
    done = lowtide("pacer", *args, cwd=folder)

    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert complaint in line
