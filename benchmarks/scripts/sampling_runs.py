"""Run the sampler again and again over one program whose every block is known.

Each run is a forked child with a seed of its own: nothing of the run before is left. A run reports what a user sees
of each site: the rows of `top` with their standard errors. The sites allocate nothing but their blocks: iterators and
lists are made beforehand, for one 50-byte helper object among a hundred large blocks would be a second population.
"""

import json
import os
import sys
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from operator import delitem, setitem
from pathlib import Path
from typing import Any

KIB, MIB = 1 << 10, 1 << 20
HEADER = sys.getsizeof(b"")  # bytes(n) is one block of n + HEADER bytes
COLUMNS = ("alloc_objects", "alloc_space", "inuse_objects", "inuse_space")


@dataclass(frozen=True, slots=True)
class Site:
    """One function that allocates; `blocks` allocates as it is drained, `owners` keep what shall outlive that."""

    name: str
    largest: int  # of the blocks, bytes
    allocate: Callable[[Iterator[object]], None]
    blocks: Iterator[object]
    owners: Sequence[object]


def site(name: str, largest: int, blocks: Iterator[object], owners: Sequence[object] = ()) -> Site:
    namespace: dict[str, Any] = {"sink": deque(maxlen=0)}
    exec(f"def {name}(blocks):\n    sink.extend(blocks)", namespace)
    return Site(name, largest, namespace[name], blocks, owners)


def churn(name: str, size: int, count: int) -> Site:
    return site(name, size, map(bytes, repeat(size - HEADER, count)))


def keep(name: str, size: int, count: int) -> Site:
    slots: list[object] = [None] * count
    blocks = map(setitem, repeat(slots), list(range(count)), map(bytes, repeat(size - HEADER, count)))
    return site(name, size, blocks, slots)


def mixed(name: str, sizes: list[int], count: int) -> Site:
    return site(name, max(sizes), map(bytes, [size - HEADER for size in sizes] * count))


def grown(name: str, count: int, kept: bool) -> Site:
    """Lists that grow five thousand items at a time: each step moves the list's array."""
    lists: list[list[None]] = [[] for _ in range(count)]
    steps = [items for items in lists for _ in range(6)]
    return site(name, 256 * KIB, map(list.extend, steps, repeat([None] * 5000)), lists if kept else ())


def shrunk(count: int) -> tuple[Site, Site]:
    """Byte arrays that are filled at one site and cut down at another: what stays is the other's."""
    arrays = [bytearray() for _ in range(count)]
    return (
        site("filled", 512 * KIB, map(bytearray.extend, arrays, repeat(bytes(400 * KIB))), arrays),
        site("shrunk", 256 * KIB, map(delitem, arrays, repeat(slice(190 * KIB, None))), arrays),
    )


def program() -> list[Site]:
    """Make the sites: fifty to a hundred expected samples each, and more where the blocks of a site differ in size.

    How often the interval holds the truth jumps with the number of blocks, which is whole; these are numbers at which
    an ideal sampler's covers close to 95 %.
    """
    return [
        churn("churn_64", 64, 491_550),
        keep("keep_512", 512, 61_470),
        churn("churn_4k", 4 * KIB, 9_638),
        mixed("churn_mixed", [4 * KIB, 8 * KIB, 16 * KIB, 32 * KIB], 800),
        keep("keep_64k", 64 * KIB, 545),
        churn("churn_512k", 512 * KIB, 158),
        keep("keep_1m", MIB, 104),
        churn("churn_2m", 2 * MIB, 65),
        keep("keep_4m", 4 * MIB, 50),
        churn("churn_16m", 16 * MIB, 48),
        keep("keep_40m", 40 * MIB, 46),
        grown("churn_grown", 80, kept=False),
        grown("keep_grown", 143, kept=True),
        *shrunk(182),
    ]


def run_once(sites: list[Site], interval: int, seed: int) -> dict[str, list[float]]:
    """Profile the program; return each site's four values and their four standard errors."""
    from lowtide import _core, heap
    from lowtide.profile import Label

    heap.start(sample_interval=interval, max_bytes=2**30)
    _core.seed(seed)
    for each in sites:
        each.allocate(each.blocks)
    # Where the kernel puts a new arena decides whether pymalloc needs a page of its own map for it, from raw memory.
    snapshot = heap.snapshot()
    raw = Label("domain", "raw")
    profile = replace(snapshot, samples=tuple(sample for sample in snapshot.samples if raw not in sample.labels))
    values: dict[str, list[float]] = {each.name: [0.0] * 8 for each in sites}
    for number, column in enumerate(COLUMNS):
        for row in profile.top(n=10_000, sample_type=column, by="function"):
            name = row.name.rpartition(".")[2]
            if name in values:
                values[name][number] = row.flat
                values[name][4 + number] = row.stderr or 0.0
    return values


def run_in_child(sites: list[Site], interval: int, seed: int) -> dict[str, list[float]]:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            with os.fdopen(writer, "w") as file:
                json.dump(run_once(sites, interval, seed), file)
            os._exit(0)
        except BaseException:  # noqa: BLE001 # none may run on in the parent's code
            traceback.print_exc()
            os._exit(1)
    os.close(writer)
    with os.fdopen(reader) as file:
        text = file.read()
    if os.waitpid(child, 0)[1] != 0:
        raise RuntimeError(f"run {seed} at interval {interval} failed")
    values: dict[str, list[float]] = json.loads(text)
    return values


def main(interval: int, first_seed: int, runs: int, result: str) -> None:
    import lowtide.heap  # noqa: F401  # once, before the forks

    sites = program()
    answer = {
        "largest": {each.name: each.largest for each in sites},
        "truth": run_in_child(sites, 1, 0),
        "runs": [run_in_child(sites, interval, seed) for seed in range(first_seed, first_seed + runs)],
    }
    Path(result).write_text(json.dumps(answer))


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
