"""From any sequence of readings the policy keeps to its rails, and what is due is collected in the end."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from lowtide.pacer.policy import Policy
from lowtide.pacer.reading import Act, Memory, Moment, Reading, Triple
from lowtide.pacer.record import UNREAD
from tests import strategies as own
from tests.models.pacer import ALL, NEVER, Rails
from tests.unit.pacer.traces import collection

GENERATION = {Act.YOUNG: 0, Act.MIDDLE: 1} | dict.fromkeys(ALL, 2)


class PolicyMachine(RuleBasedStateMachine):
    """A controller that may be lazy, a program that does anything, and others who meddle."""

    @initialize(thresholds=own.gc_thresholds, percent=st.sampled_from([None, None, 1, 100, 10_000]))
    def make(self, thresholds: Triple, percent: int | None) -> None:
        self.policy = Policy(thresholds, percent)
        self.rails = Rails(thresholds)
        self.thresholds = thresholds
        self.ratio = 0.2 if percent is None else percent / 100
        self.now = 1_000.0
        self.blocks = 500_000
        self.frozen = 0
        self.requests = 0
        self.is_enabled = True
        self.has_limit = False

    @rule(
        moment=own.gc_moments,
        idle_seconds=st.sampled_from([0.0, 0.001, 5.0]),
        counts=own.gc_counts,
        wait=own.gc_waits,
        pause_ns=own.gc_pauses,
        growth=own.gc_growths,
        freed=st.sampled_from([0.0, 0.05, 0.5]),
        does=st.sampled_from([True, True, True, False]),
    )
    def ask(
        self,
        *,
        moment: Moment,
        idle_seconds: float,
        counts: Triple,
        wait: float,
        pause_ns: int,
        growth: float,
        freed: float,
        does: bool,
    ) -> None:
        self.pass_time(wait)
        self.requests += moment is not Moment.IDLE
        self.blocks = min(max(1_000, round(self.blocks * growth)), 10**9)
        self.decide(moment, counts, idle_seconds=idle_seconds, pause_ns=pause_ns, freed=freed, does=does)

    @rule(moment=own.gc_moments, counts=own.gc_counts, memory=own.memory_readings, wait=own.gc_waits)
    def ask_with_memory(self, moment: Moment, counts: Triple, memory: Memory, wait: float) -> None:
        self.pass_time(wait)
        self.has_limit |= bool(memory.limit_bytes)
        if self.has_limit:
            self.rails.shares.append((self.rails.now, 0.25))
        self.decide(moment, counts, memory=memory)

    @rule(seconds=st.sampled_from([0.5, 3.0, 1e6]))
    def jump_back(self, seconds: float) -> None:
        self.now -= seconds

    @rule(counts=own.gc_counts, pause_ns=own.gc_pauses, generation=st.integers(0, 2), is_read=st.booleans())
    def collect_without_being_asked(self, counts: Triple, pause_ns: int, generation: int, is_read: bool) -> None:
        cause = "young" if generation < 2 else "explicit"
        self.record(cause, generation, counts, pause_ns, is_read=is_read)

    @rule(thresholds=st.sampled_from([(5_000, 10, NEVER)] * 6 + [(0, 10, NEVER), (700, 10, 10), (0, 0, 0)]))
    def set_thresholds(self, thresholds: Triple) -> None:
        self.thresholds = thresholds

    @rule(is_enabled=st.booleans())
    def enable(self, is_enabled: bool) -> None:
        self.is_enabled = is_enabled

    @rule(frozen=st.sampled_from([0, 10, 10**6]))
    def freeze(self, frozen: int) -> None:
        self.frozen = frozen

    @rule(percent=st.sampled_from([None, 50, 100]))
    def set_percent(self, percent: int | None) -> None:
        self.policy.set_percent(percent)
        self.ratio = 0.2 if percent is None else percent / 100

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.rails.now += seconds

    def decide(
        self,
        moment: Moment,
        counts: Triple,
        *,
        idle_seconds: float = 0.0,
        memory: Memory | None = None,
        pause_ns: int = 30_000_000,
        freed: float = 0.0,
        does: bool = True,
    ) -> Act:
        reading = Reading(
            now_seconds=self.now,
            moment=moment,
            idle_seconds=idle_seconds if moment is Moment.IDLE else 0.0,
            counts=counts,
            thresholds=self.thresholds,
            is_enabled=self.is_enabled,
            frozen=self.frozen,
            blocks=self.blocks,
            requests_ended=self.requests,
            memory=memory,
        )
        decision = self.policy.decide(reading)
        self.rails.decided(reading, decision, self.ratio)
        self.thresholds = decision.thresholds
        if decision.act in GENERATION and does:
            self.record(decision.cause, GENERATION[decision.act], counts, pause_ns, freed=freed)
            if decision.act is Act.FREEZE:
                self.frozen = 2 * self.blocks
        elif decision.act is Act.TRIM and does:
            self.policy.trimmed(1_000, 0.02)
            self.rails.done(0.02)
        elif decision.act is Act.PRESSURE and does:
            self.policy.pressured(0.01)
            self.rails.done(0.01)
        return decision.act

    def record(
        self, cause: str, generation: int, counts: Triple, pause_ns: int, *, freed: float = 0.0, is_read: bool = True
    ) -> None:
        before = self.blocks
        if generation == 2:
            self.blocks = round(self.blocks * (1 - freed))
        scanned = counts[0] if generation < 2 else before
        seen = collection(
            generation=generation,
            cause=cause,
            pause_ns=pause_ns,
            scanned=scanned,
            freed=round(scanned * freed),
            counts=counts,
            thresholds=self.thresholds,
            long_lived=self.blocks,
            pending=0 if generation == 2 else counts[0],
            blocks_before=before if is_read else UNREAD,
            blocks_after=self.blocks if is_read else UNREAD,
        )
        self.policy.collected(seen)
        self.rails.collected(seen)

    def teardown(self) -> None:
        """Let the program rest with a heap that has grown beyond any goal: one of the ways must be taken."""
        if not hasattr(self, "policy") or self.rails.released:
            return
        self.is_enabled = True
        self.blocks += 1
        self.decide(Moment.IN_REQUEST, (0, 0, 0))
        self.blocks = self.blocks * 1_000 + 10_000_000
        for _ in range(5_000):
            self.pass_time(10.0)
            act = self.decide(Moment.IN_REQUEST, (0, 0, 0), does=False)
            is_left_to_cpython = self.thresholds[0] == 0 or self.thresholds[2] != NEVER
            if act in ALL or is_left_to_cpython or self.rails.released:
                return
        raise AssertionError("what is due is never collected")


PolicyMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40)
TestPolicy = PolicyMachine.TestCase
