"""What runs say together: the figures of a cell (workload, policy, load), and of two cells as pairs."""

import json
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from gc_lab import histogram
from gc_lab.histogram import Interval

Run = dict[str, Any]
Runs = Sequence[Run]
Figure = Callable[[Runs], float]


class Cells:
    """Runs by workload, policy and load."""

    def __init__(self, runs: Iterable[Run]) -> None:
        self._runs: defaultdict[tuple[str, str, str], list[Run]] = defaultdict(list)
        for run in runs:
            if "latency" in run:
                run["latency"] = {int(bucket): count for bucket, count in run["latency"].items()}
            self._runs[run["workload"], run["policy"], run["load"]].append(run)

    def get(self, workload: str, policy: str, load: str | int) -> list[Run]:
        return self._runs.get((workload, policy, str(load)), [])

    def loads(self, workload: str) -> list[str]:
        return list(dict.fromkeys(load for name, _, load in self._runs if name == workload))

    def policies(self, workload: str) -> list[str]:
        return list(dict.fromkeys(policy for name, policy, _ in self._runs if name == workload))

    def ratio(self, figure: Figure, workload: str, load: str | int, over: str, under: str) -> Interval | None:
        """Return a policy's figure over another's, from runs of the same repeats; None without both."""
        by_repeat = {run["repeat"]: run for run in self.get(workload, under, load)}
        pairs = [
            (run, by_repeat[run["repeat"]]) for run in self.get(workload, over, load) if run["repeat"] in by_repeat
        ]

        def quotient(drawn: Sequence[tuple[Run, Run]]) -> float:
            above, below = zip(*drawn, strict=True)
            return figure(above) / max(figure(below), 1e-9)

        return histogram.bootstrap(pairs, quotient) if pairs else None


def read_runs(path: Path) -> list[Run]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def latency_at(share: float) -> Figure:
    """Return the figure `latency in seconds that this share of the requests did not exceed`, of all runs together."""
    return lambda runs: histogram.quantile(histogram.merge(run["latency"] for run in runs), share)


def full_in_requests(runs: Runs) -> int:
    return sum(int(run["in_request"][2]) for run in runs)


def longest_pause_in_request_ms(runs: Runs) -> float:
    return max(float(run["max_pause_in_request_ms"]) for run in runs)


def longest_cpu_in_request_ms(runs: Runs) -> float:
    return max(float(run["max_cpu_in_request_ms"]) for run in runs)


def longest_pause_ms(runs: Runs) -> float:
    return max(float(run["max_pause_ms"]) for run in runs)


def median_full_pause_ms(runs: Runs) -> float:
    """Return the median full collection's pause; 0 without one."""
    pauses = [float(pause) for run in runs for pause in run["full_pauses_ms"]]
    return statistics.median(pauses) if pauses else 0.0


def gc_share(runs: Runs) -> float:
    return _sum(runs, "gc_seconds") / _sum(runs, "seconds")


def gc_cpu_us_a_request(runs: Runs) -> float:
    return 1e6 * _sum(runs, "gc_cpu_seconds") / max(requests(runs), 1)


def cpu_us_a_request(runs: Runs) -> float:
    return 1e6 * _sum(runs, "cpu_seconds") / max(requests(runs), 1)


def requests(runs: Runs) -> int:
    return int(_sum(runs, "requests"))


def answered_a_second(runs: Runs) -> float:
    return statistics.median(float(run["answered_a_second"]) for run in runs)


def peak_mib(runs: Runs) -> float:
    return statistics.median(float(run["peak_rss_bytes"]) for run in runs) / 2**20


def _sum(runs: Runs, name: str) -> float:
    return sum(float(run[name]) for run in runs)
