"""What a trace shows: which pauses hurt, what was scanned for nothing, and whether percent should be touched."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from lowtide.pacer.annotate import BARREN, FRUITFUL, FULL, HURTS_NS, duration, hurts, is_barren
from lowtide.pacer.flows import settled
from lowtide.pacer.record import OWN_CAUSES, UNREAD, Collection, Trace
from lowtide.units import format_bytes, format_count, format_duration


class Finding(NamedTuple):
    """Something that the trace shows, and the numbers of the lines that show it best."""

    text: str
    numbers: tuple[int, ...] = ()


def findings(trace: Trace) -> Iterator[Finding]:
    """Yield what hurts, worst first."""
    collections = trace.collections
    if trace.is_cut:
        yield Finding("the last line is broken off, as when a process is killed while it writes; it is left out")
    if not collections:
        yield Finding("no collection was recorded")
        return
    lost = collections[-1].number - collections[0].number + 1 - len(collections)
    if lost > 0:
        missing = "1 collection is" if lost == 1 else f"{format_count(lost)} collections are"
        yield Finding(f"{missing} missing in between: they came faster than they were written; no figure holds them")
    part = settled(trace)
    freezing = part.first - 1 if part.is_frozen else -1  # the collection before a freeze is no waste
    seen = [c for i, c in enumerate(collections) if c.cause != "shutdown" and i != freezing]
    yield from _in_requests(seen)
    yield from _for_nothing(seen)
    yield from _asked_for(seen)
    yield from _growth(seen)
    yield from _retained(collections)


def _in_requests(seen: Sequence[Collection]) -> Iterator[Finding]:
    hurting = sorted(filter(hurts, seen), key=lambda c: -c.pause_ns)
    if hurting:
        yield Finding(
            f"{_number(len(hurting), 'request')} waited {duration(HURTS_NS)} or longer for the collector,"
            f" {duration(_pauses_ns(hurting))} in all, the longest {duration(hurting[0].pause_ns)}",
            _best(hurting),
        )
    elif any(c.in_request or c.requests or c.cause == "safepoint" for c in seen):
        yield Finding(f"no request waited {duration(HURTS_NS)} for the collector")
    elif seen:
        yield Finding(
            "no request is marked in this trace, so nobody can say which pauses hurt; mark them with"
            " `with lowtide.pacer.request():` or lowtide's middleware"
        )


def _for_nothing(seen: Sequence[Collection]) -> Iterator[Finding]:
    fulls = [c for c in seen if c.generation == FULL]
    barren = [c for c in fulls if is_barren(c)]
    if barren:
        scanned = sum(c.scanned for c in barren)
        yield Finding(
            f"{format_count(len(barren))} of {_number(len(fulls), 'full collection')} freed less than {BARREN:.0%} of"
            f" what they scanned: {duration(_pauses_ns(barren))} over {format_count(scanned)} objects, for nothing",
            _best(barren),
        )
    fruitful = [c for c in fulls if c.freed > FRUITFUL * c.scanned]
    if fruitful:
        yield Finding(
            f"{format_count(len(fruitful))} of {_number(len(fulls), 'full collection')} earned their pause:"
            f" {freed_of(fruitful)}",
            _best(sorted(fruitful, key=lambda c: -c.freed)),
        )


def _asked_for(seen: Sequence[Collection]) -> Iterator[Finding]:
    asked = [c for c in seen if c.cause == "explicit" and c.generation == FULL]
    callers: Counter[str] = Counter()
    for c in asked:
        callers[c.caller or "the program"] += c.pause_ns
    for caller, ns in callers.most_common(3):
        own = [c for c in asked if (c.caller or "the program") == caller]
        served = sum(c.in_request for c in own)
        where = f", {format_count(served)} of them in requests" if served else ""
        advice = "; it can go" if all(map(is_barren, own)) else ""
        times = "once" if len(own) == 1 else f"{format_count(len(own))} times"
        yield Finding(
            f"{caller} asked for a full collection {times}{where}: {duration(ns)}, {freed_of(own)}{advice}", _best(own)
        )


def _growth(seen: Sequence[Collection]) -> Iterator[Finding]:
    fulls = [c for c in seen if c.generation == FULL and c.blocks_after != UNREAD]
    later = fulls[len(fulls) // 2 :]
    if len(later) < 3 or any(a.blocks_after >= b.blocks_after for a, b in pairwise(later)):
        return
    first, last = later[0], later[-1]
    grown = last.blocks_after - first.blocks_after
    if grown > 0.1 * first.blocks_after and sum(c.freed for c in later) < BARREN * sum(c.scanned for c in later):
        minutes = (last.start_ns - first.start_ns) / 60e9
        yield Finding(
            f"live memory grows with every full collection, {format_count(grown)} blocks in"
            f" {format_duration(60 * minutes)}, and next to nothing of it is garbage: no setting of the collector"
            " helps; `lowtide top --sample-type inuse_space` names the lines that hold it",
            (first.number, last.number),
        )


def _retained(collections: Sequence[Collection]) -> Iterator[Finding]:
    read = [c for c in collections if UNREAD not in (c.blocks_after, c.rss_bytes)]
    if not read or read[-1].cause == "shutdown":
        read = read[:-1]
    if len(read) < 3:
        return
    peak, last = max(read, key=lambda c: c.blocks_before), read[-1]
    if last.blocks_after < 0.6 * peak.blocks_before and last.rss_bytes > 0.9 * peak.rss_bytes:
        yield Finding(
            f"live blocks fell from {format_count(peak.blocks_before)} to {format_count(last.blocks_after)}, but RSS is"
            f" {format_bytes(last.rss_bytes)} still: free memory that the C library keeps;"
            " `memory_limit`, or `lowtide.pacer.free_os_memory()` after a burst, gives it back",
            (peak.number, last.number),
        )


def guidance(collections: Sequence[Collection]) -> Finding:
    """Say whether this trace is one that asks for another percent."""
    judged = [
        c for c in collections if c.generation == FULL and c.cause in ("full", *OWN_CAUSES) and c.blocks_after != UNREAD
    ]
    saw = [c for c in judged if c.freed > FRUITFUL * c.scanned and c.blocks_after < 0.9 * c.blocks_before]
    pin = "pin the memory limit (LOWTIDE_MEMORY_LIMIT=auto)"
    if len(judged) < 2:
        return Finding(f"{pin}, leave percent alone: too few full collections were recorded to say more")
    if not saw:
        most = max(judged, key=lambda c: c.freed / max(c.scanned, 1))
        share = most.freed / max(most.scanned, 1)
        return Finding(
            f"{pin}, leave percent alone: no full collection made the heap a tenth smaller; the best, gc {most.number},"
            f" freed {share:.1%} of what it scanned",
            (most.number,),
        )
    best = max(saw, key=lambda c: c.blocks_before - c.blocks_after)
    fallen = 1 - best.blocks_after / best.blocks_before
    return Finding(
        f"{pin}; percent=50 is worth a try where memory is short: gc {best.number} made the heap {fallen:.0%} smaller,"
        " so collecting sooner lowers the peak, for more time in collections",
        _best(saw),
    )


def _best(collections: Iterable[Collection]) -> tuple[int, ...]:
    return tuple(c.number for c in collections)[:5]


def _pauses_ns(collections: Iterable[Collection]) -> int:
    return sum(c.pause_ns for c in collections)


def freed_of(collections: Sequence[Collection]) -> str:
    freed, scanned = sum(c.freed for c in collections), sum(c.scanned for c in collections)
    return f"freed {format_count(freed) if freed else 'none'} of {format_count(scanned)} objects scanned"


def _number(count: int, noun: str) -> str:
    return f"{format_count(count)} {noun}{'s' * (count != 1)}"
