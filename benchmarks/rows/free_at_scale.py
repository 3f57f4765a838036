"""Does a free cost more the more blocks live? Instructions added per free, in a large heap against a small one."""

from benchmarks.bench import ARM, Bench
from benchmarks.budgets import Reading

SIZE_BYTES = 48


def measure(bench: Bench) -> list[Reading]:
    probe = bench.probe_folder(bench.main)
    populations = (100_000, 1_000_000 if bench.quick else 10_000_000)
    frees = 40_000

    def count(job: tuple[str, int]) -> float:
        side, live = job
        _, regions = bench.main.count(
            "free_at_scale", probe=probe, arm=ARM[side], live=live, size=SIZE_BYTES, frees=frees
        )
        return regions["frees"] / frees

    jobs = [(side, live) for live in populations for side in ("plain", "armed")]
    counts = dict(zip(jobs, bench.in_parallel("free at scale", count, jobs), strict=True))
    small, large = (counts["armed", live] - counts["plain", live] for live in populations)
    return [
        Reading(
            "free_at_scale",
            bench.main.version,
            large / small,
            note=f"{small:.2f} -> {large:.2f} instructions a free",
            detail={f"{side} {live}": value for (side, live), value in counts.items()},
        )
    ]
