"""Where a full collection that is due runs: in idle time, outside a request, in place; one of them always."""

from lowtide.pacer.reading import Moment, Reading

PATIENCE_SECONDS = 60.0
OUTSIDE_GROWTH, IN_PLACE_GROWTH = 1.25, 1.5  # times that at which it became due
FIT = 1.5  # times the predicted pause must fit the predicted idle time


class Placement:
    """Wait for a place, the longer the less particular."""

    def __init__(self) -> None:
        self._due_seconds: float | None = None
        self._due_blocks = 0

    @property
    def is_waiting(self) -> bool:
        return self._due_seconds is not None

    def clear(self) -> None:
        self._due_seconds = None

    def overgrowth(self, grown_blocks: int) -> float:
        """Return the growth as a multiple of that at which the collection became due."""
        return grown_blocks / max(self._due_blocks, 1) if self.is_waiting else 0.0

    def due(self, grown_blocks: int, now_seconds: float) -> None:
        """Begin to wait, or go on; `grown_blocks` is the growth that makes a collection due, or more."""
        if self._due_seconds is None:
            self._due_seconds, self._due_blocks = now_seconds, grown_blocks

    def permits(
        self, reading: Reading, grown_blocks: int, pause_ns: int, now_seconds: float, *, is_urgent: bool
    ) -> bool:
        """Tell whether this moment will do for what is due."""
        if self._due_seconds is None:
            return False
        if fits(reading, pause_ns):
            return True
        waited_seconds, overgrowth = now_seconds - self._due_seconds, self.overgrowth(grown_blocks)
        if reading.moment is Moment.IN_REQUEST:
            return waited_seconds >= 2 * PATIENCE_SECONDS or overgrowth >= IN_PLACE_GROWTH
        return is_urgent or waited_seconds >= PATIENCE_SECONDS or overgrowth >= OUTSIDE_GROWTH


def fits(reading: Reading, pause_ns: int) -> bool:
    """Tell whether the program waits for long enough."""
    return reading.moment is Moment.IDLE and reading.idle_seconds >= needed_seconds(pause_ns)


def needed_seconds(pause_ns: int) -> float:
    """Return how long the program should wait for such a pause to fit."""
    return FIT * pause_ns / 1e9
