"""The lab pool-the-hot-path holds what it won: the operation's blocks and bytes, and the misuse that is caught."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAB = Path("memory-and-gc", "pool-the-hot-path")


def run_quick(lab: Path) -> "subprocess.CompletedProcess[str]":
    """Run the lab of this folder on the code of this repository."""
    path = os.pathsep.join((str(lab), str(ROOT)))
    return subprocess.run(
        [sys.executable, "-m", "pool_lab", "--quick"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=100,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Give a copy of the lab that a test may change."""
    target = tmp_path / LAB
    shutil.copytree(ROOT / LAB, target, ignore=shutil.ignore_patterns("__pycache__", "results"))
    return target


def test_the_operation_keeps_its_baseline_and_the_misuse_is_caught() -> None:
    done = run_quick(ROOT / LAB)

    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith("hold their baseline\n")
    assert "lines of the response are another customer's" in done.stdout
    assert "pool 'careless'" in done.stdout.splitlines()[-1]
    assert "reset left an item dirty" in done.stdout.splitlines()[-1]


def test_an_allocation_more_for_each_product_breaks_the_baseline(copy: Path) -> None:
    export = copy / "pool_lab" / "export.py"
    text = export.read_text()
    worse = text.replace("for product in batch:\n", "for product in batch:\n                bytes(1000)\n", 1)
    assert worse != text
    export.write_text(worse)

    done = run_quick(copy)

    assert done.returncode == 1, done.stderr
    assert "pool-lab: blocks an operation must be at most the baseline's" in done.stderr
    assert "pool-lab: bytes an operation must be at most the baseline's" in done.stderr


def test_a_version_that_makes_other_bytes_is_refused(copy: Path) -> None:
    export = copy / "pool_lab" / "export.py"
    text = export.read_text()
    assert '"stock": ' in text
    export.write_text(text.replace('"stock": ', '"stock":', 1))

    done = run_quick(copy)

    assert done.returncode == 1, done.stderr
    assert "pool-lab: after must make the same bytes as before, got others" in done.stderr


def test_a_python_without_a_baseline_is_told_how_to_make_one(copy: Path) -> None:
    (copy / "baseline.json").write_text(json.dumps({}))

    done = run_quick(copy)

    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("add it with --write-baseline")
