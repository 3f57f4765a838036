"""A service that moves 1 GB/s in filled 64 KiB blocks: its CPU time, and the cost of one sample."""

import statistics

from benchmarks.bench import ARM, Bench
from benchmarks.budgets import Reading
from benchmarks.measure import interleave, ratio
from benchmarks.spawn import SCRIPTS
from benchmarks.workloads import request

SIDES = ("plain", "armed", "again")


def measure(bench: Bench) -> list[Reading]:
    rounds = 3 if bench.quick else 15
    sample_us: list[float] = []

    def run(_name: str, side: str, turn: int) -> float:
        if side == SIDES[turn % len(SIDES)]:
            bench.say(f"filled blocks: round {turn + 1}/{rounds}")
        seconds = 2 if bench.quick else 10
        asked = request(SCRIPTS / "filled_blocks.py", seconds, ARM[side], warmup=1)
        result = bench.main.run("run_workload", seed=turn, **asked)
        if side == "armed":
            sample_us.append(result["heap"]["slow_path_seconds"] / result["heap"]["samples"] * 1e6)
        return float(result["cpu_ns"])

    times = interleave(["filled blocks"], SIDES, rounds, run)
    armed, null = ratio(times, "armed", "plain"), ratio(times, "again", "plain")
    return [
        Reading(
            "filled_blocks",
            bench.main.version,
            armed.value / null.value,
            null=null.value,
            spread=armed.spread,
            null_spread=null.spread,
            detail={"rounds": rounds},
        ),
        Reading("sample_cost", bench.main.version, statistics.median(sample_us)),
    ]
