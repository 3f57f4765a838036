"""The lab gc-forensics still runs, its traces say what their annotations say, and its README what its results say."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lowtide._core", reason="the extension is not built")
pytest.importorskip("hdrh", reason="hdrhistogram is not installed")

ROOT = Path(__file__).parents[2]
LAB = Path("memory-and-gc", "gc-forensics")


def run_lab(*arguments: str, lab: Path = ROOT / LAB) -> "subprocess.CompletedProcess[str]":
    """Run the lab of this folder on the code of this repository."""
    return subprocess.run(
        [sys.executable, "-m", "gc_lab", *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join((str(lab), str(ROOT)))},
        capture_output=True,
        text=True,
        timeout=100,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Give a copy of the lab that a test may change."""
    target = tmp_path / LAB
    shutil.copytree(ROOT / LAB, target, ignore=shutil.ignore_patterns("__pycache__"))
    return target


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "latency.jsonl").read_text().splitlines()]


def test_a_quick_run_leaves_a_record_of_each_policy_and_shows_them_in_a_table(tmp_path: Path) -> None:
    chosen = ("--workload", "cycles", "--policy", "stock", "--policy", "disable", "--load", "60")
    done = run_lab("latency", "--quick", *chosen, "--out", str(tmp_path))

    assert done.returncode == 0, done.stderr
    stock, disabled = records(tmp_path)
    assert (stock["policy"], disabled["policy"]) == ("stock", "disable")
    assert stock["collections"][0] > 0
    assert stock["in_request"][0] > 0
    assert disabled["collections"] == [0, 0, 0]
    assert sum(stock["latency"].values()) == stock["sent"] > 0
    assert "| `disable`" in done.stdout
    assert (tmp_path / "latency-cycles-60.svg").read_text().startswith("<svg ")


def test_the_readme_says_what_the_results_say(copy: Path) -> None:
    before = (copy / "README.md").read_text()

    done = run_lab("--report", lab=copy)

    assert done.returncode == 0, done.stderr
    assert (copy / "README.md").read_text() == before


def test_the_traces_are_explained_as_they_were_when_committed() -> None:
    done = run_lab("--check")

    assert done.returncode == 0, done.stderr


def test_an_annotation_that_lowtide_would_not_write_fails_the_check(copy: Path) -> None:
    annotated = copy / "traces" / "leak.explained.txt"
    annotated.write_text(annotated.read_text().replace("freed", "found", 1))

    done = run_lab("--check", lab=copy)

    assert done.returncode == 1
    [sentence] = done.stderr.splitlines()
    assert "leak.explained.txt must be what `lowtide pacer explain` says" in sentence


@pytest.mark.slow
def test_the_simulator_is_compared_with_what_each_policy_took(tmp_path: Path) -> None:
    done = run_lab("pairs", "--quick", "--workload", "cycles", "--out", str(tmp_path))

    assert done.returncode == 0, done.stderr
    pairs = [json.loads(line) for line in (tmp_path / "pairs.jsonl").read_text().splitlines()]
    seconds = {
        (pair["recorded"], pair["simulated"]): (pair["predicted"], pair["measured"])
        for pair in pairs
        if pair["figure"] == "gc_seconds"
    }
    assert len(seconds) == 25
    assert all(measured > 0 for _, measured in seconds.values())
