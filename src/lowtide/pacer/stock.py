"""CPython's own rules: which generation is due, from the counts and the thresholds alone."""

from lowtide.pacer.reading import Triple

YOUNG, MIDDLE, FULL = range(3)


class Stock:
    """The state of CPython's generational collector, without its objects.

    It is fed what the program allocates and what each collection leaves, and answers what CPython would collect. A
    caller that replays a stream of allocations asks for `room` first and feeds no more than that at a time: CPython
    3.11 collects inside the very allocation that goes over the threshold. From 3.12 on the next bytecode that looks
    does, so that a single call into C may overshoot, and one collection answers for all of it; that is what feeding
    more than `room` at once means here.

    Args:
        thresholds: as gc.get_threshold() has them.
        counts: as gc.get_count() has them.
        long_lived: objects that the last full collection left.
        pending: objects that collections of generation 1 have moved to the oldest since then.

    Attributes: the four arguments, to be read, and set where the real ones are known to differ.

    *Source:* gc_select_generation, gc_collect_main and gc_freeze in CPython 3.13's Python/gc.c; the same in 3.11, 3.12,
    3.14.5 and later, and 3.15. It does not hold for the incremental collector of 3.14.0 to 3.14.4.
    """

    def __init__(
        self, thresholds: Triple, counts: Triple = (0, 0, 0), *, long_lived: int = 0, pending: int = 0
    ) -> None:
        self.thresholds = thresholds
        self.counts = counts
        self.long_lived = long_lived
        self.pending = pending

    @property
    def room(self) -> int | None:
        """Objects that may still be allocated, net, before a collection is due, >= 1; None when none ever will be."""
        threshold = self.thresholds[YOUNG]
        return max(1, threshold + 1 - self.counts[YOUNG]) if threshold else None

    def allocate(self, net: int) -> int | None:
        """Count tracked objects allocated less those freed.

        Args:
            net: may be negative; the count does not fall below 0.

        Returns: the generation that CPython would collect now, 0 to 2; None for none.
        """
        young, middle, full = self.counts
        self.counts = max(0, young + net), middle, full
        if not 0 < self.thresholds[YOUNG] < self.counts[YOUNG]:
            return None
        return self.select()

    def select(self) -> int | None:
        """Return the generation that an automatic collection would be of: the oldest one over its threshold.

        A full one also waits until a quarter of what the last one left has come to be old since.
        """
        for generation in (FULL, MIDDLE, YOUNG):
            if self.counts[generation] > self.thresholds[generation] and (
                generation != FULL or self.pending >= self.long_lived // 4
            ):
                return generation
        return None

    def collected(self, generation: int, survivors: int = 0) -> None:
        """Account for a collection, whoever asked for it.

        Args:
            generation: which one, 0 to 2.
            survivors: objects of that generation and younger ones that it left; for generation 0 nobody counts them.
        """
        _, middle, full = self.counts
        if generation == YOUNG:
            self.counts = 0, middle + 1, full
        elif generation == MIDDLE:
            self.counts = 0, 0, full + 1
            self.pending += survivors
        else:
            self.counts = 0, 0, 0
            self.pending = 0
            self.long_lived = survivors

    def frozen(self) -> None:
        """Account for gc.freeze(): the counts start again, the memory of the last full collection stays."""
        self.counts = 0, 0, 0
