"""The profiler's own memory under stress: every block sampled, code objects without end, small budgets and large."""

from benchmarks.bench import Bench
from benchmarks.budgets import Reading

BUDGETS_BYTES = (2 * 2**20, 8 * 2**20, 32 * 2**20)


def measure(bench: Bench) -> list[Reading]:
    functions = 5_000 if bench.quick else 100_000
    shared = {"sample_interval": 1, "functions": functions}
    plain = bench.main.run("table_memory", armed=False, max_bytes=0, **shared)
    readings = []
    for max_bytes in BUDGETS_BYTES:
        bench.say(f"memory under stress: a budget of {max_bytes >> 20} MiB")
        armed = bench.main.run("table_memory", armed=True, max_bytes=max_bytes, **shared)
        resident_mib = (armed["resident_kib"] - plain["resident_kib"]) / 1024
        readings.append(
            Reading(
                "table_memory",
                f"{max_bytes >> 20} MiB",
                armed["table_bytes"] / max_bytes,
                note=f"{armed['samples']:,} samples, interval doubled {armed['thinned']} times; "
                f"resident memory grew by {resident_mib:.1f} MiB",
                detail=armed,
            )
        )
    return readings
