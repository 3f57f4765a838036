"""What the pacer may do and must not, checked on everything that happened: slowly, and without the law itself."""

from lowtide.pacer.reading import Act, Decision, Moment, Reading, Triple
from lowtide.pacer.record import Collection

NEVER = 2**31 - 1
CAPACITY_NS = 250_000_000
CONFIRM_SECONDS = 1.0 - 1e-6
YOUNG = (Act.YOUNG, Act.MIDDLE)
ALL = (Act.FULL, Act.FREEZE, Act.AUDIT)


class Rails:
    """Everything that the pacer was told and has answered."""

    def __init__(self, stock: Triple) -> None:
        self.stock = stock
        self.charges: list[tuple[float, float]] = []  # at which second, how many ns
        self.shares: list[tuple[float, float]] = []  # from which second on, what share of the time may be the pacer's
        self.now = 0.0
        self.asked: tuple[float, Decision] | None = None
        self.released: Decision | None = None
        self.live_blocks: int | None = None
        self.was_frozen = False
        self.has_frozen = False

    def level_ns(self) -> float:
        """Fill and drain a bucket from the beginning."""
        level, at = 0.0, 0.0
        moments = sorted({at for at, _ in self.charges} | {at for at, _ in self.shares} | {self.now})
        for moment in moments:
            share = max((share for since, share in self.shares if since <= at), default=0.05)
            level = max(0.0, level - (moment - at) * share * 1e9)
            for charged, ns in self.charges:
                if charged == moment:
                    level = max(0.0, level + ns)
            at = moment
        return level

    def decided(self, reading: Reading, decision: Decision, ratio: float) -> None:
        """Check an answer; `ratio` is the least growth that makes a full collection due."""
        if self.released:
            assert decision == self.released, "it has let go for good"
            return
        if decision.act is Act.RELEASE:
            self.released = decision
            upper = decision.thresholds[2]
            is_theirs = upper == reading.thresholds[2] and upper != NEVER
            assert is_theirs or upper == self.stock[2], "CPython's thresholds, or somebody else's"
            return
        assert decision.thresholds[2] in (NEVER, self.stock[2])
        if decision.act is Act.NOTHING:
            return
        assert decision.reason, "it says why"
        if decision.act not in YOUNG:
            assert self.level_ns() < CAPACITY_NS, "it keeps to its share of the time"
            self.charges.append((self.now, decision.predicted_ns))
        if self.asked:
            assert self.now - self.asked[0] >= CONFIRM_SECONDS, "it waits to hear of the last act"
        if decision.act in YOUNG + ALL:
            self._check_collection(reading, decision, ratio)
        self.asked = self.now, decision

    def _check_collection(self, reading: Reading, decision: Decision, ratio: float) -> None:
        assert reading.is_enabled, "somebody wants no collections"
        assert decision.thresholds[0] > 0, "somebody wants no collections"
        assert decision.predicted_ns >= 0
        if decision.act not in ALL:
            assert decision.cause in ("safepoint", "idle")
            assert reading.moment is not Moment.IN_REQUEST
            assert reading.counts[0] >= min(self.stock[0], decision.thresholds[0] // 8)
        elif decision.act is Act.AUDIT:
            assert self.has_frozen
        elif decision.act is Act.FREEZE and not self.was_frozen:
            assert decision.cause in ("safepoint", "idle", "limit")
        elif decision.cause != "limit":
            assert self.live_blocks is None or reading.blocks >= self.live_blocks * (1 + ratio), "nothing has grown"

    def collected(self, collection: Collection) -> None:
        if self.asked and collection.cause in ("safepoint", "idle", "growth", "limit"):
            act = self.asked[1].act
            if act not in YOUNG:
                self.charges.append((self.now, collection.pause_ns - self.asked[1].predicted_ns))
            self.asked = None
            self.was_frozen |= act is Act.FREEZE
            self.has_frozen = act is Act.FREEZE or (self.has_frozen and act is not Act.AUDIT)
        if collection.generation == 2:
            self.live_blocks = collection.blocks_after if collection.blocks_after >= 0 else None

    def done(self, took_seconds: float) -> None:
        """Account for a trim or for pressure callbacks."""
        self.charges.append((self.now, took_seconds * 1e9))
        self.asked = None
