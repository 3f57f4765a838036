"""Instructions of the same workloads at small sizes: a count, so one run of each side is enough."""

from benchmarks.bench import ARM, Bench
from benchmarks.budgets import Reading
from benchmarks.measure import geometric_mean
from benchmarks.spawn import Interpreter
from benchmarks.workloads import WORKLOADS

SIDES = ("plain", "imported", "armed", "hooks that pass through")


def measure(bench: Bench) -> list[Reading]:
    return [reading for interpreter in bench.interpreters for reading in measure_one(bench, interpreter)]


def measure_one(bench: Bench, interpreter: Interpreter) -> list[Reading]:
    probe = bench.probe_folder(interpreter)
    names = ["json_loads", "telco"] if bench.quick else list(WORKLOADS)

    def count(job: tuple[str, str]) -> int:
        workload = WORKLOADS[job[0]]
        request = workload.request(workload.counted_loops, ARM[job[1]], probe)
        _, regions = interpreter.count("run_workload", **request)
        return regions["region"]

    jobs = [(name, side) for name in names for side in SIDES]
    counts = dict(zip(jobs, bench.in_parallel(f"instructions, Python {interpreter.version}", count, jobs), strict=True))
    ratios = {side: {name: counts[name, side] / counts[name, "plain"] for name in names} for side in SIDES[1:]}
    mean = {side: geometric_mean(list(by_name.values())) for side, by_name in ratios.items()}
    worst = max(ratios["armed"], key=ratios["armed"].__getitem__)
    reference = f"hooks that only pass through: {mean['hooks that pass through']:.4f}"
    return [
        Reading(
            "instructions_mean",
            interpreter.version,
            mean["armed"],
            null=mean["imported"],
            note=reference,
            detail=ratios,
        ),
        Reading(
            "instructions_worst",
            interpreter.version,
            ratios["armed"][worst],
            null=ratios["imported"][worst],
            note=worst,
        ),
    ]
