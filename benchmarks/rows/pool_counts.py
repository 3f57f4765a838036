"""Blocks of a pool's hit path, and its instructions with and without check mode in the process."""

from benchmarks.bench import Bench
from benchmarks.budgets import Reading

CALLS = 10_000


def measure(bench: Bench) -> list[Reading]:
    readings = []
    for interpreter in bench.interpreters:
        bench.say(f"counts of a pool's hit path, Python {interpreter.version}")
        result, regions = interpreter.count("pool_counts", probe=bench.probe_folder(interpreter), calls=CALLS)
        never, elsewhere = (regions[name] / CALLS for name in ("default", "checked elsewhere"))
        readings += [
            Reading("pool_blocks", interpreter.version, result["blocks"], note=f"of {CALLS:,} pairs"),
            Reading(
                "pool_check_off", interpreter.version, round(elsewhere - never, 2), note=f"{never:.0f} a pair in all"
            ),
        ]
    return readings
