"""The picture of a trace: pauses and heap over time, as one inline SVG that needs no script."""

import html
import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from lowtide.pacer.annotate import FULL, is_ordinary
from lowtide.pacer.record import OWN_CAUSES, UNREAD, Collection, Trace
from lowtide.units import format_bytes, format_count, format_duration

WIDTH, LEFT, RIGHT = 1000, 80, 70
PAUSES = (16, 236)  # top and bottom of each panel
HEAP = (276, 436)
HEIGHT = 470
COLUMNS = 400  # young collections are drawn as one stroke a column, from the shortest to the longest
MARKS = 300  # that can be pointed at; the longest ones

# Shape tells what colour tells.
LEGEND = {
    "full": ("M0-6 6 5-6 5Z", "automatic full"),
    "explicit": ("M-5-5H5V5H-5Z", "asked for, or the last one"),
    "own": ("M0-6 6 0 0 6-6 0Z", "by the pacer"),
    "young": ("M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0", "young, and a request waited"),
}

Scale = Callable[[float], float]


def draw(trace: Trace) -> str:
    """Draw the trace; "" for one without collections."""
    if not trace.collections:
        return ""
    start_ns = trace.header.start_ns
    end = max((c.start_ns + c.pause_ns - start_ns) / 1e9 for c in trace.collections) or 1.0
    x = _linear(0, end, LEFT, WIDTH - RIGHT)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="group" aria-label="Pauses and heap over time">',
        *_time_axis(x, end),
        *_pauses(trace, x),
        *_heap(trace, x),
        "</svg>",
    ]
    return "\n".join(parts)


def _linear(low: float, high: float, first: float, last: float) -> Scale:
    span = (high - low) or 1.0
    return lambda value: round(first + (value - low) / span * (last - first), 1)


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{html.escape(text)}</text>'


def _time_axis(x: Scale, end: float) -> Iterator[str]:
    for tick in range(6):
        at = end * tick / 5
        yield f'<path class="grid" d="M{x(at)} {PAUSES[0]}V{PAUSES[1]}M{x(at)} {HEAP[0]}V{HEAP[1]}"/>'
        yield _text(x(at), HEIGHT - 12, format_duration(at))


# Pauses


def _pauses(trace: Trace, x: Scale) -> Iterator[str]:
    seconds = [max(c.pause_ns, 1) / 1e9 for c in trace.collections]
    low = math.floor(math.log10(max(min(seconds), 1e-6)))
    high = max(math.ceil(math.log10(max(seconds))), low + 1)
    log = _linear(low, high, PAUSES[1], PAUSES[0])

    def y(pause_seconds: float) -> float:
        return log(max(low, math.log10(pause_seconds)))

    for power in range(low, high + 1):
        yield f'<path class="grid" d="M{LEFT} {log(power)}H{WIDTH - RIGHT}"/>'
        yield _text(LEFT - 8, log(power) + 4, format_duration(10.0**power), "end")
    yield _text(LEFT, PAUSES[0] - 5, "pauses", "start")
    strokes = _strokes(trace, x)
    yield '<path class="many" d="' + "".join(f"M{at} {y(a) + 1}V{y(b) - 1}" for at, (a, b) in strokes.items()) + '"/>'
    noted = sorted((c for c in trace.collections if not is_ordinary(c)), key=lambda c: -c.pause_ns)[:MARKS]
    for c in sorted(noted, key=lambda c: c.number):
        at = x((c.start_ns - trace.header.start_ns) / 1e9)
        yield _mark(c, at, y(max(c.pause_ns, 1) / 1e9))


def _strokes(trace: Trace, x: Scale) -> dict[float, tuple[float, float]]:
    """Return the shortest and the longest ordinary pause of each column, seconds."""
    step = (WIDTH - LEFT - RIGHT) / COLUMNS
    found: dict[float, tuple[float, float]] = {}
    for c in filter(is_ordinary, trace.collections):
        at = round(round(x((c.start_ns - trace.header.start_ns) / 1e9) / step) * step, 1)
        pause = max(c.pause_ns, 1) / 1e9
        shortest, longest = found.get(at, (pause, pause))
        found[at] = min(shortest, pause), max(longest, pause)
    return found


def _kind(c: Collection) -> str:
    """Return which of the shapes a collection has."""
    if c.cause in OWN_CAUSES:
        return "own"
    if c.cause in ("explicit", "shutdown"):
        return "explicit"
    return "full" if c.generation == FULL else "young"


def _mark(c: Collection, x: float, y: float) -> str:
    where = "in a request" if c.in_request else "outside of requests"
    label = html.escape(
        f"gc {c.number}: generation {c.generation}, {c.cause}, {format_duration(c.pause_ns / 1e9)} {where},"
        f" freed {format_count(c.freed)} of {format_count(c.scanned)}"
    )
    style = f"mark {_kind(c)}{' served' if c.in_request else ''}"
    return (
        f'<a href="#gc-{c.number}" class="{style}" aria-label="{label}"><title>{label}</title>'
        f'<path transform="translate({x} {y})" d="{LEGEND[_kind(c)][0]}"/></a>'
    )


# Heap


def _heap(trace: Trace, x: Scale) -> Iterator[str]:
    read = [c for c in trace.collections if c.blocks_before != UNREAD]
    yield _text(LEFT, HEAP[0] - 6, "live blocks" if read else "live blocks: not read in this trace", "start")
    if not read:
        return
    start_ns = trace.header.start_ns
    most = max(max(c.blocks_before, c.blocks_after, c.goal_blocks) for c in read)
    y = _linear(0, most, HEAP[1], HEAP[0])
    for share in (0.0, 0.5, 1.0):
        yield f'<path class="grid" d="M{LEFT} {y(share * most)}H{WIDTH - RIGHT}"/>'
        yield _text(LEFT - 8, y(share * most) + 4, format_count(share * most), "end")
    points = [
        (x((ns - start_ns) / 1e9), y(blocks))
        for c in read
        for ns, blocks in ((c.start_ns, c.blocks_before), (c.start_ns + c.pause_ns, c.blocks_after))
    ]
    yield _line("blocks", points)
    goals = [(x((c.start_ns - start_ns) / 1e9), y(c.goal_blocks)) for c in read if c.goal_blocks]
    yield _line("goal", [corner for a, b in pairwise(goals) for corner in (a, (b[0], a[1]))])
    resident = [c for c in read if c.rss_bytes != UNREAD]
    if resident:
        most_bytes = max(c.rss_bytes for c in resident)
        right = _linear(0, most_bytes, HEAP[1], HEAP[0])
        for share in (0.0, 0.5, 1.0):
            yield _text(WIDTH - RIGHT + 8, right(share * most_bytes) + 4, format_bytes(share * most_bytes), "start")
        yield _text(WIDTH - RIGHT, HEAP[0] - 6, "RSS", "end")
        yield _line("rss", [(x((c.start_ns - start_ns) / 1e9), right(c.rss_bytes)) for c in resident])


def _line(style: str, points: Sequence[tuple[float, float]]) -> str:
    return f'<path class="{style}" d="M{"L".join(f"{x} {y}" for x, y in points)}"/>' if points else ""
