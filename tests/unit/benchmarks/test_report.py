"""What `make bench` shows and writes."""

import json
from pathlib import Path

from benchmarks import report
from benchmarks.budgets import Budget, Reading

BUDGETS = {
    "cpu": Budget("cpu", "CPU time", "x", at_most=1.02, noise=0.02),
    "count": Budget("count", "instructions", "instructions", at_most=25),
}
READINGS = [
    Reading("cpu", "3.11", measured=1.0123, null=0.999, spread=0.004, null_spread=0.003),
    Reading("cpu", "3.13", measured=1.0, null=1.0, spread=0.1, null_spread=0.05, note="a remark"),
    Reading("count", "3.11", measured=19.0, detail={"obj 64": 19.0}),
    Reading("count", "3.13", note="valgrind is not installed"),
]


def test_a_row_shows_budget_figure_null_spread_and_verdict() -> None:
    row = report.cells(BUDGETS["cpu"], READINGS[0])
    assert row == ("CPU time", "3.11", "<= 1.02 x", "1.0123", "0.9990 ±0.0030", "±0.0040", "pass", "")


def test_noise_is_refused_aloud() -> None:
    verdict, remark = report.cells(BUDGETS["cpu"], READINGS[1])[-2:]
    assert verdict == "noisy"
    assert "repeat" in remark
    assert "a remark" in remark


def test_what_could_not_be_measured_says_why() -> None:
    row = report.cells(BUDGETS["count"], READINGS[3])
    assert (row[3], *row[-2:]) == ("", "not measured", "valgrind is not installed")


def test_the_files_hold_every_reading_with_its_verdict(tmp_path: Path) -> None:
    as_json, as_markdown = report.write(tmp_path / "new" / "bench", BUDGETS, READINGS, {"machine": "a machine"})
    written = json.loads(as_json.read_text())
    assert written["schema"] == 1
    assert written["conditions"] == {"machine": "a machine"}
    assert [row["verdict"] for row in written["readings"]] == ["pass", "noisy", "pass", "not measured"]
    assert written["readings"][2]["detail"] == {"obj 64": 19.0}
    lines = as_markdown.read_text().splitlines()
    assert lines[0].startswith("| what | Python | budget |")
    assert len([line for line in lines if line.startswith(("| CPU", "| instr"))]) == 4
