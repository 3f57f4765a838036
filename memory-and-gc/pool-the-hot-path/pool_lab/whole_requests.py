"""Step (c), whole requests: blocks and bytes, and latency at constant arrival rates, before and after interleaved."""

import http.client
import random
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from examples.catalogue_load import make_products, scenario
from lowtide.profile import Profile
from pool_lab import PRODUCTS
from pool_lab.service import LabError, load_generator_on_its_own_cpu, serving
from tools.openload import Report, Scenario, run

VARIANTS = ("before", "after")
SHARES = (0.3, 0.6, 0.9)  # of capacity
WARMUP_SECONDS = 1.0
COUNTED = {"the mix": 400, "an export": 40}  # requests
METRICS: dict[str, Callable[[Report], float]] = {
    "p50": lambda report: report.latency.percentile(50),
    "p99": lambda report: report.latency.percentile(99),
    "p99.9": lambda report: report.latency.percentile(99.9),
    "p50 of exports": lambda report: report.steps["export"].percentile(50),
}
_RESAMPLES = 10_000


@dataclass(frozen=True, slots=True)
class Difference:
    """The median of paired differences (after - before), with its bootstrap interval of 95 %; seconds."""

    before: float
    after: float
    difference: float
    low: float
    high: float

    @property
    def is_told_from_zero(self) -> bool:
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, slots=True)
class Latencies:
    capacity: float  # requests a second, of `before`
    rounds: int
    seconds: float  # measured, of each run
    late: float  # share of requests that the load generator itself sent late
    differences: dict[tuple[float, str], Difference]  # by share of capacity and metric


def count_requests(variant: str, say: Callable[[str], None]) -> dict[str, tuple[float, float]]:
    """Return blocks and bytes a request, of the mix and of its exports; every block is counted, server included."""
    counts = {}
    for what, number in COUNTED.items():
        say(f"counting every block of {number} requests ({what}), {variant}")
        mix = scenario(make_products(PRODUCTS))
        if what == "an export":
            mix = Scenario(*(step for step in mix.steps if step.name == "export"))
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder, "exact.pb.gz")
            with serving(variant, target, sample_interval=1) as url:
                _ask_in_turn(url, mix, number)
            profile = Profile.read(target)
        if profile.period != 1:
            raise LabError(f"the count of {what} is not exact: the profiler had to sample ({profile.period} bytes)")
        counts[what] = (profile.total("alloc_objects") / number, profile.total("alloc_space") / number)
    return counts


def measure(rounds: int, seconds: float, say: Callable[[str], None]) -> Latencies:
    """Load both variants with the same requests in turn.

    Args:
        rounds: pairs at each rate; each round has processes of its own.
        seconds: measured in each run, after a warm-up.
        say: shows progress.
    """
    products = make_products(PRODUCTS)
    mix = scenario(products)
    with load_generator_on_its_own_cpu():
        say("finding the capacity")
        with serving("before") as url:
            capacity = find_capacity(url, mix)
        say(f"capacity of `before`: {capacity:.0f} requests/s; {rounds} rounds of {2 * len(SHARES)} loads follow")
        runs: dict[tuple[float, str], list[Report]] = {(share, name): [] for share in SHARES for name in VARIANTS}
        for turn in range(rounds):
            with both_serving() as urls:
                for share in SHARES:
                    for name in VARIANTS if turn % 2 == 0 else VARIANTS[::-1]:
                        report = run(
                            urls[name],
                            mix,
                            rate=share * capacity,
                            duration_seconds=seconds,
                            warmup_seconds=WARMUP_SECONDS,
                            seed=turn,
                        )
                        if report.errors:
                            raise LabError(f"the service ({name}) answered with errors under load: {report.errors}")
                        runs[share, name].append(report)
            p99 = [f"{runs[share, name][-1].latency.percentile(99) * 1e3:.1f}" for share in SHARES for name in VARIANTS]
            pairs = ", ".join(f"{a} -> {b}" for a, b in zip(p99[::2], p99[1::2], strict=True))
            say(f"round {turn + 1} of {rounds}: p99 {pairs} ms")
    reports = [report for by_run in runs.values() for report in by_run]
    return Latencies(
        capacity,
        rounds,
        seconds,
        late=sum(report.late for report in reports) / sum(report.sent for report in reports),
        differences={
            (share, metric): compare(
                [read(report) for report in runs[share, "before"]], [read(report) for report in runs[share, "after"]]
            )
            for share in SHARES
            for metric, read in METRICS.items()
        },
    )


def find_capacity(url: str, mix: Scenario) -> float:
    """Return how many requests a second the service answers when there are always some waiting."""
    return run(url, mix, rate=2000, duration_seconds=5, warmup_seconds=1, max_in_flight=16).achieved_rate


@contextmanager
def both_serving() -> Iterator[dict[str, str]]:
    with serving("before") as before, serving("after") as after:
        yield {"before": before, "after": after}


def compare(before: Sequence[float], after: Sequence[float]) -> Difference:
    """Return the median paired difference and its interval: pairs are drawn again, with replacement, many times."""
    pairs = [b - a for a, b in zip(before, after, strict=True)]
    rng = random.Random(0)
    medians = sorted(statistics.median(rng.choices(pairs, k=len(pairs))) for _ in range(_RESAMPLES))
    return Difference(
        statistics.median(before),
        statistics.median(after),
        statistics.median(pairs),
        low=medians[round(0.025 * _RESAMPLES)],
        high=medians[round(0.975 * _RESAMPLES) - 1],
    )


def _ask_in_turn(url: str, mix: Scenario, number: int) -> None:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    for _, request in islice(mix.requests(seed=0), number):
        headers = {"content-type": request.content_type} if request.body else {}
        connection.request(request.method, request.path, request.body, headers)
        response = connection.getresponse()
        response.read()
        if response.status != 200:
            raise LabError(f"{request.method} {request.path} was answered with status {response.status}")
    connection.close()
