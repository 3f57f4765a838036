"""The control law: at each moment at which it is asked, what to do about memory."""

from math import inf
from typing import NamedTuple

from lowtide.pacer.bucket import CAPACITY_NS, Bucket
from lowtide.pacer.freezing import Freezing
from lowtide.pacer.growth import LOW_YIELD, Growth
from lowtide.pacer.learning import Pauses
from lowtide.pacer.limits import Limit, Trim
from lowtide.pacer.placement import IN_PLACE_GROWTH, Placement, fits, needed_seconds
from lowtide.pacer.reading import Act, Decision, Moment, PolicyStatus, Reading, Triple
from lowtide.pacer.record import OWN_CAUSES, Collection
from lowtide.pacer.shadow import Shadow
from lowtide.pacer.thresholds import Thresholds
from lowtide.units import format_bytes

WORTH_GROWTH = 0.10  # of live blocks, for a collection against the limit that is not known to find something
DRAIN_SHARE, TIGHT_DRAIN_SHARE = 0.05, 0.25
CONFIRM_SECONDS = 1.0  # an act of which nothing is heard for so long did not happen
LOOK_SECONDS = 1.0  # between two looks at the clock, after the first freeze

IN_REQUEST, BUSY, SAFE, IDLE, FORK = Moment
YOUNG_ACTS = (Act.YOUNG, Act.MIDDLE)  # CPython would collect these itself, and in a request: no time of the pacer's
FULL_ACTS = (Act.FULL, Act.FREEZE, Act.AUDIT)


class _Asked(NamedTuple):
    """An act of which nothing has been heard yet."""

    act: Act
    charged_ns: int  # into the bucket
    at_seconds: float


class Policy:
    """Decide when to collect, freeze, trim and let go.

    It has no clock and does nothing itself: whoever holds it asks `decide` at every request's end, idle moment and
    tick, carries out the one act that it answers, puts the answer's thresholds in force, and tells what came of it. An
    act that cannot be carried out may be dropped: the policy asks again.

    Args:
        thresholds: CPython's, as they were before; RELEASE gives them back.
        percent: growth of live blocks that makes a full collection due, >= 1; None leaves it to what they yield.
    """

    def __init__(self, thresholds: Triple, percent: int | None = None) -> None:
        self._stock = thresholds
        self._bucket = Bucket()
        self._pauses = Pauses()
        self._growth = Growth(percent)
        self._freezing = Freezing()
        self._limit = Limit()
        self._trim = Trim()
        self._shadow = Shadow(thresholds, self._pauses, 0, 0.0)
        self._placement = Placement()
        self._asked: _Asked | None = None
        self._now_seconds: float | None = None  # the readings' clock
        self._clock = 0.0  # the policy's own: it never goes backwards
        self._release: Decision | None = None
        self._thresholds = Thresholds(thresholds)
        self._is_throttled = False
        self._throttled = self._outside_changes = 0
        self._reason = ""
        self._full_pause_ns = 0
        self._thresholds.fit(*self._pauses.young_thresholds())
        self._wake()

    def decide(self, reading: Reading) -> Decision:
        """Answer what to do now.

        *Cost:* about a microsecond while nothing is due.
        """
        moment, thresholds = reading.moment, self._thresholds
        if (
            self._asleep_from <= reading.now_seconds < self._asleep_until
            and reading.blocks < self._asleep_below
            and reading.idle_seconds < self._asleep_in_idle
            and reading.memory is None
            and reading.thresholds == thresholds.in_force
            and reading.is_enabled
            and (
                moment is IN_REQUEST
                or reading.counts[0] < (thresholds.busy_count if moment is BUSY else thresholds.rest_count)
            )
        ):
            return self._nothing
        return self._look(reading)

    def collected(self, collection: Collection) -> None:
        """Learn from a collection, whoever asked for it; each once, in order."""
        asked = self._asked if collection.cause in OWN_CAUSES else None
        act = Act.NOTHING
        if asked is not None:
            act = asked.act
            self._asked = None
            if act not in YOUNG_ACTS:
                self._bucket.fill(collection.pause_ns - asked.charged_ns)
        self._pauses.learn(collection)
        if collection.generation == 2:
            self._growth.collected(collection, self._clock, was_due=act in FULL_ACTS and self._freezing.is_warm)
            self._placement.clear()
            found_much = collection.freed >= LOW_YIELD * collection.scanned
            self._limit.collected(collection.rss_bytes, found_much=found_much)
        was_warm = self._freezing.is_warm
        self._freezing.collected(collection, act, self._growth, self._clock)
        self._growth.is_warming = not self._freezing.is_warm
        if was_warm:
            self._shadow.collected(collection, self._freezing.tracked_objects)
        elif self._freezing.is_warm:
            self._shadow = Shadow(self._stock, self._pauses, self._freezing.tracked_objects, self._clock)
        self._thresholds.fit(*self._pauses.young_thresholds())
        self._wake()

    def trimmed(self, freed_bytes: int, took_seconds: float) -> None:
        """Learn what a trim gave back."""
        self._confirm(took_seconds)
        self._trim.trimmed(freed_bytes, took_seconds, self._clock)

    def pressured(self, took_seconds: float) -> None:
        """Learn that the pressure callbacks have been called; what they freed, the next readings tell."""
        self._confirm(took_seconds)

    def denied(self) -> None:
        """Learn that what was asked for was not begun, for somebody else collects: it may be asked for again."""
        self._confirm(0.0)
        self._wake()

    def set_percent(self, percent: int | None) -> int | None:
        """Set the growth that makes a full collection due, >= 1, or None; return the one before."""
        previous = self._growth.percent
        self._growth.set_percent(percent)
        self._wake()
        return previous

    def limit_rest_seconds(self) -> float:
        """Return how long others of the cgroup may act for the limit, for this process will not."""
        return self._limit.rest_seconds(self._clock)

    def status(self) -> PolicyStatus:
        return PolicyStatus(
            is_acting=self._release is None,
            reason=self._reason,
            thresholds=self._thresholds.in_force,
            live_blocks=self._growth.live_blocks or 0,
            goal_blocks=self._growth.goal_blocks,
            full_pause_ns=self._full_pause_ns,
            bucket_ns=round(self._bucket.level_ns),
            throttled=self._throttled,
            outside_changes=self._outside_changes,
            own_ns=round(self._shadow.own_ns),
            stock_ns=round(self._shadow.stock_ns),
            is_tight=self._limit.is_tight,
            unreclaimable_bytes=self._limit.unreclaimable_bytes,
        )

    # Between two decisions

    def _wake(self) -> None:
        """Look closely at the next reading."""
        self._asleep_from = self._asleep_until = 0.0

    def _sleep(self, r: Reading) -> None:
        """Have the usual answer ready until something may be due."""
        self._asleep_from = r.now_seconds
        self._asleep_until = r.now_seconds + LOOK_SECONDS if self._freezing.is_warm else r.now_seconds
        is_audit_due = self._freezing.is_audit_due(self._clock, is_tight=False)
        self._asleep_in_idle = needed_seconds(self._predict(Act.AUDIT, r)) if is_audit_due else inf
        self._asleep_below = 0 if self._placement.is_waiting else self._growth.goal_blocks

    def _confirm(self, took_seconds: float) -> None:
        charged_ns = self._asked.charged_ns if self._asked else 0
        self._asked = None
        self._bucket.fill(max(0.0, took_seconds) * 1e9 - charged_ns)

    def _advance(self, now_seconds: float) -> None:
        previous, self._now_seconds = self._now_seconds, now_seconds
        elapsed_seconds = 0.0 if previous is None else max(0.0, now_seconds - previous)
        self._clock += elapsed_seconds
        self._bucket.drain(elapsed_seconds, TIGHT_DRAIN_SHARE if self._limit.is_tight else DRAIN_SHARE)

    # The decision

    def _look(self, r: Reading) -> Decision:
        if self._release:
            return self._release
        self._advance(r.now_seconds)
        decision = self._give_way(r) or self._observe(r) or self._choose(r)
        self._thresholds.in_force = self._thresholds.wanted
        self._full_pause_ns = self._predict(Act.FULL, r)
        self._nothing = Decision(Act.NOTHING, "", 0, self._growth.goal_blocks, self._thresholds.wanted)
        self._sleep(r)
        if decision and decision.act is Act.RELEASE:
            self._nothing = decision
        return decision or self._nothing

    def _give_way(self, r: Reading) -> Decision | None:
        """Adopt what others have changed, or let go."""
        if r.thresholds != self._thresholds.in_force:
            self._outside_changes += 1
            if not self._thresholds.adopt(r.thresholds):
                return self._let_go("somebody else has set the thresholds", r.thresholds)
            return self._say("somebody else has set the young thresholds; they stay")
        if self._freezing.observe(r, self._clock):
            self._outside_changes += 1
            return self._say("somebody else has frozen or unfrozen; freezing is left to them")
        return None

    def _observe(self, r: Reading) -> Decision | None:
        """Take in memory, and what CPython alone would have done by now."""
        if r.memory:
            self._trim.observe(r.memory, self._clock)
            self._limit.observe(r.memory, self._clock)
        if self._thresholds.is_lent and self._bucket.level_ns < CAPACITY_NS / 2:
            self._thresholds.take_back()
        if self._limit.is_tight or self._growth.percent is not None:
            self._shadow.begin_window(self._clock)  # memory is worth more time than CPython would take
        verdict = self._shadow.verdict(self._clock)
        return self._let_go(verdict) if verdict else None

    def _choose(self, r: Reading) -> Decision | None:
        if self._asked and self._clock - self._asked.at_seconds < CONFIRM_SECONDS:
            return None
        self._asked = None
        may_collect = r.is_enabled and self._thresholds.wanted[0] > 0 and not self._thresholds.is_lent
        if r.moment is FORK:
            # A collection writes to every object that it looks at; in a child each would be copied.
            return self._full(r) if may_collect and not self._freezing.is_warm else None
        decision = self._hold_limit(r, may_collect=may_collect)
        if decision is None and may_collect:
            decision = self._full(r) or self._young(r)
        return decision or self._give_back(r)

    def _hold_limit(self, r: Reading, *, may_collect: bool) -> Decision | None:
        """Climb the ladder while memory is over its limit."""
        limit = self._limit
        if r.memory is None or not limit.is_over or (r.moment is IN_REQUEST and not limit.is_urgent(self._clock)):
            return None
        if not self._may_act():
            return None
        had_given_up = limit.has_given_up
        growth = self._growth
        has_grown = growth.grown_blocks(r.blocks) > WORTH_GROWTH * (growth.live_blocks or 0)
        helps = may_collect and (growth.is_fruitful or (has_grown and not had_given_up))
        act = limit.climb(r.memory, self._clock, collecting_helps=helps, trimming_helps=self._trim.helps(self._clock))
        if limit.has_given_up and not had_given_up:
            used, allowed = format_bytes(limit.unreclaimable_bytes), format_bytes(limit.limit_bytes)
            return self._say(f"gives up on the memory limit of {allowed}: {used} are in use, and nothing helps")
        if act is Act.FULL:
            act = self._freezing.full_act(growth, r.blocks)
        return self._ask(r, act, "limit", "memory is over its limit")

    def _full(self, r: Reading) -> Decision | None:
        """Run the full collection that is due where it disturbs least."""
        freezing, growth, is_tight = self._freezing, self._growth, self._limit.is_tight
        grown_blocks = growth.grown_blocks(r.blocks)
        is_first = freezing.is_first_due(r, self._clock)
        is_urgent = is_tight
        if is_first:
            act, reason = Act.FREEZE, "the program has warmed up"
            is_urgent = r.moment in (SAFE, IDLE, FORK)
        elif is_tight and freezing.is_audit_due(self._clock, is_tight=True):
            act, reason = Act.AUDIT, "memory is tight, and what is frozen may be garbage"
        elif growth.is_due(grown_blocks) or self._limit.is_eaten(growth.growth_ratio):
            act, reason = freezing.full_act(growth, r.blocks), "the heap has grown"
        elif freezing.is_audit_due(self._clock, is_tight=False) and fits(r, self._predict(Act.AUDIT, r)):
            act, reason = Act.AUDIT, "nobody has looked at what is frozen for an hour"
        else:
            self._placement.clear()
            return None
        pause_ns = self._predict(act, r)
        self._placement.due(max(grown_blocks, growth.step_blocks), self._clock)
        if not self._placement.permits(r, grown_blocks, pause_ns, self._clock, is_urgent=is_urgent):
            return None
        if not self._may_act():
            if self._placement.overgrowth(grown_blocks) < IN_PLACE_GROWTH:
                return None
            self._thresholds.lend()
            return self._say("the heap grows faster than the pacer may collect; CPython does, until that has passed")
        if is_tight:
            cause = "limit"
        elif fits(r, pause_ns):
            cause = "idle"
        else:
            cause = "safepoint" if is_first else "growth"
        return self._ask(r, act, cause, reason)

    def _young(self, r: Reading) -> Decision | None:
        """Keep automatic young collections out of requests."""
        count = self._thresholds.busy_count if r.moment is BUSY else self._thresholds.rest_count
        if r.moment is IN_REQUEST or r.counts[0] < count:
            return None
        act = Act.MIDDLE if 2 * r.counts[1] > self._thresholds.wanted[1] else Act.YOUNG
        return self._ask(r, act, "idle" if r.moment is IDLE else "safepoint", "between requests")

    def _give_back(self, r: Reading) -> Decision | None:
        """Trim what nobody has wanted for a while."""
        is_rest = r.moment is SAFE or r.moment is IDLE
        if not is_rest or not self._trim.is_due(self._clock) or not self._may_act():
            return None
        return self._ask(r, Act.TRIM, "", "free memory has been of no use")

    # Answers

    def _may_act(self) -> bool:
        """Tell whether the bucket allows an act; count the times that it begins not to."""
        was_throttled, self._is_throttled = self._is_throttled, self._bucket.is_full
        self._throttled += self._is_throttled and not was_throttled
        return not self._is_throttled

    def _predict(self, act: Act, r: Reading) -> int:
        match act:
            case Act.YOUNG:
                return self._pauses.predict_young(r.counts)
            case Act.MIDDLE:
                return self._pauses.predict_middle(r.counts)
            case Act.TRIM:
                return self._trim.cost_ns
            case Act.PRESSURE | Act.NOTHING:
                return 0
        grown_blocks = self._growth.grown_blocks(r.blocks)
        return self._pauses.predict_full(self._freezing.objects(act, grown_blocks) + r.counts[0])

    def _ask(self, r: Reading, act: Act, cause: str, reason: str) -> Decision | None:
        if act is Act.NOTHING:
            return None
        predicted_ns = self._predict(act, r)
        charged_ns = 0 if act in YOUNG_ACTS else predicted_ns
        self._bucket.fill(charged_ns)
        self._asked = _Asked(act, charged_ns, self._clock)
        is_collection = act is not Act.PRESSURE and act is not Act.TRIM
        return Decision(
            act,
            cause if is_collection else "",
            predicted_ns if is_collection else 0,
            self._growth.goal_blocks,
            self._thresholds.wanted,
            reason,
        )

    def _say(self, reason: str) -> Decision:
        self._reason = reason
        return Decision(Act.NOTHING, "", 0, self._growth.goal_blocks, self._thresholds.wanted, reason)

    def _let_go(self, reason: str, thresholds: Triple | None = None) -> Decision:
        """Give back the thresholds for good, to CPython or to whoever has set them."""
        self._reason = reason
        self._release = Decision(Act.RELEASE, "", 0, 0, self._thresholds.give_back(thresholds), reason)
        return self._release
