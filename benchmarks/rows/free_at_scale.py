"""Does a free cost more the more blocks live? Instructions added per free, in a large heap against a small one."""

from benchmarks.bench import ARM, Bench
from benchmarks.budgets import Reading

SIZE_BYTES = 48


def measure(bench: Bench) -> list[Reading]:
    probe = bench.probe_folder(bench.main)
    populations = (100_000, 1_000_000 if bench.quick else 10_000_000)
    frees = 40_000

    # What our own code executes: pymalloc's share of a free differs from heap to heap by more than all of ours.
    def count(live: int) -> float:
        _, regions = bench.main.count(
            "free_at_scale",
            inside="lowtide/_core",
            probe=probe,
            arm=ARM["armed"],
            live=live,
            size=SIZE_BYTES,
            frees=frees,
        )
        return regions["frees"] / frees

    small, large = bench.in_parallel("free at scale", count, populations)
    return [
        Reading(
            "free_at_scale",
            bench.main.version,
            large / small,
            note=f"{small:.2f} -> {large:.2f} instructions a free",
        )
    ]
