"""Are the estimates right? Bias and coverage over 2,000 seeded runs of the sampler."""

from dataclasses import asdict

from benchmarks.accuracy import Batch, run_sampler, sum_up
from benchmarks.bench import Bench
from benchmarks.budgets import Reading

RUNS, QUICK_RUNS, BATCH_RUNS = 2_000, 100, 50
MIB = 2**20


def measure(bench: Bench) -> list[Reading]:
    runs = QUICK_RUNS if bench.quick else RUNS

    def batch(first_seed: int) -> Batch:
        return run_sampler(bench.main, first_seed, BATCH_RUNS)

    estimates = sum_up(bench.in_parallel(f"sampler, {runs} runs", batch, range(1, runs, BATCH_RUNS)))
    usual = [each for each in estimates if each.largest <= MIB]
    large = [each for each in estimates if MIB < each.largest < 16 * MIB]
    huge = [each for each in estimates if each.largest >= 16 * MIB]
    biased = max(estimates, key=lambda each: each.bias)
    lowest, highest = (pick(usual, key=lambda each: each.coverage) for pick in (min, max))
    lowest_large = min(large, key=lambda each: each.coverage)
    off = max(each.worst / (each.largest if each.column.endswith("space") else 1) for each in huge)
    detail = {"runs": runs, "estimates": [asdict(each) for each in estimates]}
    return [
        Reading("accuracy_mean", measured=100 * biased.bias, note=f"{biased.site} {biased.column}", detail=detail),
        Reading("accuracy_coverage_low", measured=100 * lowest.coverage, note=f"{lowest.site} {lowest.column}"),
        Reading("accuracy_coverage_high", measured=100 * highest.coverage, note=f"{highest.site} {highest.column}"),
        Reading(
            "accuracy_coverage_large",
            measured=100 * lowest_large.coverage,
            note=f"{lowest_large.site} {lowest_large.column}",
        ),
        Reading("accuracy_huge", measured=off, note=f"{len(huge)} columns x {runs} runs"),
    ]
