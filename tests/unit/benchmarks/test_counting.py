"""Counting instructions under callgrind."""

import shutil
import sys
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.bench import Bench
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


def test_pairs_cost_the_same_to_the_instruction_every_time_and_more_when_armed(bench: Bench) -> None:
    probe = bench.probe_folder(bench.main)
    (_, first), (_, again) = (bench.main.count("pair_cost", probe=probe, pairs=1000) for _ in range(2))
    assert first == again
    assert first["armed obj 64"] > first["plain obj 64"]
