"""Pools and buffers against what they replace, next to each other in one process."""

import statistics

from benchmarks.bench import PROBE_SOURCE, Bench, build_extension
from benchmarks.budgets import Reading
from benchmarks.measure import Times, ratio
from benchmarks.spawn import Interpreter

# budget: its subject, and whether it tells how many times faster ours is rather than how much it costs.
RATIOS = {
    "pool_get_put": ("pool", False),
    "pool_lease": ("lease", False),
    "buffer_pool_4k": ("buffer_pool_4k", True),
    "buffer_pool_64k": ("buffer_pool_64k", True),
    "buffer_256k": ("writelines_262144", True),
}


def measure(bench: Bench) -> list[Reading]:
    return [reading for interpreter in bench.interpreters for reading in measure_one(bench, interpreter)]


def measure_one(bench: Bench, interpreter: Interpreter) -> list[Reading]:
    bench.say(f"pools against what they replace, Python {interpreter.version}")
    folder = bench.artifacts / "build" / interpreter.version
    folder.mkdir(parents=True, exist_ok=True)
    build_extension(interpreter, PROBE_SOURCE.with_name("lowtide_context.c"), folder / "lowtide_context.so")
    answer = interpreter.run("pool_times", rounds=5 if bench.quick else 31, context=str(folder))
    times: Times = answer["ns"]
    readings = [
        read(budget, interpreter, times, subject, is_gain=is_gain) for budget, (subject, is_gain) in RATIOS.items()
    ]
    sizes = [subject for subject in times if subject.startswith("write")]
    slowest = min(sizes, key=lambda subject: gain(times, subject))
    readings.append(read("buffer_worst", interpreter, times, slowest, is_gain=True))
    rotation_ms = answer["rotation_ms"]
    note = f"longest {max(rotation_ms):.3f} ms"
    readings.append(Reading("pool_rotation", interpreter.version, statistics.median(rotation_ms), note=note))
    return readings


def read(budget: str, interpreter: Interpreter, times: Times, subject: str, *, is_gain: bool) -> Reading:
    only = {subject: times[subject]}
    compared = ratio(only, "reference", "ours") if is_gain else ratio(only, "ours", "reference")
    null = ratio(only, "again", "reference")
    ours, reference = (statistics.median(times[subject][side]) for side in ("ours", "reference"))
    return Reading(
        budget,
        interpreter.version,
        compared.value,
        null=null.value,
        spread=compared.spread,
        null_spread=null.spread,
        note=f"{subject}: {ours:.3g} ns against {reference:.3g} ns",
    )


def gain(times: Times, subject: str) -> float:
    return ratio({subject: times[subject]}, "reference", "ours").value
