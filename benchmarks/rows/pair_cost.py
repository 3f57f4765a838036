"""Instructions that the hooks add to an unsampled malloc + free pair."""

from benchmarks.bench import Bench
from benchmarks.budgets import Reading
from benchmarks.spawn import Interpreter

PAIRS = 100_000


def measure(bench: Bench) -> list[Reading]:
    return [reading for interpreter in bench.interpreters for reading in measure_one(bench, interpreter)]


def measure_one(bench: Bench, interpreter: Interpreter) -> list[Reading]:
    bench.say(f"instructions per pair, Python {interpreter.version}")
    result, regions = interpreter.count("pair_cost", probe=bench.probe_folder(interpreter), pairs=PAIRS)
    if result["samples"]:
        raise RuntimeError(f"{result['samples']} pairs were sampled, expected none")
    readings = []
    for state in ("armed", "stopped"):
        added = {
            name.removeprefix(f"{state} "): (count - regions[name.replace(state, "plain")]) / PAIRS
            for name, count in regions.items()
            if name.startswith(f"{state} ")
        }
        # One pair is one hook call each way; a block above 512 bytes makes two, for pymalloc passes it on to raw.
        single = {name: value for name, value in added.items() if name.endswith(" 64")}
        worst = max(single, key=single.__getitem__)
        nested = max(value for name, value in added.items() if name not in single)
        note = f"{worst} bytes; through two domains: {nested:.1f}"
        readings.append(Reading(f"pair_{state}", interpreter.version, single[worst], note=note, detail=added))
    return readings
