"""What gc.freeze() has set aside, and when to set more aside or to look at it again."""

from lowtide.pacer.growth import Growth
from lowtide.pacer.reading import Act, Moment, Reading
from lowtide.pacer.record import Collection

WARM_REQUESTS, WARM_SECONDS = 100, 0.5
TENURE_GROWTH = 1.25  # of live blocks since the last freeze
AUDIT_SECONDS = 3600.0
TIGHT_AUDIT_SECONDS = 600.0  # between two that the memory limit asks for


class Freezing:
    """Keep account of frozen objects.

    Attributes:
        frozen_objects: that the next full collection does not look at.
        is_warm: the first freeze has been.
        is_ours: nobody else has frozen or unfrozen; else nothing is frozen or unfrozen any more.
    """

    def __init__(self) -> None:
        self.frozen_objects = 0
        self.is_warm = False
        self.is_ours = True
        self._left_objects = 0  # by the last full collection, and not frozen
        self._pending_objects = 0  # that became old since, though they may have been freed
        self._frozen_blocks = 0
        self._is_tenured = False
        self._is_suspect = False
        self._seen: int | None = None
        self._first_rest_seconds: float | None = None
        self._frozen_seconds = 0.0  # since when something is

    @property
    def tracked_objects(self) -> int:
        """How many there are, at most, the youngest aside."""
        return self._left_objects + self._pending_objects + self.frozen_objects

    def observe(self, reading: Reading, now_seconds: float) -> bool:
        """Take note of a reading; tell whether somebody else has frozen or unfrozen since the last one."""
        if self._first_rest_seconds is None and reading.moment in (Moment.SAFE, Moment.IDLE):
            self._first_rest_seconds = now_seconds
        seen, self._seen = self._seen, reading.frozen
        if seen is None and reading.frozen < self.frozen_objects // 2:
            # Freezing was left out: somebody had frozen before us.
            self.is_ours = False
            self._left_objects += self.frozen_objects
            self.frozen_objects = 0
        # Frozen objects may die, one by one; they do not become more, nor do most of them go at once.
        if seen is None or seen // 2 <= reading.frozen <= seen or not self.is_ours:
            return False
        self.is_ours = False
        self.is_warm = True
        return True

    def is_first_due(self, reading: Reading, now_seconds: float) -> bool:
        """Tell whether the program has warmed up and nothing is frozen yet."""
        if self.is_warm:
            return False
        if reading.moment is Moment.FORK:
            return True
        rested = self._first_rest_seconds
        return reading.requests_ended >= WARM_REQUESTS or (rested is not None and now_seconds - rested >= WARM_SECONDS)

    def is_audit_due(self, now_seconds: float, *, is_tight: bool) -> bool:
        """Tell whether it is long that nobody has looked at what is frozen."""
        wait_seconds = TIGHT_AUDIT_SECONDS if is_tight else AUDIT_SECONDS
        return self.is_ours and self.frozen_objects > 0 and now_seconds - self._frozen_seconds >= wait_seconds

    def full_act(self, growth: Growth, blocks: int) -> Act:
        """Return which kind of a full collection is the right one now."""
        if not self.is_ours:
            return Act.FULL
        if self._is_suspect:
            return Act.AUDIT
        return Act.FREEZE if growth.is_barren and blocks > TENURE_GROWTH * self._frozen_blocks else Act.FULL

    def objects(self, act: Act, grown_blocks: int) -> int:
        """Return how many objects this collection would look at, the youngest aside."""
        thawed = self._left_objects + min(self._pending_objects, max(0, grown_blocks))
        return thawed + self.frozen_objects if act is Act.AUDIT else thawed

    def collected(self, collection: Collection, act: Act, growth: Growth, now_seconds: float) -> None:
        """Account for a collection; `act` is what the policy asked for, NOTHING where it did not."""
        if collection.generation < 2:
            if not self.is_warm:
                self._left_objects = collection.long_lived  # by a collection of before our time
            self._pending_objects = collection.pending
            return
        left = collection.long_lived
        if act is Act.AUDIT:
            self.frozen_objects = self._frozen_blocks = 0
            self._is_tenured = False
        if act is Act.FREEZE:
            if not self.frozen_objects:
                self._frozen_seconds = now_seconds
            self.frozen_objects += left
            self._frozen_blocks = max(collection.blocks_after, 0)
            self._is_tenured = self.is_warm
            self.is_warm = True
            left = 0
        if act in (Act.AUDIT, Act.FREEZE):
            self._seen = None  # the next reading says what is frozen now
        # What was frozen late may have died since, as what was not frozen did.
        self._is_suspect = self._is_tenured and growth.is_fruitful
        self._left_objects, self._pending_objects = left, 0
