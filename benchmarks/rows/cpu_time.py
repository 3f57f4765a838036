"""CPU time of the twelve workloads, profiled at the default interval against plain."""

from benchmarks.bench import ARM, Bench
from benchmarks.budgets import Reading
from benchmarks.measure import ratio
from benchmarks.spawn import Interpreter
from benchmarks.workloads import WORKLOADS, run_interleaved

SIDES = {side: ARM[side] for side in ("plain", "armed", "again")}
PROMISED = ("3.11", "3.13")


def measure(bench: Bench) -> list[Reading]:
    missing = [version for version in PROMISED if version not in {each.version for each in bench.interpreters}]
    return [
        *(measure_one(bench, interpreter) for interpreter in bench.interpreters),
        *(Reading("cpu_time", version, note=f"no Python {version} with lowtide: see --python") for version in missing),
    ]


def measure_one(bench: Bench, interpreter: Interpreter) -> Reading:
    rounds, scale = (3, 0.1) if bench.quick else (9, 1.0)
    bench.say(f"CPU time, Python {interpreter.version}")
    times = run_interleaved(interpreter, list(WORKLOADS), SIDES, rounds=rounds, scale=scale, say=bench.say)
    armed, null = ratio(times, "armed", "plain"), ratio(times, "again", "plain")
    return Reading(
        "cpu_time",
        interpreter.version,
        measured=armed.value / null.value,
        null=null.value,
        spread=armed.spread,
        null_spread=null.spread,
        detail={"armed": dict(armed.by_subject), "null": dict(null.by_subject), "rounds": rounds},
    )
