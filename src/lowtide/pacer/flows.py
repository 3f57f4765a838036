"""What a trace tells of its program: how objects are born, live and die, and what collecting them costs.

All flows are per object of *net allocation*, as CPython's first count sees it under the settings of the trace: that is
the clock of the collector, and the one thing that every collection of a trace reports.
"""

import math
import operator
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise, takewhile
from statistics import fmean, median
from typing import NamedTuple

from lowtide.pacer.record import OWN_CAUSES, UNREAD, Collection, Trace

FULL = 2
_MANY = 1000  # objects frozen at once; the interpreter's own are fewer
_FINE = 10  # bins of sizes, to a factor of e
_WIDTH = 0.25  # sizes that are alike, in factors of e
_STEPS = 60  # of a bisection: beyond what a float can tell
_PLATEAU = 1.05  # growth that may be none
_STILL = 1e-3  # growth of a program that has none: a division by it stays finite


class Settled(NamedTuple):
    """The part of a trace in which its settings were in force, and the state at its beginning.

    Args:
        first: index of its first collection in the trace.
        is_frozen: whether the program froze its heap just before.
        since: why it begins there, for a person.
    """

    first: int
    is_frozen: bool
    since: str


class Flows(NamedTuple):
    """The program as the simulator sees it.

    Args:
        static: old objects that were there when the settings came into force.
        kept: objects born per object of net allocation that live until a reference count frees them, or a collection.
        garbage: objects born per object of net allocation that young collections free as cyclic garbage.
        ripening: how long these are in use first, in objects of net allocation.
        lifetime: of a kept object, in objects of net allocation; inf where none has been seen to die.
        cyclic: share of the kept objects that end as cyclic garbage.
        passing: objects that a collection of generation 1 finds in use, moves on, and that are freed soon after.
        leftover: of the static ones, what no collection had looked at by then: the first one does.
        interval: net allocation between two collections, as recorded.
        blocks_of_object: blocks that one object of cyclic garbage held; 0 where none was freed by a full collection.
        has_fulls: whether an automatic full collection told of lifetimes.
        is_placed: whether the pacer ran most collections, between requests.
    """

    static: float
    kept: float
    garbage: float
    ripening: float
    lifetime: float
    cyclic: float
    passing: float
    leftover: float
    interval: float
    blocks_of_object: float
    has_fulls: bool
    is_placed: bool

    def pressure(self, threshold: int | None, growth: float) -> float:
        """Return how fast the first count grows under another threshold, as a multiple of the recorded speed.

        None is for collections that run between requests, and 0 for none at all; `growth` is what the program gains
        meanwhile, in objects per object of net allocation.

        The count never falls below 0: what a collection found alive and a reference count frees right after it is not
        subtracted. So the count runs ahead of what the program keeps, the more so the smaller the threshold is. The
        count is a Brownian motion with drift that is reflected at 0; `rebound` is its one length.
        """
        if not self.has_fulls:
            return 1.0  # what comes and goes is not known
        if not threshold:
            return max(0.0, growth)
        growth = min(max(growth, _STILL), 1.0)
        rebound = self.interval * _inverse(lambda x: _useful(x, 1.0), growth)
        return growth / _useful(rebound, threshold + 1)


def settled(trace: Trace) -> Settled:
    """Find where the settings of a trace came into force: what a program does while it starts is like no other part.

    That is its gc.freeze(), else its first change of thresholds, in the first half; else its first request; else the
    start.
    """
    collections = trace.collections
    half_ns = (trace.header.start_ns + collections[-1].start_ns) // 2 if collections else 0
    fulls = [(i, c) for i, c in enumerate(collections) if c.generation == FULL]
    for (i, before), (_, c) in pairwise(fulls):
        if _has_frozen(before, c) and before.start_ns <= half_ns:
            return Settled(i + 1, is_frozen=True, since="gc.freeze()")
    for i, (before, c) in enumerate(pairwise(collections), 1):
        if c.thresholds != before.thresholds and (c.start_ns <= half_ns or c is collections[-1]):
            return Settled(i, is_frozen=False, since="gc.set_threshold()")
    served = next((i for i, c in enumerate(collections) if c.in_request or c.requests), None)
    if served is None:
        return Settled(0, is_frozen=False, since="its start")
    return Settled(served, is_frozen=False, since="its first request")


def _has_frozen(before: Collection, after: Collection) -> bool:
    """Tell whether gc.freeze() was called between two full collections; very many frozen objects are not counted."""
    if after.frozen == UNREAD:
        return before.frozen != UNREAD
    return after.frozen > max(before.frozen, 0) + _MANY


def flows(trace: Trace, part: Settled) -> Flows:
    """Estimate the flows of a trace from the collections since its settings came into force."""
    collections = trace.collections[part.first :]
    before = trace.collections[max(0, part.first - 1)]
    leftover = _leftover(collections)
    first = next((i for i, c in enumerate(collections) if c.generation), None)
    if leftover and first is not None:
        c = collections[first]
        collections = (*collections[:first], c._replace(scanned=c.scanned - leftover), *collections[first + 1 :])
    net = max(1, sum(c.counts[0] for c in collections))
    start = 0 if part.is_frozen else before.long_lived + before.pending
    window = net / max(1, sum(c.generation > 0 for c in collections))
    interval = net / max(1, len(collections))
    freed = [sum(c.freed for c in collections if c.generation == g) for g in range(FULL)]
    promoted = sum(max(0, c.scanned - c.freed) for c in collections if c.generation == 1)
    ripening = _ripening(freed, promoted, interval, window)
    unripe = sum(freed) * ripening / (window - ripening)
    old = _old(collections, start, unripe / promoted if promoted else 0.0)
    return Flows(
        static=before.long_lived + before.pending,
        kept=old.promoted / net * max(1.0, window / old.lifetime),
        garbage=(sum(freed) + unripe) / net,
        ripening=ripening,
        lifetime=old.lifetime,
        cyclic=old.cyclic,
        passing=old.passing,
        leftover=leftover,
        interval=interval,
        blocks_of_object=_blocks_per_object(trace.collections),
        has_fulls=old.has_fulls,
        is_placed=2 * sum(c.cause in OWN_CAUSES for c in collections) > len(collections),
    )


def _ripening(freed: Sequence[int], promoted: int, interval: float, window: float) -> float:
    """Tell how long objects are in use that end as cyclic garbage, by the share that the first collection frees."""
    if not freed[1]:
        return 0.0
    most = window * promoted / (sum(freed) + promoted)  # or more would have come to be old
    return min(interval * (1 - freed[0] / sum(freed)), most) if freed[0] else most


def _leftover(collections: Sequence[Collection]) -> int:
    """Return how many objects the first collection found that were there before and no count told of.

    A program that replaces objects while it starts has as many new ones as it likes, and a count that stays.
    """
    started = list(takewhile(lambda c: c.generation < FULL, collections))
    middles = [c.scanned for c in collections if c.generation == 1]
    if len(middles) > 1 and any(c.generation for c in started):
        usual = round(median(middles[1:]))
        return middles[0] - usual if middles[0] > 2 * usual else 0
    if len(started) < 3:
        return 0
    # What a young collection looks at is not told, but what it took.
    longer = started[0].pause_ns / max(1.0, median(c.pause_ns for c in started[1:]))
    return round(started[0].counts[0] * (longer - 1)) if longer > 2 else 0


class _Old(NamedTuple):
    promoted: float  # objects that came to be old and stayed
    passing: float
    lifetime: float
    cyclic: float
    has_fulls: bool


def _old(collections: Sequence[Collection], start: int, unripe: float) -> _Old:
    """Tell from the full collections what became of the objects that collections of generation 1 moved on.

    Args:
        collections: since the settings came into force.
        start: old objects at that moment.
        unripe: share of what was moved on that was to be garbage soon.
    """
    if not any(c.generation for c in collections):
        return _Old(sum(c.counts[0] - c.freed for c in collections), 0.0, math.inf, 0.0, has_fulls=False)
    net = middles = 0
    promoted = freed = 0.0
    seen: list[tuple[int, int, float, int, float]] = []
    for c in collections:
        net += c.counts[0]
        if c.generation == 1:
            middles += 1
            promoted += max(0, c.scanned - c.freed) * (1 - unripe)
            freed -= max(0, c.scanned - c.freed) * unripe
        elif c.generation == FULL and c.cause != "shutdown":
            freed += c.freed
            seen.append((net, max(0, c.long_lived - start), promoted, middles, freed))
    if not promoted or not seen or not seen[-1][2]:
        return _Old(promoted, 0.0, math.inf, 0.0, bool(seen))
    until, alive, moved, middles, freed = seen[-1]
    # What is kept grows until the first of it dies. What did not come to be old for so long was in passing.
    at, half = min(seen, key=lambda each: abs(each[0] - until / 2))[:2]
    grown = min(1.0, at / until * alive / half) if half and len(seen) > 2 else 0.0
    stayed = moved if grown < _PLATEAU * at / until else min(moved, alive / grown)
    if alive * middles < moved:  # less than one collection moves on
        stayed = alive
    is_growing = alive >= stayed / _PLATEAU
    return _Old(
        promoted=promoted * stayed / moved,
        passing=(moved - stayed) / max(1, middles),
        lifetime=math.inf if is_growing else until * alive / stayed,
        cyclic=0.0 if is_growing else min(1.0, max(0.0, freed) / (stayed - alive)),
        has_fulls=True,
    )


def _useful(rebound: float, threshold: float) -> float:
    """Return the share of the count that is growth, when it is reflected at 0 and collected at `threshold`."""
    x = rebound / threshold
    return 1 - x * -math.expm1(-1 / x) if x > 1e-9 else 1.0


def _inverse(falling: Callable[[float], float], value: float) -> float:
    """Solve falling(x) = value for x in 0 to 1,000."""
    low, high = 0.0, 1000.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > value else (low, middle)
    return high


def _blocks_per_object(collections: Iterable[Collection]) -> float:
    told = [c for c in collections if c.generation == FULL and c.freed and c.blocks_after != UNREAD]
    freed = sum(c.freed for c in told)
    return max(0.0, sum(c.blocks_before - c.blocks_after for c in told) / freed) if freed else 0.0


def _nearest(bins: Sequence[tuple[float, int, float]], at: float) -> tuple[float, float]:
    """Return how far off the nearest of these bins is, and the average of them all: the nearest ones count most."""
    nearest = min(abs(at - there) for there, _, _ in bins)
    weights = [number * math.exp((nearest**2 - (at - there) ** 2) / (2 * _WIDTH**2)) for there, number, _ in bins]
    return nearest, sum(map(operator.mul, weights, (cost for _, _, cost in bins))) / sum(weights)


class Costs:
    """What a collection of a given size takes: nanoseconds an object, learnt from the trace at every size it has.

    An object of a large collection costs several times one of a small collection, which is in the processor's cache.

    Args:
        sized: collections, and how many objects each of them looked at, >= 1.
    """

    def __init__(self, sized: Sequence[tuple[Collection, float]]) -> None:
        bins: dict[int, list[float]] = {}
        for c, size in sized:
            bins.setdefault(round(_FINE * math.log(size)), []).append(c.pause_ns / size)
        self._bins = [(key / _FINE, len(costs), math.log(median(costs))) for key, costs in bins.items()]
        self._known: dict[int, float] = {}
        self._factors = {0: 1.0, 1: 1.0, 2: 1.0}
        self._ratios: dict[int, list[float]] = {}  # recorded pauses to predicted ones, by generation
        for c, size in sized:
            self._ratios.setdefault(c.generation, []).append(c.pause_ns / self.pause_ns(size))
        for ratios in self._ratios.values():
            ratios.sort()
        # What the machine did besides, a few times, is a delay; all else is in proportion to the work.
        caps = {generation: ratios[int(0.98 * len(ratios))] for generation, ratios in self._ratios.items()}
        self._means = {g: fmean(min(ratio, caps[g]) for ratio in ratios) for g, ratios in self._ratios.items()}
        self._delays_ns = {
            g: sum(max(0.0, c.pause_ns - caps[g] * self.pause_ns(size)) for c, size in sized if c.generation == g)
            / len(ratios)
            for g, ratios in self._ratios.items()
        }

    def calibrate(self, predicted: Sequence[float], recorded: Sequence[float]) -> None:
        """Correct the mean pause of each generation by what a replay of the recorded settings makes of it."""
        for generation, (found, true) in enumerate(zip(predicted, recorded, strict=True)):
            if found and true:
                self._factors[generation] = min(max(true / found, 0.5), 2.0)

    @property
    def largest(self) -> float:
        """Objects of the largest collection that was seen."""
        return math.exp(max((at for at, _, _ in self._bins), default=0.0))

    def pause_ns(self, size: float) -> float:
        """Predict the pause of a collection that looks at `size` objects."""
        if not self._bins or size < 1:
            return 0.0
        key = round(_FINE * math.log(size))
        if key not in self._known:
            self._known[key] = self._cost(key / _FINE)
        return self._known[key] * size

    def _cost(self, at: float) -> float:
        """Average what an object costs, between collections of about this size that are smaller and larger."""
        sides = [[each for each in self._bins if (each[0] < at) == is_below] for is_below in (True, False)]
        (below, low), (above, high) = (_nearest(side, at) if side else (math.inf, 0.0) for side in sides)
        if math.inf in (below, above):
            return math.exp(high if below == math.inf else low)
        return math.exp(low + (high - low) * below / ((below + above) or 1.0))

    def draw(self, generation: int, size: float, at: float) -> tuple[float, float]:
        """Return the quantile `at`, 0 to 1, of what collections of this generation and size take, and their mean."""
        factor = self._factors[generation]
        ns = self.pause_ns(size) * factor
        ratios = self._ratios.get(generation) or [1.0]
        delay_ns = self._delays_ns.get(generation, 0.0) * factor
        return ns * ratios[int(at * len(ratios))], ns * self._means.get(generation, 1.0) + delay_ns
