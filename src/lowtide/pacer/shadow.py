"""What stock CPython would have done with what this process allocated, and what it would have cost."""

from lowtide.pacer.learning import Pauses, Ratio
from lowtide.pacer.reading import Triple
from lowtide.pacer.record import Collection
from lowtide.pacer.stock import Stock

WINDOW_SECONDS = 600.0
WORSE = 1.10
SLACK = 0.001  # of wall time: below that neither matters
_MAX_STEPS = 64  # of CPython's young generation, out of one of ours


class Shadow:
    """Run CPython's rules beside the pacer's on the same counts.

    What survives is taken from the pacer's own collections, what a collection costs from the pauses that they had.

    Attributes:
        own_ns: that all collections took, explicit ones aside, since the window began.
        stock_ns: that CPython's would have taken.
        stock_fulls: its full collections among them.
        own_in_place: full collections that the pacer ran inside a request.
    """

    def __init__(self, thresholds: Triple, pauses: Pauses, tracked: int, now_seconds: float) -> None:
        self._stock = Stock(thresholds, long_lived=tracked)
        self._pauses = pauses
        self._promoted = Ratio(0.1, 1_000)  # of what was allocated and not freed
        self._allocated = 0
        self._pending = 0
        self.begin_window(now_seconds)

    def begin_window(self, now_seconds: float) -> None:
        """Begin the comparison anew."""
        self._window_seconds = now_seconds
        self.own_ns = self.stock_ns = 0.0
        self.own_in_place = self.stock_fulls = 0

    def collected(self, collection: Collection, tracked: int) -> None:
        """Account for a collection; `tracked` objects, frozen ones included, are there after it."""
        c = collection
        self._learn(c)
        if c.cause in ("explicit", "shutdown"):
            self._stock.collected(c.generation, tracked if c.generation == 2 else max(0, c.pending - self._pending))
            return
        self.own_ns += c.pause_ns
        self.own_in_place += c.generation == 2 and c.in_request and c.cause != "full"
        left = c.counts[0]
        threshold = self._stock.thresholds[0]
        while left > 0:
            room = self._stock.room
            if room is None or left > _MAX_STEPS * threshold:
                room = left
            generation = self._stock.allocate(min(left, room))
            left -= room
            if generation is not None:
                self._collect(generation, tracked)

    def _learn(self, c: Collection) -> None:
        self._allocated += c.counts[0]
        if c.generation:
            if c.generation == 1:
                self._promoted.add(max(0, c.pending - self._pending), self._allocated)
            self._allocated = 0
        self._pending = c.pending

    def _collect(self, generation: int, tracked: int) -> None:
        stock, pauses = self._stock, self._pauses
        survivors = round(self._promoted.value * stock.thresholds[0])
        seen = stock.counts[0] + survivors * stock.counts[1]
        if generation < 2:
            self.stock_ns += pauses.young_ns.value * (seen if generation else stock.counts[0])
            stock.collected(generation, survivors * (stock.counts[1] + 1))
        else:
            seen += stock.long_lived + stock.pending
            self.stock_ns += pauses.predict_full(seen)
            self.stock_fulls += 1
            stock.collected(generation, min(seen, tracked))

    def verdict(self, now_seconds: float) -> str:
        """Return, at the end of each window, why CPython alone would do better; "" where it would not."""
        elapsed_seconds = now_seconds - self._window_seconds
        if elapsed_seconds < WINDOW_SECONDS:
            return ""
        own_ns, stock_ns = self.own_ns, self.stock_ns
        in_place, stock_fulls = self.own_in_place, self.stock_fulls
        self.begin_window(now_seconds)
        if own_ns > WORSE * stock_ns + SLACK * elapsed_seconds * 1e9:
            return f"collections took {own_ns / 1e9:.2f} s where CPython alone would take {stock_ns / 1e9:.2f} s"
        if in_place > stock_fulls:
            return f"{in_place} full collections fell into requests where CPython alone would run {stock_fulls}"
        return ""
