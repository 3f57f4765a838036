"""The rail on the pacer's own time: a leaky bucket."""

CAPACITY_NS = 250_000_000


class Bucket:
    """Hold what the pacer's acts have cost, less what the program's time has drained.

    An act may begin while the bucket is not full. So over any stretch of time the pacer takes no more than the drained
    share of it, the capacity, and one act. Time without acts earns nothing beyond an empty bucket.

    *Source:* the limiter of Go's collector (runtime/mgclimit.go), with 5 % where Go has 50 %.
    """

    __slots__ = ("level_ns",)

    def __init__(self) -> None:
        self.level_ns = 0.0

    @property
    def is_full(self) -> bool:
        return self.level_ns >= CAPACITY_NS

    def fill(self, ns: float) -> None:
        """Account for an act; negative where it cost less than was put in for it."""
        self.level_ns = max(0.0, self.level_ns + ns)

    def drain(self, elapsed_seconds: float, share: float) -> None:
        """Let time pass, of which `share`, 0 to 1, is the pacer's."""
        self.level_ns = max(0.0, self.level_ns - elapsed_seconds * share * 1e9)
