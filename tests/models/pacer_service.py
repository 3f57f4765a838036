"""A service and its collector in numbers: objects that are born, die or become garbage, and what pauses cost."""

from dataclasses import dataclass, field

from lowtide.pacer.policy import Policy
from lowtide.pacer.reading import Act, Decision, Memory, Moment, Reading, Triple
from lowtide.pacer.record import Collection
from lowtide.pacer.stock import Stock

STOCK: Triple = (700, 10, 10)
OBJECT_BYTES = 100
BASE_BYTES = 20 * 2**20
YOUNG_NS, OLD_NS, FIXED_NS = 50, 150, 3_000
GENERATION = {Act.YOUNG: 0, Act.MIDDLE: 1} | dict.fromkeys((Act.FULL, Act.FREEZE, Act.AUDIT), 2)


@dataclass(frozen=True)
class Workload:
    """What a request does.

    Args:
        static: objects that are there from the start, for good.
        temporary: objects a request allocates, that are freed when it ends.
        cycles: objects of it that are garbage when it ends, for the collector only.
        kept: objects of it that outlive it,
        kept_requests: for so many more requests; 0 for good.
        kept_become_garbage: whether these are garbage then; else they are freed.
        seconds: that it takes, collections aside.
        gap_seconds: between its end and the next one's arrival, if it is not late; 0 saturates the service.
        tells_idle: whether the service knows that it waits, as a loop does.
        burst: after so many requests there is a gap of `burst_gap_seconds`.
    """

    static: int = 0
    temporary: int = 500
    cycles: int = 0
    kept: int = 0
    kept_requests: int = 0
    kept_become_garbage: bool = False
    seconds: float = 0.002
    gap_seconds: float = 0.001
    tells_idle: bool = True
    burst: int = 100
    burst_gap_seconds: float = 0.0


@dataclass(eq=False)
class Group:
    objects: int
    is_garbage: bool = False


@dataclass
class Outcome:
    """What a run was like.

    Args:
        pauses: seconds, whether it was inside a request, and the generation, of each collection.
        peak_objects: tracked at once.
        seconds: that the run took.
        decisions: those that were to do something, or to say it.
    """

    pauses: list[tuple[float, bool, int]] = field(default_factory=list)
    peak_objects: int = 0
    seconds: float = 0.0
    decisions: list[tuple[float, Decision]] = field(default_factory=list)

    @property
    def share(self) -> float:
        return sum(pause for pause, _, _ in self.pauses) / self.seconds

    def in_request(self, generation: int | None = None) -> list[float]:
        return [pause for pause, is_in, of in self.pauses if is_in and generation in (None, of)]

    def acts(self, *acts: Act) -> list[Decision]:
        return [decision for _, decision in self.decisions if decision.act in acts]


class Service:
    """Serve requests one after the other, with CPython's own rules and, where there is one, a policy."""

    def __init__(self, workload: Workload, policy: Policy | None, limit_bytes: int = 0) -> None:
        self.workload = workload
        self.policy = policy
        self.limit_bytes = limit_bytes
        self.now = 0.0
        self.stock = Stock(STOCK)
        self.generations: list[list[Group]] = [[], [], [Group(workload.static)]]
        self.frozen: list[Group] = []
        self.deaths: dict[int, list[Group]] = {}
        self.objects = workload.static
        self.served = 0
        self.outcome = Outcome(peak_objects=self.objects)
        self.next_memory = 0.0

    def run(self, requests: int) -> Outcome:
        arrival = 0.0
        load = self.workload
        for number in range(requests):
            arrival += load.seconds + load.gap_seconds
            if number % load.burst == 0:
                arrival += load.burst_gap_seconds
            self.wait(arrival)
            self.request()
        self.outcome.seconds = self.now
        return self.outcome

    def wait(self, arrival: float) -> None:
        while self.workload.tells_idle and self.now < arrival - 1e-9:
            before = self.now
            self.ask(Moment.IDLE, arrival - self.now)
            self.now = max(self.now, min(before + 0.1, arrival))
        if self.workload.gap_seconds:
            self.now = max(self.now, arrival)

    def request(self) -> None:
        load = self.workload
        self.served += 1
        temporary = self.allocate(load.temporary)
        cycles = self.allocate(load.cycles)
        kept = self.allocate(load.kept)
        self.now += load.seconds
        if load.kept_requests:
            self.deaths[self.served + load.kept_requests] = kept
        self.abandon(cycles)
        self.free(temporary)
        end = self.abandon if load.kept_become_garbage else self.free
        end(self.deaths.pop(self.served, []))
        self.ask(Moment.SAFE)

    def allocate(self, objects: int) -> list[Group]:
        """Allocate objects, and collect when CPython would."""
        groups = []
        while objects:
            group = Group(min(objects, self.stock.room or objects))
            groups.append(group)
            objects -= group.objects
            self.generations[0].append(group)
            self.objects += group.objects
            self.outcome.peak_objects = max(self.outcome.peak_objects, self.objects)
            generation = self.stock.allocate(group.objects)
            if generation is not None:
                self.collect(generation, in_request=True)
        return groups

    def free(self, groups: list[Group]) -> None:
        for group in groups:
            self.objects -= group.objects
            self.stock.allocate(-group.objects)
            group.objects = 0

    @staticmethod
    def abandon(groups: list[Group]) -> None:
        for group in groups:
            group.is_garbage = True

    def collect(self, generation: int, *, in_request: bool, decision: Decision | None = None) -> None:
        counts, thresholds = self.stock.counts, self.stock.thresholds
        seen = [group for old in self.generations[: generation + 1] for group in old if group.objects]
        scanned = sum(group.objects for group in seen)
        freed = sum(group.objects for group in seen if group.is_garbage)
        left = [group for group in seen if not group.is_garbage]
        before = self.objects
        self.objects -= freed
        for old in range(generation + 1):
            self.generations[old] = []
        self.generations[min(generation + 1, 2)] += left
        self.stock.collected(generation, scanned - freed)
        pause_ns = FIXED_NS + scanned * (OLD_NS if generation == 2 else YOUNG_NS)
        self.outcome.pauses.append((pause_ns / 1e9, in_request, generation))
        if self.policy:
            automatic = "full" if generation == 2 else "young"
            self.policy.collected(
                Collection(
                    number=len(self.outcome.pauses),
                    start_ns=round(self.now * 1e9),
                    pause_ns=pause_ns,
                    generation=generation,
                    cause=decision.cause if decision else automatic,
                    predicted_ns=decision.predicted_ns if decision else 0,
                    scanned=scanned if generation else counts[0],
                    freed=freed,
                    uncollectable=0,
                    counts=counts,
                    thresholds=thresholds,
                    long_lived=self.stock.long_lived,
                    pending=self.stock.pending,
                    blocks_before=before,
                    blocks_after=self.objects,
                    goal_blocks=0,
                    rss_bytes=self.rss_bytes,
                    frozen=0,
                    requests=int(in_request),
                    in_request=in_request,
                    caller="",
                )
            )
        self.now += pause_ns / 1e9

    @property
    def rss_bytes(self) -> int:
        return BASE_BYTES + self.objects * OBJECT_BYTES

    def ask(self, moment: Moment, idle_seconds: float = 0.0) -> None:
        if self.policy is None:
            return
        memory = None
        if self.limit_bytes and self.now >= self.next_memory:
            self.next_memory = self.now + 0.1
            memory = Memory(self.rss_bytes, self.rss_bytes, self.limit_bytes, 0)
        decision = self.policy.decide(
            Reading(
                now_seconds=self.now,
                moment=moment,
                idle_seconds=idle_seconds,
                counts=self.stock.counts,
                thresholds=self.stock.thresholds,
                is_enabled=True,
                frozen=sum(group.objects for group in self.frozen),
                blocks=self.objects,
                requests_ended=self.served,
                memory=memory,
            )
        )
        self.stock.thresholds = decision.thresholds
        if decision.act is not Act.NOTHING or decision.reason:
            self.outcome.decisions.append((self.now, decision))
        self.carry_out(decision, in_request=moment is Moment.IN_REQUEST)

    def carry_out(self, decision: Decision, *, in_request: bool) -> None:
        assert self.policy is not None
        if decision.act is Act.AUDIT:
            self.generations[2] += self.frozen
            self.frozen = []
        if decision.act in GENERATION:
            self.collect(GENERATION[decision.act], in_request=in_request, decision=decision)
        if decision.act is Act.FREEZE:
            self.frozen += [group for old in self.generations for group in old]
            self.generations = [[], [], []]
            self.stock.frozen()
        if decision.act is Act.PRESSURE:
            self.policy.pressured(0.0)
        if decision.act is Act.TRIM:
            self.policy.trimmed(0, 0.01)
