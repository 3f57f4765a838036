"""Counting instructions under callgrind."""

import shutil
import sys
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.bench import Bench
from benchmarks.rows.pair_cost import pair_costs
from benchmarks.spawn import Interpreter

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(shutil.which("valgrind") is None, reason="needs valgrind"),
    pytest.mark.timeout(300),
]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    here = Interpreter.probe(sys.executable)
    return Bench([here], quick=True, artifacts=tmp_path, console=Console(quiet=True))


def test_a_pair_costs_more_armed_and_the_same_every_time(bench: Bench) -> None:
    first, again = (pair_costs(bench, bench.main, pairs=1000) for _ in range(2))
    for state in ("armed", "stopped"):
        for what, cost in first[state].items():
            added = cost - first["plain"][what]
            assert added > 0
            assert added == pytest.approx(again[state][what] - again["plain"][what], abs=1)
