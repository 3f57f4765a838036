"""Judge the sampler's estimates over many runs: bias of the mean, coverage of the intervals."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from benchmarks.spawn import Interpreter

COLUMNS = ("alloc_objects", "alloc_space", "inuse_objects", "inuse_space")
NORMAL_95 = 1.96
INTERVAL_BYTES = 512 * 1024


class Batch(TypedDict):
    """What `scripts/sampling_runs.py` answers; by site four values, and in a run four standard errors after them."""

    largest: dict[str, int]
    truth: dict[str, list[float]]
    runs: list[dict[str, list[float]]]


@dataclass(frozen=True, slots=True)
class Estimate:
    """How one column of one site came out over all runs."""

    site: str
    column: str
    largest: int  # of the site's blocks, bytes
    runs: int
    truth: float
    mean: float
    deviation: float  # standard deviation over the runs
    covered: int  # runs whose 95 % interval holds the truth
    worst: float  # largest distance from the truth in any run

    @property
    def bias(self) -> float:
        """Distance of the mean from the truth, as a fraction of the truth."""
        return abs(self.mean - self.truth) / self.truth

    @property
    def coverage(self) -> float:
        return self.covered / self.runs


def run_sampler(interpreter: Interpreter, first_seed: int, runs: int) -> Batch:
    """Run the sampler under `runs` seeds, about 50 ms each."""
    answer: Any = interpreter.run("sampling_runs", interval=INTERVAL_BYTES, first_seed=first_seed, runs=runs)
    batch: Batch = answer
    return batch


def sum_up(batches: Sequence[Batch]) -> list[Estimate]:
    runs = [run for batch in batches for run in batch["runs"]]
    estimates = []
    for site, truths in batches[0]["truth"].items():
        for number, (column, truth) in enumerate(zip(COLUMNS, truths[:4], strict=True)):
            if truth:
                values = [run[site][number] for run in runs]
                errors = [run[site][number + 4] for run in runs]
                distances = [abs(value - truth) for value in values]
                covered = sum(far <= NORMAL_95 * error for far, error in zip(distances, errors, strict=True))
                largest = batches[0]["largest"][site]
                mean, deviation = statistics.fmean(values), statistics.pstdev(values)
                estimates.append(
                    Estimate(site, column, largest, len(runs), truth, mean, deviation, covered, max(distances))
                )
    return estimates
