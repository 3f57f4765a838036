"""The memory limit: how near it is, and what to do about it, in the order of what it has yielded."""

from lowtide.pacer.reading import Act, Memory

MIB = 1024 * 1024

TIGHT_HEADROOM, EASY_HEADROOM = 0.15, 0.20  # of the limit: tight below the first, until above the second
TIGHT_SECONDS = 30.0
STALL_SHARE = 0.10  # of a second that tasks waited for memory: tight, whatever the headroom
URGENT_SECONDS = 1.0  # over the limit, and then in the middle of a request if need be
TIGHT_STEP = 1 / 8  # of the growth that makes a collection due otherwise, at the least
RATE_SECONDS = 5.0  # over which growth of the working set is measured
ROUND_SECONDS = 1.0
RETRY_SECONDS = 60.0
FRUITLESS_ROUNDS = 3
FRUIT = 0.01  # of the limit

TRIM_BYTES, TRIM_SHARE = 64 * MIB, 0.10  # of resident memory
TRIM_FRUIT = 0.05  # of resident memory
TRIM_SECONDS = 60.0, 3600.0  # between two; doubled by each that gave little


class Trim:
    """Decide when free memory goes back to the system: it costs page faults when it is wanted again.

    Attributes:
        cost_ns: of the last one.
    """

    def __init__(self) -> None:
        self.cost_ns = 20_000_000
        self._pause_seconds = TRIM_SECONDS[0]
        self._next_seconds = 0.0
        self._surplus_since: float | None = None
        self._rss_bytes = 0

    def observe(self, memory: Memory, now_seconds: float) -> None:
        self._rss_bytes = memory.rss_bytes
        if memory.retained_bytes <= max(TRIM_BYTES, TRIM_SHARE * memory.rss_bytes):
            self._surplus_since = None
        elif self._surplus_since is None:
            self._surplus_since = now_seconds

    def helps(self, now_seconds: float) -> bool:
        """Tell whether much is retained and a trim may be tried."""
        return self._surplus_since is not None and now_seconds >= self._next_seconds

    def is_due(self, now_seconds: float) -> bool:
        """Tell whether so much has been retained for so long that nobody seems to want it."""
        return (
            self._surplus_since is not None
            and now_seconds >= self._next_seconds
            and now_seconds - self._surplus_since >= TRIM_SECONDS[0]
        )

    def trimmed(self, freed_bytes: int, took_seconds: float, now_seconds: float) -> None:
        self.cost_ns = round(max(0.0, took_seconds) * 1e9)
        shortest, longest = TRIM_SECONDS
        is_fruitful = freed_bytes >= TRIM_FRUIT * self._rss_bytes
        self._pause_seconds = shortest if is_fruitful else min(self._pause_seconds * 2, longest)
        self._next_seconds = now_seconds + self._pause_seconds
        self._surplus_since = None


class Limit:
    """Climb a ladder while memory is over its limit: callbacks, a collection, a trim, and again from below.

    Attributes:
        headroom_bytes: below the limit; None without one, or where another worker acts for it.
        is_tight: little of it is left, or it will not last.
        unreclaimable_bytes: what was in use when nothing helped any more; 0 unless given up.
    """

    def __init__(self) -> None:
        self.headroom_bytes: int | None = None
        self.limit_bytes = 0
        self.is_tight = False
        self.unreclaimable_bytes = 0
        self._is_near = False
        self._over_seconds: float | None = None  # since when
        self._rss_bytes = 0
        self._full_rss_bytes: int | None = None  # after the last full collection
        self._anchor: tuple[float, int] | None = None
        self._rate = 0.0  # bytes a second
        self._rung = 0
        self._round_begin_bytes = 0
        self._next_round_seconds = 0.0
        self._fruitless = 0
        self._patience = 1.0  # grows with each collection near the limit that found next to nothing

    @property
    def has_given_up(self) -> bool:
        return self.unreclaimable_bytes > 0

    @property
    def is_over(self) -> bool:
        return self._over_seconds is not None

    def rest_seconds(self, now_seconds: float) -> float:
        """Return how long nothing will be tried, once given up."""
        return max(0.0, self._next_round_seconds - now_seconds) if self.has_given_up else 0.0

    def is_urgent(self, now_seconds: float) -> bool:
        """Tell whether memory has been over its limit for long."""
        return self._over_seconds is not None and now_seconds - self._over_seconds >= URGENT_SECONDS

    def is_eaten(self, ratio: float) -> bool:
        """Tell whether, near the limit, memory has grown by half of what was left of it.

        By no more than `ratio` of itself, and by no less than an eighth of that. Each collection in a row that found
        next to nothing doubles it: a leak near its limit is not to be looked through for every few bytes.
        """
        if not self.is_tight or self.headroom_bytes is None or self._full_rss_bytes is None:
            return False
        most = ratio * self._full_rss_bytes
        step = min(max(self.headroom_bytes / 2, most * TIGHT_STEP) * self._patience, most)
        return self._rss_bytes - self._full_rss_bytes >= step

    def collected(self, rss_bytes: int, *, found_much: bool) -> None:
        """Account for a full collection; `rss_bytes` is negative where it was not read."""
        self._patience = 1.0 if found_much else min(self._patience * 2, 1 / TIGHT_STEP)
        self._full_rss_bytes = rss_bytes if rss_bytes >= 0 else None
        self._rss_bytes = max(rss_bytes, 0)

    def observe(self, memory: Memory, now_seconds: float) -> None:
        if memory.limit_bytes != self.limit_bytes:
            self.limit_bytes = memory.limit_bytes
            self._begin_anew()
        if not memory.limit_bytes or not memory.is_leader:
            if memory.limit_bytes - memory.working_set_bytes >= EASY_HEADROOM * memory.limit_bytes:
                self._begin_anew()  # others may have helped where this worker could not
            self.headroom_bytes = None
            self.is_tight = False
            self._anchor = self._over_seconds = None
            return
        self.headroom_bytes = headroom = memory.limit_bytes - memory.working_set_bytes
        self._rss_bytes = memory.rss_bytes
        if self._full_rss_bytes is None:
            self._full_rss_bytes = memory.rss_bytes
        if headroom >= 0:
            self._over_seconds = None
        elif self._over_seconds is None:
            self._over_seconds = now_seconds
        self._measure_rate(memory.working_set_bytes, now_seconds)
        share = EASY_HEADROOM if self._is_near else TIGHT_HEADROOM
        self._is_near = (
            headroom < share * memory.limit_bytes
            or headroom < self._rate * TIGHT_SECONDS
            or memory.stall_share >= STALL_SHARE
        )
        if not self._is_near:
            self._begin_anew()
        self.is_tight = self._is_near and not self.has_given_up

    def _begin_anew(self) -> None:
        self.unreclaimable_bytes = 0
        self._fruitless = self._rung = 0
        self._patience = 1.0
        self._next_round_seconds = 0.0

    def _measure_rate(self, used_bytes: int, now_seconds: float) -> None:
        if self._anchor is None:
            self._anchor = now_seconds, used_bytes
            self._rate = 0.0
        elapsed_seconds = now_seconds - self._anchor[0]
        if elapsed_seconds >= RATE_SECONDS:
            self._rate = (used_bytes - self._anchor[1]) / elapsed_seconds
            self._anchor = now_seconds, used_bytes

    def climb(self, memory: Memory, now_seconds: float, *, collecting_helps: bool, trimming_helps: bool) -> Act:
        """Return what to try next, over the limit; NOTHING for now. Each reading is one rung."""
        if self._rung == 0:
            if now_seconds < self._next_round_seconds:
                return Act.NOTHING
            self._round_begin_bytes = memory.working_set_bytes
        rungs = ((Act.PRESSURE, True), (Act.FULL, collecting_helps), (Act.TRIM, trimming_helps))
        for act, helps in rungs[self._rung :]:
            self._rung += 1
            if helps:
                return act
        self._end_round(memory, now_seconds)
        return Act.NOTHING

    def _end_round(self, memory: Memory, now_seconds: float) -> None:
        self._rung = 0
        if self._round_begin_bytes - memory.working_set_bytes >= FRUIT * self.limit_bytes:
            self._fruitless = 0
            self.unreclaimable_bytes = 0
        else:
            self._fruitless += 1
            if self._fruitless >= FRUITLESS_ROUNDS:
                self.unreclaimable_bytes = memory.working_set_bytes
                self.is_tight = False
        self._next_round_seconds = now_seconds + (RETRY_SECONDS if self.has_given_up else ROUND_SECONDS)
