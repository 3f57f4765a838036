"""What the pacer learns from each collection: how long the next one will take."""

from lowtide.pacer.reading import Triple
from lowtide.pacer.record import Collection

PAUSE_BUDGET_NS = 1_000_000  # of an automatic young collection inside a request
THRESHOLD0_RANGE = 2_000, 10_000  # many objects are cold: each costs up to twice what one of a few does
THRESHOLD1_RANGE = 1, 10
_KEEP = 7 / 8  # of what was learnt before, at each new value


class Ratio:
    """A ratio learnt from pairs of sums, the latest counting most; large pairs count more than small ones."""

    __slots__ = ("_amount", "_weight")

    def __init__(self, prior: float, weight: float) -> None:
        self._amount, self._weight = prior * weight, weight

    def add(self, amount: float, weight: float) -> None:
        if weight > 0:
            self._amount = self._amount * _KEEP + amount
            self._weight = self._weight * _KEEP + weight

    @property
    def value(self) -> float:
        return self._amount / self._weight


class Pauses:
    """Predict pauses.

    Heaps differ by a factor of ten in what an object costs, with their age above all, so nothing but the first guess
    is a constant.

    Attributes:
        young_ns: of generation 0, for each object allocated and not freed.
        middle_ns: of generation 1, for each young collection whose survivors it looks at.
        full_ns: of a full collection, for each object that it looks at.
    """

    def __init__(self) -> None:
        self.young_ns = Ratio(100, 2_000)
        self.middle_ns = Ratio(100_000, 1)
        self.full_ns = Ratio(100, 10_000)

    def learn(self, collection: Collection) -> None:
        if collection.generation == 0:
            self.young_ns.add(collection.pause_ns, collection.scanned)
        elif collection.generation == 1:
            self.middle_ns.add(collection.pause_ns, collection.counts[1] + 1)
        else:
            self.full_ns.add(collection.pause_ns, collection.scanned)

    def predict_young(self, counts: Triple) -> int:
        return round(self.young_ns.value * counts[0])

    def predict_middle(self, counts: Triple) -> int:
        return round(self.middle_ns.value * (counts[1] + 1))

    def predict_full(self, objects: int) -> int:
        return round(self.full_ns.value * objects)

    def young_thresholds(self) -> tuple[int, int]:
        """Return the first two thresholds with which an automatic collection keeps to the budget."""
        return (
            _clamp(PAUSE_BUDGET_NS / max(self.young_ns.value, 1), *THRESHOLD0_RANGE),
            _clamp(PAUSE_BUDGET_NS / max(self.middle_ns.value, 1), *THRESHOLD1_RANGE),
        )


def _clamp(value: float, low: int, high: int) -> int:
    return round(min(max(value, low), high))
