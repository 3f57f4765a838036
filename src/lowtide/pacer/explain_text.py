"""An explanation as text for a terminal or a pipe."""

from collections.abc import Iterator

from lowtide.pacer.explain import Explanation, Option
from lowtide.pacer.findings import Finding
from lowtide.pacer.simulate import Prediction
from lowtide.units import format_count, format_duration

FIELDS = (
    ("gc N @T", "the Nth collection since watching began, T seconds after that"),
    ("S%", "share of the time since then that went to collections, this one included"),
    ("gen0, gen1, gen2", "what it looked at: the youngest objects, the two younger generations, everything (full)"),
    (
        "cause",
        "young, full: automatic, by CPython's rule; explicit: gc.collect(); safepoint, idle, growth, limit: the pacer",
    ),
    ("MS ms (predicted MS)", "how long it stopped the program, and what the pacer expected"),
    ("scanned, freed", "objects looked at, and how many of them were cyclic garbage"),
    ("counts A,B,C of X,Y,Z", "what CPython counts when it began, and its thresholds: over all three means a full one"),
    ("old L+P", "objects that the last full one left, and those that came to be old since; P >= L/4 for the next"),
    ("blocks A->B goal G", "live blocks of pymalloc before and after, and at how many the pacer holds a full one due"),
    ("rss, frozen", "resident bytes after it; objects set aside by gc.freeze(), which it did not look at"),
    ("requests N in request", "requests in flight, and whether this one waited"),
    ("-", "not read: blocks, rss and frozen are read at full collections and ten times a second at most"),
)


LEAVE_IT = "nothing that was tried in simulation would make a difference to requests"


def sections(explanation: Explanation) -> Iterator[tuple[str, list[str]]]:
    """Yield each section's title and lines; the title is "" for the first."""
    e = explanation
    yield "", [summary(e)]
    width = max(len(name) for name, _ in FIELDS)
    yield "how to read a line", [f"{name.ljust(width)}  {meaning}" for name, meaning in FIELDS]
    yield "line by line", [text for entry in e.entries for text in (entry.raw or entry.span, f"    {entry.meaning}")]
    yield "what it shows", [_finding(finding) for finding in e.findings]
    yield "what to try, by predicted effect", list(_verdict(e))


def summary(explanation: Explanation) -> str:
    """Say whose trace it is and how much was collected."""
    e, h = explanation, explanation.header
    kind = ", the incremental collector" if h.incremental else ""
    recorded = f"{format_count(e.collections)} collections in {format_duration(e.seconds)}"
    return f"python {h.python}{kind}, process {h.pid}: {recorded}"


def _finding(finding: Finding) -> str:
    lines = f" (gc {', '.join(map(str, finding.numbers))})" if finding.numbers else ""
    return f"- {finding.text}{lines}"


def _verdict(e: Explanation) -> Iterator[str]:
    if e.recorded is None:
        yield f"nothing can be predicted: {e.trouble}"
    else:
        yield f"recorded since {e.since}: {figures(e.recorded)}"
        for rank, option in enumerate(e.options, 1):
            yield f"{rank}. {option.setting}"
            yield f"   {effect(option, e.recorded)}"
            for remark in option.prediction.remarks:
                yield f"   but: {remark}"
        if not e.options:
            yield f"{LEAVE_IT}: leave it as it is"
    yield _finding(e.guidance)


def figures(prediction: Prediction) -> str:
    """Write what a policy costs on one line."""
    full = prediction.pauses[2]
    young, middle, fulls = map(format_count, prediction.collections)
    parts = [f"GC {format_duration(prediction.gc_seconds)}"]
    if prediction.request_seconds is not None:
        parts.append(f"{format_duration(prediction.request_seconds)} of it in requests")
    parts.append(f"{young} young, {middle} middle and {fulls} full collection{'s' * (fulls != '1')}")
    if full:
        parts.append(f"full ones {format_duration(full.p50)}, {format_duration(full.max)} at most")
    if prediction.peak_blocks is not None:
        parts.append(f"peak {format_count(prediction.peak_blocks)} blocks")
    return ", ".join(parts)


def effect(option: Option, recorded: Prediction) -> str:
    """Write what a setting is predicted to cost, beside what was recorded, and how far to believe it."""
    p = option.prediction
    parts = [f"predicted: {figures(p)}"]
    if recorded.wait_seconds:
        parts.append(f"a request waits {1 - p.wait_seconds / recorded.wait_seconds:.0%} less for the collector")
    error = p.errors["gc_seconds"]
    parts.append(
        "error not known"
        if error is None
        else f"GC time is off by {error:.0%} at least, as under the recorded settings"
    )
    return "; ".join(parts)
