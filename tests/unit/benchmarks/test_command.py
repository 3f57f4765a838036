"""`python -m benchmarks`."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.budgets import load

ROOT = Path(__file__).parents[3]


def benchmarks(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments], capture_output=True, text=True, cwd=ROOT, timeout=60
    )


def test_list_names_every_promise() -> None:
    shown = benchmarks("--list")
    assert shown.returncode == 0
    assert [budget.what for budget in load().values() if budget.what not in shown.stdout] == []


@pytest.mark.parametrize("arguments", [("--only", "nothing"), ("--python", "/no/such/python"), ("--nonsense",)])
def test_bad_arguments_get_a_line_and_exit_code_2(arguments: tuple[str, ...]) -> None:
    shown = benchmarks(*arguments)
    assert shown.returncode == 2
    assert "Traceback" not in shown.stderr
    assert arguments[-1] in shown.stderr


def test_a_measurement_prints_its_row_and_writes_it(tmp_path: Path) -> None:
    shown = benchmarks("--quick", "--only", "import_cost", "--python", sys.executable, "--out", str(tmp_path))
    assert "import lowtide" in shown.stdout
    assert "third-party modules" in (tmp_path / "part.md").read_text()
