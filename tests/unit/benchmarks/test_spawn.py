"""Measuring in a process of its own."""

import sys
from pathlib import Path

import pytest

from benchmarks.spawn import Interpreter, ScriptFailedError, read_regions
from benchmarks.workloads import request

HERE = Interpreter(sys.executable, "this one")

SCRIPT = """
import pyperf, sys

def work(loops):
    print("noise on stdout")
    for _ in range(loops * 1000):
        pass

runner = pyperf.Runner()
runner.argparser.add_argument("times", type=int)
arguments = runner.parse_args()
for _ in range(arguments.times):
    runner.bench_time_func("timed", work)
runner.bench_func("called", work, 1)

async def later(loops):
    work(loops)

runner.bench_async_func("awaited", later, 1)
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "run_benchmark.py"
    path.write_text(SCRIPT)
    return path


def test_a_pyperf_script_runs_with_its_arguments_and_reports_its_cpu_time(script: Path) -> None:
    result = HERE.run("run_workload", **request(script, 3, "", args=["2"], warmup=1))
    assert result["cpu_ns"] > 0
    assert result["heap"] == {}


def test_arming_comes_before_the_script(script: Path) -> None:
    arm = "import lowtide.heap; lowtide.heap.start(sample_interval=1); kept = bytearray(1000)"
    result = HERE.run("run_workload", **request(script, 1, arm, args=["1"]))
    assert result["heap"]["samples"] > 0


def test_a_script_that_fails_says_how(tmp_path: Path) -> None:
    script = tmp_path / "fails.py"
    script.write_text("raise ValueError('no such workload')")
    with pytest.raises(ScriptFailedError, match="no such workload"):
        HERE.run("run_workload", **request(script, 1, ""))


def test_an_interpreter_without_what_is_needed_says_what_is_missing() -> None:
    with pytest.raises(ScriptFailedError, match="no_such_module"):
        Interpreter.probe(sys.executable, needs="no_such_module")


def test_a_path_that_is_no_interpreter_is_named() -> None:
    with pytest.raises(ScriptFailedError, match="/no/such/python"):
        Interpreter.probe("/no/such/python")


def test_an_interpreter_tells_its_version() -> None:
    assert Interpreter.probe(sys.executable, needs="json").version == "{}.{}".format(*sys.version_info[:2])


def test_dumps_of_a_region_add_up_by_name() -> None:
    text = """
part: 1
desc: Trigger: Client Request: region
summary: 100
totals: 100
part: 2
desc: Trigger: Client Request: region
totals: 20
part: 3
desc: Trigger: Program termination
totals: 3
"""
    assert read_regions(text) == {"region": 120, "Program termination": 3}
