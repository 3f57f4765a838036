"""What was measured, as a table for people and as JSON for programs."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]  # the package ships no types

PERCENTILES = (50.0, 90.0, 99.0, 99.9)
_MAX_MICROSECONDS = 3_600_000_000


class Latency:
    """Latencies of one kind of request: 1 µs to 1 h, three significant digits."""

    def __init__(self) -> None:
        self._histogram = HdrHistogram(1, _MAX_MICROSECONDS, 3)

    def record(self, seconds: float) -> None:
        self._histogram.record_value(min(max(round(seconds * 1e6), 1), _MAX_MICROSECONDS))

    @property
    def count(self) -> int:
        return int(self._histogram.get_total_count())

    def percentile(self, percent: float) -> float:
        """Return the latency in seconds that `percent` of the requests did not exceed; 0 when there were none."""
        return int(self._histogram.get_value_at_percentile(percent)) / 1e6 if self.count else 0.0

    def recorded(self) -> Iterator[tuple[float, int]]:
        """Yield (latency in seconds, requests that took it), ascending."""
        for item in self._histogram.get_recorded_iterator():
            yield item.value_iterated_to / 1e6, int(item.count_added_in_this_iter_step)

    def as_json(self) -> dict[str, float]:
        quantiles = {f"p{percent:g}": self.percentile(percent) for percent in PERCENTILES}
        return {"count": self.count, **quantiles, "max": self.percentile(100)}


@dataclass(slots=True)
class Report:
    """One run, warm-up excluded.

    `outcomes` counts each request sent by how it ended: an HTTP status, `timeout`, `refused`, `disconnected` or
    `malformed`. Latency covers responses and timeouts (until they were given up); the others have none.
    """

    target: str
    rate: float
    duration_seconds: float
    warmup_seconds: float
    seed: int
    max_in_flight: int
    latency: Latency = field(default_factory=Latency)
    steps: dict[str, Latency] = field(default_factory=dict)
    outcomes: Counter[str] = field(default_factory=Counter)
    skipped: int = 0  # not sent, because max_in_flight were still unanswered
    late: int = 0  # sent noticeably after they were due: the client is short of CPU
    max_late_seconds: float = 0.0
    elapsed_seconds: float = 0.0  # from the first measured send that was due to the last answer

    @property
    def sent(self) -> int:
        return self.outcomes.total()

    @property
    def responses(self) -> int:
        return sum(count for outcome, count in self.outcomes.items() if outcome.isdigit())

    @property
    def achieved_rate(self) -> float:
        """Responses a second."""
        return self.responses / self.elapsed_seconds if self.elapsed_seconds else 0.0

    @property
    def errors(self) -> dict[str, int]:
        """Requests that did not end in a status below 400, by outcome."""
        # Outcomes that are words sort after those that are digits.
        return {outcome: n for outcome, n in sorted(self.outcomes.items()) if outcome >= "4"}

    def as_json(self) -> dict[str, Any]:
        """Return plain data; latencies in seconds."""
        return {
            "schema": 1,
            "target": self.target,
            "rate": self.rate,
            "achieved_rate": round(self.achieved_rate, 3),
            "duration_seconds": self.duration_seconds,
            "warmup_seconds": self.warmup_seconds,
            "elapsed_seconds": round(self.elapsed_seconds, 6),
            "seed": self.seed,
            "sent": self.sent,
            "responses": self.responses,
            "outcomes": dict(sorted(self.outcomes.items())),
            "errors": self.errors,
            "skipped": self.skipped,
            "late": self.late,
            "max_late_seconds": round(self.max_late_seconds, 6),
            "latency_seconds": self.latency.as_json(),
            "steps": {name: latency.as_json() for name, latency in sorted(self.steps.items())},
        }

    def as_table(self) -> str:
        """Return the run as aligned text, latencies in milliseconds."""
        titles = ["requests", *(f"p{percent:g}" for percent in PERCENTILES), "max"]
        rows = sorted(self.steps.items())
        rows = rows if len(rows) == 1 else [*rows, ("all", self.latency)]
        name_width = max(12, *(len(name) for name, _ in rows))
        lines = [f"{'latency, ms':<{name_width}}" + "".join(f"{title:>10}" for title in titles)]
        for name, latency in rows:
            values = "".join(f"{latency.percentile(percent) * 1e3:>10.2f}" for percent in (*PERCENTILES, 100.0))
            lines.append(f"{name:<{name_width}}{latency.count:>10}{values}")
        achieved = f"{self.achieved_rate:.1f} responses/s of {self.rate:g}/s asked for"
        lines += ["", f"{achieved}, {self.elapsed_seconds:.1f} s at {self.target}"]
        if self.errors:
            lines.append("errors: " + ", ".join(f"{n} x {outcome}" for outcome, n in self.errors.items()))
        if self.skipped:
            lines.append(
                f"skipped: {self.skipped} requests were due while {self.max_in_flight} were unanswered; "
                "the percentiles understate what users would have seen"
            )
        if self.late:
            lines.append(
                f"late: {self.late} of {self.sent} requests left up to {self.max_late_seconds * 1e3:.1f} ms after they "
                "were due; the client is short of CPU and that much of the latency is its own"
            )
        return "\n".join(lines)
