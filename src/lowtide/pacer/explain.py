"""A trace explained: each line, what hurts, and what to try."""

import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from statistics import median
from typing import Any, NamedTuple

from lowtide.errors import SettingsError
from lowtide.pacer import simulate
from lowtide.pacer.annotate import annotate, duration, is_ordinary
from lowtide.pacer.findings import Finding, findings, freed_of, guidance
from lowtide.pacer.flows import settled
from lowtide.pacer.record import OWN_CAUSES, Collection, Header, Trace, line
from lowtide.pacer.replay_policy import default_thresholds, parse_policy
from lowtide.pacer.simulate import Prediction
from lowtide.units import format_count

CANDIDATES = ("act", "freeze", "threshold=10000", "freeze+threshold=10000", "stock")
SETTINGS = {
    "act": "lowtide run --pacer=act, or lowtide.pacer.start(mode='act')",
    "freeze": "gc.collect(); gc.freeze() once the program is ready",
    "threshold=10000": "gc.set_threshold(10_000)",
    "freeze+threshold=10000": "gc.collect(); gc.freeze(); gc.set_threshold(10_000) once the program is ready",
    "stock": "CPython's own settings: gc.set_threshold({}), no gc.freeze()",
}
OPTIONS = 3
WORTH = 0.9  # of the wait that the recorded settings cause: less is an improvement
NOTICED_SECONDS = 1e-6  # that a request waits on average: 5 ms in ten seconds
PRICE = 1.25  # of the recorded peak: more is not


class Entry(NamedTuple):
    """A line of the trace, or a run of ordinary ones; `raw` is empty for those."""

    first: int
    last: int
    raw: str
    meaning: str

    @property
    def span(self) -> str:
        """Its number or numbers."""
        return f"gc {self.first}" if self.first == self.last else f"gc {self.first} to {self.last}"


class Option(NamedTuple):
    """A setting to try, and what is predicted of it."""

    policy: str
    setting: str
    prediction: Prediction


class Explanation(NamedTuple):
    """All that is to be said of a trace.

    Args:
        header: whose it is.
        collections: how many were recorded.
        seconds: from the start of watching to the end of the last one.
        findings: what hurts, worst first.
        entries: the lines.
        since: where the part begins that the figures are of: the program has started.
        recorded: the figures as they were recorded; None where there is nothing to predict from.
        options: settings to try, best first.
        guidance: on percent and the memory limit.
        trouble: why nothing can be predicted; "" where it can.
    """

    header: Header
    collections: int
    seconds: float
    findings: tuple[Finding, ...]
    entries: tuple[Entry, ...]
    since: str
    recorded: Prediction | None
    options: tuple[Option, ...]
    guidance: Finding
    trouble: str

    def as_json(self) -> dict[str, Any]:
        """Return the explanation as plain data."""
        return {
            "schema": 1,
            "header": self.header._asdict(),
            "collections": self.collections,
            "seconds": self.seconds,
            "trouble": self.trouble or None,
            "findings": [finding._asdict() for finding in self.findings],
            "since": self.since,
            "recorded": self.recorded and self.recorded.as_json(),
            "options": [{**option._asdict(), "prediction": option.prediction.as_json()} for option in self.options],
            "guidance": self.guidance._asdict(),
            "lines": [entry._asdict() for entry in self.entries],
        }


def explain(trace: Trace) -> Explanation:
    """Explain a trace.

    *Cost:* about a second for a trace of 10,000 lines.
    """
    recorded: Prediction | None = None
    options: tuple[Option, ...] = ()
    trouble = ""
    try:
        recorded, options = _options(trace)
    except SettingsError as error:
        trouble = str(error)
    last = max(((c.start_ns + c.pause_ns) for c in trace.collections), default=trace.header.start_ns)
    return Explanation(
        header=trace.header,
        collections=len(trace.collections),
        seconds=(last - trace.header.start_ns) / 1e9,
        findings=tuple(findings(trace)),
        entries=tuple(_entries(trace)),
        since=figures_since(trace),
        recorded=recorded,
        options=options,
        guidance=guidance(trace.collections),
        trouble=trouble,
    )


def figures_since(trace: Trace) -> str:
    """Say where the part of a trace begins that its figures are of."""
    since = settled(trace).since
    return since.replace("gc.", "the pacer's gc.") if _acts(trace) else since


def _acts(trace: Trace) -> bool:
    return any(c.cause in OWN_CAUSES for c in trace.collections)


# The lines


def _entries(trace: Trace) -> Iterator[Entry]:
    usual_ns = _usual_ns(trace.collections)
    total_ns = 0
    for ordinary, run in groupby(trace.collections, is_ordinary):
        collections = list(run)
        if ordinary and len(collections) > 2:
            total_ns += sum(c.pause_ns for c in collections)
            yield Entry(collections[0].number, collections[-1].number, "", _run(collections))
            continue
        for c in collections:
            total_ns += c.pause_ns
            elapsed_ns = c.start_ns + c.pause_ns - trace.header.start_ns
            raw = line(c, trace.header, total_ns / max(elapsed_ns, 1))
            yield Entry(c.number, c.number, raw, annotate(c, trace.header, usual_ns))


def _usual_ns(collections: Sequence[Collection]) -> dict[int, float]:
    """Return what an object costs in a collection of each generation."""
    return {
        g: median([c.pause_ns / max(c.scanned, 1) for c in collections if c.generation == g] or [0.0]) for g in range(3)
    }


def _run(run: Sequence[Collection]) -> str:
    longest = max(run, key=lambda c: c.pause_ns)
    own = sum(c.cause in OWN_CAUSES for c in run)
    by = "" if not own else ", by the pacer" if own == len(run) else f", {format_count(own)} of them by the pacer"
    return (
        f"{format_count(len(run))} young collections{by}: {duration(sum(c.pause_ns for c in run))} in all, the longest"
        f" {duration(longest.pause_ns)} (gc {longest.number}); {freed_of(run)}"
    )


# What to try


def _options(trace: Trace) -> tuple[Prediction, tuple[Option, ...]]:
    """Rank settings by the wait that they are predicted to cause."""
    python = trace.header.python
    recorded = simulate.measured(trace)
    if recorded.wait_seconds < NOTICED_SECONDS:
        return recorded, ()
    policies = [parse_policy(text, python) for text in CANDIDATES if not (_acts(trace) and text == "act")]
    options = []
    for prediction in simulate.simulate(trace, policies):
        is_cheap = (
            prediction.peak_blocks is None
            or recorded.peak_blocks is None
            or prediction.peak_blocks <= PRICE * recorded.peak_blocks
        )
        if prediction.wait_seconds < WORTH * recorded.wait_seconds and is_cheap:
            thresholds = ", ".join(map(str, default_thresholds(python)))
            options.append(Option(prediction.policy, SETTINGS[prediction.policy].format(thresholds), prediction))
    options.sort(key=lambda option: option.prediction.wait_seconds)
    waits = {option.policy: option.prediction.wait_seconds for option in options}
    # Two settings are worth no more than one of them, unless they do more.
    needed = [
        option
        for option in options
        if all(
            waits[option.policy] < WORTH * waits.get(part, math.inf)
            for part in option.policy.split("+")
            if part != option.policy
        )
    ]
    return recorded, tuple(needed[:OPTIONS])
