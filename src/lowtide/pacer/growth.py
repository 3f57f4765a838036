"""When a full collection is due: by how much the heap has grown, and by what such collections have found."""

from lowtide.errors import SettingsError
from lowtide.pacer.record import UNREAD, Collection

RATIO_RANGE = 0.20, 1.0  # CPython alone waits for 25 %, and has no need to find a place
WARMING_RATIO = 1.0  # a program that starts grows by itself: what is new is hardly garbage yet
FLOOR_BLOCKS = 25_000  # about 2 MiB: below that a percentage of the heap is no growth
LOW_YIELD, HIGH_YIELD = 0.01, 0.10  # of the objects looked at
EVIDENCE_SECONDS = 600.0  # garbage of the old takes minutes to come to be; finding none earlier proves nothing


class Growth:
    """Count from the last full collection to the next one that is due.

    Attributes:
        live_blocks: after the last full collection; None until a reading says so.
        ratio: of the live blocks, by which they must have grown; ignored where `percent` is set.
        is_warming: until the program has warmed up; they must double meanwhile.
        is_barren: the last one found next to nothing, after a time in which it could have.
        is_fruitful: the last one found much.
    """

    def __init__(self, percent: int | None) -> None:
        self.set_percent(percent)
        self.live_blocks: int | None = None
        self.ratio = RATIO_RANGE[0]
        self.is_warming = True
        self.is_barren = False
        self.is_fruitful = False
        self._at_seconds = 0.0
        self._seen_blocks = self._stale_blocks = UNREAD

    def set_percent(self, percent: int | None) -> None:
        if percent is not None and percent < 1:
            raise SettingsError(f"percent must be >= 1 or None, got {percent}")
        self.percent = percent

    @property
    def growth_ratio(self) -> float:
        if self.percent is not None:
            return self.percent / 100
        return WARMING_RATIO if self.is_warming else self.ratio

    @property
    def step_blocks(self) -> int:
        """Growth that makes the next one due."""
        return max(FLOOR_BLOCKS, round((self.live_blocks or 0) * self.growth_ratio))

    @property
    def goal_blocks(self) -> int:
        """Live blocks at which the next one is due; 0 while unknown."""
        return 0 if self.live_blocks is None else self.live_blocks + self.step_blocks

    def grown_blocks(self, blocks: int) -> int:
        """Return by how much the heap has grown; a count from before the last collection says nothing."""
        self._seen_blocks = blocks
        if blocks == self._stale_blocks:
            return 0
        self._stale_blocks = UNREAD
        if self.live_blocks is None:
            self.live_blocks = blocks
        return blocks - self.live_blocks

    def is_due(self, grown_blocks: int) -> bool:
        return grown_blocks >= self.step_blocks

    def collected(self, collection: Collection, now_seconds: float, *, was_due: bool) -> None:
        """Begin anew after a full collection; one that was due also says how far apart they should be."""
        self.live_blocks = None if collection.blocks_after == UNREAD else collection.blocks_after
        self._stale_blocks = self._seen_blocks
        elapsed_seconds, self._at_seconds = now_seconds - self._at_seconds, now_seconds
        if not was_due:
            return
        found = collection.freed / max(collection.scanned, 1)
        self.is_barren = found < LOW_YIELD and elapsed_seconds >= EVIDENCE_SECONDS
        self.is_fruitful = found > HIGH_YIELD
        if self.is_barren:
            self.ratio = min(self.ratio * 2, RATIO_RANGE[1])
        elif self.is_fruitful:
            self.ratio = max(self.ratio / 2, RATIO_RANGE[0])
