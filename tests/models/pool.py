"""What a pool does, written as slowly and plainly as it can be."""

from typing import Generic, TypeVar

T = TypeVar("T")


class PoolModel(Generic[T]):
    """Two lists of (item, bytes), youngest last, and a counter for everything that happened."""

    def __init__(self, max_items: int | None, max_bytes: int | None) -> None:
        self.max_items, self.max_bytes = max_items, max_bytes
        self.items: list[tuple[T, int]] = []
        self.victim: list[tuple[T, int]] = []
        self.counts = dict.fromkeys(
            ("gets", "hits", "misses", "puts", "full", "bytes", "reset", "aged", "cleared"),
            0,
        )

    @property
    def idle(self) -> list[tuple[T, int]]:
        return self.victim + self.items

    @property
    def idle_bytes(self) -> int:
        return sum(size for _, size in self.idle)

    def get(self) -> T | None:
        self.counts["gets"] += 1
        for generation in (self.items, self.victim):
            if generation:
                self.counts["hits"] += 1
                return generation.pop()[0]
        self.counts["misses"] += 1
        return None

    def put(self, item: T, *, reset_fails: bool, size: object) -> bool:
        """Put an item; `size` is what sizeof answers. Tell whether an error surfaces."""
        self.counts["puts"] += 1
        if self.max_items is not None and len(self.idle) >= self.max_items:
            self.counts["full"] += 1
        elif reset_fails:
            self.counts["reset"] += 1
            return True
        elif not isinstance(size, int) or size < 0:
            self.counts["bytes"] += 1
            return True
        elif self.max_bytes is not None and self.idle_bytes + size > self.max_bytes:
            self.counts["bytes"] += 1
        else:
            self.items.append((item, size))
        return False

    def clear(self) -> None:
        self.counts["cleared"] += len(self.idle)
        self.items, self.victim = [], []

    def begin_epoch(self) -> None:
        self.counts["aged"] += len(self.victim)
        self.items, self.victim = [], self.items

    def stats(self) -> tuple[int, ...]:
        return (*self.counts.values(), len(self.idle), self.idle_bytes)
