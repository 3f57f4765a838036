"""The collector's thresholds: what the pacer makes of them, and what others have."""

from lowtide.pacer.reading import Triple

NEVER = 2**31 - 1  # as a threshold
AT_REST, BUSY = 8, 2  # parts of the young threshold: there a young collection at a safe point is worth its while


class Thresholds:
    """Hold the three thresholds that are to be in force.

    The upper one is raised, so that no full collection is automatic, unless these are lent to CPython for a while. The
    young ones fit a pause budget, unless somebody else has set them.

    Attributes:
        wanted: what is to be in force.
        in_force: what the last answer put in force.
        is_lent: full collections are CPython's for now.
        rest_count, busy_count: objects in the youngest generation that make it worth collecting between requests, with
            none in flight and with some. Never more than CPython would wait for: what a cycle holds may be large.
    """

    def __init__(self, stock: Triple) -> None:
        self._stock = stock
        self._is_sized_by_others = stock[0] == 0
        self.is_lent = False
        self.in_force = stock
        self._set(*stock[:2])

    def _set(self, young: int, middle: int) -> None:
        self.wanted: Triple = young, middle, self._stock[2] if self.is_lent else NEVER
        self.rest_count = max(1, min(young // AT_REST, self._stock[0]))
        self.busy_count = max(1, min(young // BUSY, self._stock[0]))

    def fit(self, young: int, middle: int) -> None:
        """Take over new young thresholds; a young one that hardly differs is not worth a change."""
        is_close = abs(young - self.wanted[0]) <= self.wanted[0] / 4
        if not self._is_sized_by_others and (not is_close or middle != self.wanted[1]):
            self._set(young, middle)

    def adopt(self, found: Triple) -> bool:
        """Take over what somebody else has set; tell whether full collections are still the pacer's."""
        self._is_sized_by_others = True
        self._set(*found[:2])
        return found[2] in (self.in_force[2], NEVER)

    def lend(self) -> None:
        """Let CPython collect fully by its own rule."""
        self.is_lent = True
        self._set(*self.wanted[:2])

    def take_back(self) -> None:
        self.is_lent = False
        self._set(*self.wanted[:2])

    def give_back(self, theirs: Triple | None) -> Triple:
        """Return CPython's thresholds, but for those that somebody else has set, and want them for good."""
        young, middle = self.wanted[:2] if self._is_sized_by_others else self._stock[:2]
        self.wanted = theirs or (young, middle, self._stock[2])
        return self.wanted
