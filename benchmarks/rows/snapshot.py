"""A snapshot of 10,000 stacks: how long it holds the lock, how long it takes, and whom it holds up."""

import statistics

from benchmarks.bench import Bench
from benchmarks.budgets import Reading


def measure(bench: Bench) -> list[Reading]:
    bench.say("snapshot of 10,000 stacks")
    cost = bench.main.run("snapshot_cost", writes=3 if bench.quick else 15)
    return [
        Reading(
            "snapshot_lock",
            bench.main.version,
            statistics.median(cost["lock_ns"]) / 1e6,
            note=f"{cost['table_bytes'] / 2**20:.1f} MiB of tables, longest {max(cost['lock_ns']) / 1e6:.2f} ms",
        ),
        Reading(
            "snapshot_write",
            bench.main.version,
            statistics.median(cost["write_ns"]) / 1e6,
            note=f"{cost['stacks']:,} stacks, {cost['samples']:,} samples, {cost['file_bytes'] / 1024:.0f} KiB; "
            f"longest {max(cost['write_ns']) / 1e6:.0f} ms",
        ),
        Reading(
            "snapshot_progress",
            bench.main.version,
            statistics.median(cost["speed"]),
            note=f"its longest pause {max(cost['pause_ns']) / 1e6:.1f} ms",
        ),
    ]
