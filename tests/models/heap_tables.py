"""What csrc/base's tables should hold: dictionaries, nothing clever. Slow and obvious on purpose."""

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

INT64_MAX = 2**63 - 1
DOMAINS = ("obj", "mem", "raw")


class Frame(NamedTuple):
    name: str
    file: str
    first_line: int
    line: int


class Key(NamedTuple):
    """What tells one bucket from another."""

    stack: tuple[Frame, ...]  # leaf first
    size: int
    interval: int
    domain: str
    generation: int


def probability(size: int, interval: int) -> float:
    """Return the share of blocks of that size that sampling at that interval takes."""
    return 1.0 if interval <= 1 else -math.expm1(-max(size, 1) / interval)


@dataclass
class HeapTables:
    interval: int = 1
    generation: int = 0
    allocs: Counter[Key] = field(default_factory=Counter)
    live: dict[int, Key] = field(default_factory=dict)
    samples: int = 0
    stale: int = 0

    def record(self, address: int, stack: tuple[Frame, ...], size: int, domain: str) -> None:
        self.stale += address in self.live
        self.live[address] = Key(stack, size, self.interval, domain, self.generation)
        self.allocs[self.live[address]] += 1
        self.samples += 1

    def remove(self, address: int) -> Key | None:
        return self.live.pop(address, None)

    def fork(self) -> None:
        self.generation += 1
        self.samples = self.stale = 0

    def live_counts(self) -> Counter[Key]:
        return Counter(self.live.values())

    def thin(self, interval: int, live: dict[int, Key], allocs: Counter[Key]) -> None:
        """Take over what thinning to `interval` left, after checking all that must hold whatever the coins said.

        Raises: AssertionError.
        """
        assert interval > self.interval

        def thinned(key: Key) -> Key:
            return replace_interval(key, max(key.interval, interval))

        survivors = {address: thinned(key) for address, key in self.live.items() if address in live}
        assert survivors == live, "a live block appeared, or changed its bucket"
        for address, key in self.live.items():
            assert address in live or key.interval < interval, "a block sampled at a larger interval was dropped"
        before: Counter[Key] = Counter()
        certain: Counter[Key] = Counter()
        for key, count in self.allocs.items():
            before[thinned(key)] += count
            certain[thinned(key)] += count if key.interval >= interval else 0
        now_live = Counter(live.values())
        for key, count in allocs.items():
            assert now_live[key] <= count <= before[key]
        for key, count in certain.items():
            shown = now_live[key] > 0 or key.generation == self.generation
            assert allocs[key] >= count or not shown, "samples of a larger interval were dropped"
        self.interval, self.live, self.allocs = interval, live, allocs

    def rows(self) -> dict[Key, tuple[float, float, float, float]]:
        """Return what a profile must say, unrounded, but for zeros: alloc objects and bytes, live objects and bytes."""
        live = self.live_counts()
        rows = {}
        for key, allocs in self.allocs.items():
            scale = 1 / probability(key.size, key.interval)
            counts = (allocs if key.generation == self.generation else 0, live[key])
            if any(counts):
                objects = [count * scale for count in counts]
                space = [count * max(key.size, 1) for count in objects]
                rows[key] = (objects[0], space[0], objects[1], space[1])
        return rows


def replace_interval(key: Key, interval: int) -> Key:
    return key._replace(interval=interval)


def module_name(file: str, roots: list[str], script: str) -> str:
    """Name the module that a file holds; more than 512 bytes are cut, between two characters."""
    if file and file == script:
        name = "__main__"
    elif file.startswith("<frozen ") and file.endswith(">"):
        name = file[len("<frozen ") : -1]
    elif file.startswith("<"):
        name = file
    else:
        above = [root.rstrip("/") + "/" for root in roots if root.rstrip("/")]
        longest = max((root for root in above if file.startswith(root)), key=len, default=None)
        name = file[len(longest) :] if longest else file.rpartition("/")[2]
        name = name.removesuffix(".py").removesuffix("/__init__")
    return name.replace("/", ".").encode()[:512].decode(errors="ignore")


def function_name(frame: Frame, roots: list[str], script: str) -> str:
    module = module_name(frame.file, roots, script)
    return f"{module}.{frame.name}" if module else frame.name
