"""Instructions that the hooks add to an unsampled malloc + free pair."""

import statistics

from benchmarks.bench import Bench
from benchmarks.budgets import Reading
from benchmarks.spawn import Interpreter

PAIRS = 20_000


def measure(bench: Bench) -> list[Reading]:
    return [reading for interpreter in bench.interpreters for reading in measure_one(bench, interpreter)]


def measure_one(bench: Bench, interpreter: Interpreter) -> list[Reading]:
    bench.say(f"instructions per pair, Python {interpreter.version}")
    costs = pair_costs(bench, interpreter, PAIRS)
    readings = []
    for state in ("armed", "stopped"):
        added = {what: cost - costs["plain"][what] for what, cost in costs[state].items()}
        # One pair is one hook call each way; a block above 512 bytes makes two, for pymalloc passes it on to raw.
        single = {what: value for what, value in added.items() if what.endswith(" 64")}
        worst = max(single, key=single.__getitem__)
        note = ", ".join(f"{what}: {value:.0f}" for what, value in added.items())
        readings.append(Reading(f"pair_{state}", interpreter.version, single[worst], note=note, detail=added))
    return readings


def pair_costs(bench: Bench, interpreter: Interpreter, pairs: int) -> dict[str, dict[str, float]]:
    """Return the instructions of a pair by state and by what is allocated ("obj 64")."""
    result, regions = interpreter.count("pair_cost", probe=bench.probe_folder(interpreter), pairs=pairs)
    if result["samples"]:
        raise RuntimeError(f"{result['samples']} pairs were sampled, expected none")
    places: dict[str, dict[str, list[int]]] = {}
    for name, count in regions.items():
        if "#" in name:
            state, what = name.partition(" #")[0].split(" ", 1)
            places.setdefault(state, {}).setdefault(what, []).append(count)
    return {
        state: {what: statistics.median(counts) / pairs for what, counts in by_what.items()}
        for state, by_what in places.items()
    }
