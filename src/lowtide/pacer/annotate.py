"""What one line of a trace says, in words."""

from collections.abc import Mapping

from lowtide.pacer.record import OWN_CAUSES, UNREAD, Collection, Header
from lowtide.units import format_bytes, format_count, format_duration

FULL = 2
HURTS_NS = 1_000_000  # a pause that a request notices; the pacer's own budget for one
BARREN, FRUITFUL = 0.01, 0.10  # share of the scanned objects that was freed
DELAYED = 10  # times what others of its generation take an object

_DELAY = "far longer than others of its size: finalizers, or the machine did something else meanwhile"
_GENERATIONS = ("the youngest objects", "the two younger generations", "everything")
_WHY = {
    "safepoint": "between two requests",
    "idle": "while the program waited",
    "growth": "because the heap had grown to its goal",
    "limit": "because memory was near its limit",
}


def hurts(c: Collection) -> bool:
    """Tell whether a request noticed this collection."""
    return c.in_request and c.pause_ns >= HURTS_NS


def is_barren(c: Collection) -> bool:
    """Tell whether it looked at everything for next to nothing."""
    return c.generation == FULL and c.cause != "shutdown" and c.freed < BARREN * c.scanned


def is_ordinary(c: Collection) -> bool:
    """Tell whether it is one of the many: young, short, asked for by nobody."""
    return c.generation < FULL and c.cause in ("young", "safepoint", "idle") and not hurts(c) and not c.uncollectable


def annotate(c: Collection, header: Header, usual_ns: Mapping[int, float]) -> str:
    """Say what a collection was, why it came, what it cost whom, what it gave, and what would have helped.

    Args:
        c: the collection.
        header: of its trace.
        usual_ns: what an object costs in this trace, by generation.
    """
    is_delayed = c.pause_ns > DELAYED * usual_ns[c.generation] * max(c.scanned, 1)
    remedy = _DELAY if is_delayed and c.pause_ns >= HURTS_NS else _remedy(c)
    return "; ".join(filter(None, (_reason(c), _place(c), _work(c, header), _memory(c), remedy)))


def _reason(c: Collection) -> str:
    what = _GENERATIONS[c.generation]
    young, middle, _ = c.counts
    if c.cause == "young" and c.generation == 0:
        return f"automatic, of {what}: {format_count(young)} more allocated than freed since the last collection"
    if c.cause == "young":
        return f"automatic, of {what}: {middle} of the youngest since the last of these, over {c.thresholds[1]}"
    if c.cause == "full":
        return (
            f"automatic and full: {c.counts[2]} of the two younger generations since the last full one, over"
            f" {format_count(c.thresholds[2])}, and a quarter of what that left has come to be old since"
        )
    if c.cause == "explicit":
        return f"asked for by {c.caller or 'the program'}, of {what}"
    if c.cause == "shutdown":
        return "the interpreter's own, at its end"
    predicted = f", predicted {duration(c.predicted_ns)}" if c.predicted_ns else ""
    return f"by the pacer, of {what}, {_WHY[c.cause]}{predicted}"


def _place(c: Collection) -> str:
    if c.in_request:
        return f"in a request, which waited {duration(c.pause_ns)} for it"
    if c.requests:
        return f"{duration(c.pause_ns)}, outside of any request, {format_count(c.requests)} in flight"
    return duration(c.pause_ns)


def _work(c: Collection, header: Header) -> str:
    least = "at least " if c.generation == 0 and not _is_exact(header) else ""
    scanned = f"scanned {least}{_objects(c.scanned)}"
    if c.uncollectable:
        scanned += f", found {format_count(c.uncollectable)} that cannot be freed"
    if not c.freed:
        return f"{scanned} and freed none" + (f": {duration(c.pause_ns)} for nothing" if is_barren(c) else "")
    if is_barren(c):
        return f"{scanned} for {format_count(c.freed)} freed, {c.freed / max(c.scanned, 1):.1%}"
    return f"{scanned} and freed {format_count(c.freed)}"


def _memory(c: Collection) -> str:
    if c.generation < FULL or c.blocks_after == UNREAD:
        return ""
    parts = [f"live blocks {format_count(c.blocks_before)} to {format_count(c.blocks_after)}"]
    if c.goal_blocks:
        parts.append(f"goal {format_count(c.goal_blocks)}")
    if c.rss_bytes != UNREAD:
        parts.append(f"RSS {format_bytes(c.rss_bytes)}")
    if c.frozen > 0:
        parts.append(f"{format_count(c.frozen)} frozen objects left out")
    return ", ".join(parts)


def _remedy(c: Collection) -> str:
    if not hurts(c):
        return ""
    if c.cause == "explicit":
        return "without that call, or with lowtide.pacer.start(guard_requests=True), the request would not have waited"
    if c.cause in OWN_CAUSES:
        return "it did not fit between requests"
    if c.generation < FULL:
        return "a lower first threshold would have made it shorter"
    if is_barren(c):
        return "freeze would have left most of it out, act would have kept it out of the request"
    return "act would have kept it out of the request"


def _is_exact(header: Header) -> bool:
    major, minor = header.python.split(".")[:2]
    return (int(major), int(minor)) >= (3, 15)


def _objects(number: int) -> str:
    return f"{format_count(number)} object{'s' * (number != 1)}"


def duration(ns: float) -> str:
    return format_duration(ns / 1e9)
