"""The program that a trace tells of, run again under other settings, one collection at a time."""

from typing import NamedTuple

from lowtide.pacer.flows import FULL, Costs, Flows, Settled
from lowtide.pacer.policy import Policy
from lowtide.pacer.reading import Act, Moment, Reading
from lowtide.pacer.record import UNREAD, Collection, Trace
from lowtide.pacer.replay_policy import Setting
from lowtide.pacer.stock import Stock

_GOLDEN = 0.6180339887498949  # its multiples fall evenly between 0 and 1
_BLOCKS_PER_OBJECT = 2.0  # where no full collection has freed anything: an object and what it holds
_FROZEN = FULL + 1  # where a generation is asked for
_GENERATION = {Act.YOUNG: 0, Act.MIDDLE: 1, Act.FULL: FULL, Act.FREEZE: FULL, Act.AUDIT: FULL}


class Pause(NamedTuple):
    """A predicted collection.

    Args:
        generation: 0 to 2.
        ns: what it took, scattered as recorded ones are.
        mean_ns: what such a collection takes on average.
        is_outside: of any request, by the pacer's choice.
    """

    generation: int
    ns: float
    mean_ns: float
    is_outside: bool


class Heap:
    """Three generations of objects in use and of cyclic garbage, and the old ones that were there before.

    Objects in use are those that never die; those that are kept, as by a cache, until a reference count frees them or
    for a part of them a collection; and those that ripen: they will be cyclic garbage soon. The last two are in use
    equally long, so which of them a generation holds follows from when they were born.

    Attributes:
        static: what never dies, by generation.
        garbage: cyclic garbage.
    """

    def __init__(self, flow: Flows, static: float, kept: float) -> None:
        self._flow = flow
        self._now = 0.0  # objects of net allocation, as recorded
        self._first = -kept / flow.kept if flow.kept else 0.0  # when the oldest of those kept was born
        self._born = [0.0, 0.0, self._first, self._first]  # after this, by generation; the last are frozen
        self._ended = 0.0  # when a request was seen to end: nothing born before is ripening
        self._set_aside = 0.0
        self.static = [flow.leftover, 0.0, max(0.0, static - flow.leftover)] if static else [0.0, 0.0, 0.0]
        self.garbage = [0.0, 0.0, 0.0]
        self.peak_objects = 0.0

    @property
    def frozen(self) -> float:
        return self._set_aside + self._kept(_FROZEN)

    @property
    def objects(self) -> float:
        dying = sum(self._kept(g) + self._ripening(g) for g in range(3))
        return self.frozen + sum(self.static) + dying + sum(self.garbage)

    @property
    def growth(self) -> float:
        """Objects gained per object of the recorded count; those that a reference count frees are counted too."""
        flow = self._flow
        dying = flow.kept * (1 - flow.cyclic) if self._now - flow.lifetime > self._first else 0.0
        return flow.garbage + flow.kept - dying

    def _kept(self, generation: int) -> float:
        return self._flow.kept * self._span(generation, self._now - self._flow.lifetime)

    def _ripening(self, generation: int) -> float:
        return self._flow.garbage * self._span(generation, max(self._ended, self._now - self._flow.ripening))

    def _span(self, generation: int, after: float) -> float:
        until = self._born[generation - 1] if generation else self._now
        return max(0.0, until - max(after, self._born[generation]))

    def end_request(self) -> None:
        """Take it that what young collections will find was in use by a request, and is no longer."""
        for g in range(3):
            self.garbage[g] += self._ripening(g)
        self._ended = self._now

    def live(self, net: float) -> None:
        """Let the program allocate and free, for `net` objects of the recorded count."""
        flow = self._flow
        kept, ripening = [self._kept(g) for g in range(4)], [self._ripening(g) for g in range(3)]
        kept[0] += flow.kept * net
        ripening[0] += flow.garbage * net
        self._now += net
        for g in range(3):
            self.garbage[g] += (kept[g] - self._kept(g)) * flow.cyclic + ripening[g] - self._ripening(g)
        self._set_aside += (kept[_FROZEN] - self._kept(_FROZEN)) * flow.cyclic
        self.peak_objects = max(self.peak_objects, self.objects)

    def collect(self, generation: int) -> tuple[float, float]:
        """Collect; return how many objects were left, and how many were freed."""
        seen = range(generation + 1)
        freed, static = sum(self.garbage[g] for g in seen), sum(self.static[g] for g in seen)
        left = static + sum(self._kept(g) + self._ripening(g) for g in seen)
        for g in seen:
            self.garbage[g] = self.static[g] = 0.0
        for g in range(min(generation + 1, FULL)):
            self._born[g] = self._now
        self.static[min(generation + 1, FULL)] += static
        return left + (self._flow.passing if generation else 0.0), freed

    def freeze(self) -> None:
        self.end_request()
        self._set_aside += sum(self.static) + sum(self.garbage)
        self._born[:_FROZEN] = [self._now] * _FROZEN
        self.static, self.garbage = [0.0] * 3, [0.0] * 3

    def unfreeze(self) -> None:
        self.static[FULL] += self._set_aside
        self._set_aside = 0.0
        self._born[FULL] = self._born[_FROZEN]


class Replay:
    """One run. Its result: `pauses`, `peak_objects`, and the `largest` number of objects that a collection looked at.

    Args:
        trace: what was recorded.
        part: from where on.
        flow, costs: what the trace tells of its program.
        setting: the policy.
        is_start: whether `part` begins where the settings of the trace came into force, not later.
    """

    def __init__(
        self, trace: Trace, part: Settled, flow: Flows, costs: Costs, setting: Setting, *, is_start: bool = True
    ) -> None:
        self._flow, self._costs, self._setting = flow, costs, setting
        self._collections = trace.collections[part.first :]
        before = trace.collections[max(0, part.first - 1)]
        first = self._collections[0]
        old = before.long_lived + before.pending
        self._stock = Stock(
            setting.thresholds, (0, *first.counts[1:]), long_lived=before.long_lived, pending=before.pending
        )
        static = flow.static if is_start or not part.is_frozen else 0.0
        self._heap = Heap(flow, static if flow.kept else old, max(0.0, old - static))
        self._policy = Policy(setting.thresholds, setting.percent) if setting.act else None
        self._blocks_of_object = flow.blocks_of_object or _BLOCKS_PER_OBJECT
        read = next((c.blocks_before for c in self._collections if c.blocks_before != UNREAD), 0)
        self._other_blocks = read - self._heap.objects * self._blocks_of_object
        self._draws = [0, 0, 0]
        self._rests = 0
        self._now_ns = first.start_ns
        self.pauses: list[Pause] = []
        self.largest = 0.0

    @property
    def peak_objects(self) -> float:
        return self._heap.peak_objects

    def run(self) -> "Replay":
        if self._setting.freeze:
            self._stock.collected(FULL, round(self._heap.collect(FULL)[0]))
            self._freeze()
        rest = 0.0
        for c in self._collections:
            start_ns, length_ns = self._now_ns, c.start_ns - self._now_ns
            threshold = None if self._policy else self._stock.thresholds[0]
            pressure = self._flow.pressure(threshold, self._heap.growth)
            rest += c.counts[0] * pressure
            whole = max(1.0, rest)
            while rest >= 1:
                step = min(int(rest), self._step)
                rest -= step
                self._now_ns = start_ns + round(length_ns * (1 - rest / whole))
                self._heap.live(step / pressure)
                due = self._stock.allocate(step)
                if due is not None:
                    self._collect(due)
                elif self._policy:
                    self._ask(self._policy)
            self._now_ns = c.start_ns
            if c.cause == "explicit":
                self._collect(c.generation, cause="explicit")
        return self

    @property
    def _step(self) -> int:
        """How far to go before anything can happen: a collection, or a request's end."""
        room = self._stock.room or 2**31
        return min(room, max(1, self._stock.thresholds[0] // 8)) if self._policy else room

    def _ask(self, policy: Policy) -> None:
        """Ask the pacer, at a request's end."""
        self._rests += 1
        self._heap.end_request()
        decision = policy.decide(
            Reading(
                now_seconds=self._now_ns / 1e9,
                moment=Moment.SAFE,
                idle_seconds=0.0,
                counts=self._stock.counts,
                thresholds=self._stock.thresholds,
                is_enabled=True,
                frozen=round(self._heap.frozen),
                blocks=self._blocks,
                requests_ended=self._rests,
            )
        )
        self._stock.thresholds = decision.thresholds
        generation = _GENERATION.get(decision.act)
        if generation is None:
            return
        if decision.act is Act.AUDIT:
            self._heap.unfreeze()
        self._collect(generation, decision.cause, decision.predicted_ns)
        if decision.act is Act.FREEZE:
            self._freeze()

    @property
    def _blocks(self) -> int:
        return max(0, round(self._other_blocks + self._heap.objects * self._blocks_of_object))

    def _freeze(self) -> None:
        self._heap.freeze()
        self._stock.frozen()

    def _collect(self, generation: int, cause: str = "", predicted_ns: int = 0) -> None:
        counts, blocks = self._stock.counts, self._blocks
        left, freed = self._heap.collect(generation)
        size = max(left + freed, counts[0])
        self.largest = max(self.largest, size)
        at = (0.5 + self._draws[generation] * _GOLDEN) % 1.0
        self._draws[generation] += 1
        pause_ns, mean_ns = self._costs.draw(generation, size, at)
        is_outside = bool(cause) and cause != "explicit"
        self.pauses.append(Pause(generation, pause_ns, mean_ns, is_outside))
        thresholds = self._stock.thresholds
        self._stock.collected(generation, round(left))
        if self._policy:
            self._policy.collected(
                Collection(
                    number=len(self.pauses),
                    start_ns=self._now_ns,
                    pause_ns=round(pause_ns),
                    generation=generation,
                    cause=cause or ("full" if generation == FULL else "young"),
                    predicted_ns=predicted_ns,
                    scanned=round(size),
                    freed=round(freed),
                    uncollectable=0,
                    counts=counts,
                    thresholds=thresholds,
                    long_lived=self._stock.long_lived,
                    pending=self._stock.pending,
                    blocks_before=blocks,
                    blocks_after=self._blocks,
                    goal_blocks=0,
                    rss_bytes=UNREAD,
                    frozen=round(self._heap.frozen),
                    requests=0,
                    in_request=False,
                    caller="",
                )
            )
