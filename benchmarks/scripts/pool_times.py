"""Time the sides of the pools' comparisons next to each other in one process.

Each subject has two sides and a null: the reference once more. Calls are made by bound methods in locals, in a loop
whose own time is in all sides. CPU time of the process, so that only what shares its core disturbs it.
"""

import gc
import importlib
import io
import json
import math
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from timeit import Timer
from typing import Any

PIECE = b"x" * 64
ROUND_SECONDS = 0.004
POOLS, ITEMS, ITEM = 10_000, 100, object()

# subject: setup, ours, reference
BUFFER_POOL = "pool = BufferPool(check=False); get, put = pool.get, pool.put"
BUFFER = "buffer = Buffer(); write, writelines, reset = buffer.write, buffer.writelines, buffer.reset; "
COUNTS = (1, 16, 256, 4096, 16384)  # of pieces: 64 bytes to 1 MiB
SUBJECTS: dict[str, tuple[str, str, str]] = {
    "pool": (
        "pool = Pool(object, check=False); get, put = pool.get, pool.put; put(get()); "
        "items = deque([object()]); pop, append = items.pop, items.append",
        "put(get())",
        "append(pop())",
    ),
    "lease": (
        "pool = Pool(object, check=False); lease, empty = pool.lease, empty_context",
        "with lease(): pass",
        "with empty(): pass",
    ),
    "buffer_pool_4k": (BUFFER_POOL, "put(get(4096))", "bytearray(4096)"),
    "buffer_pool_64k": (BUFFER_POOL, "put(get(65536))", "bytearray(65536)"),
    **{
        f"write_{count * len(PIECE)}": (
            f"{BUFFER} counts = range({count})",
            "for _ in counts: write(piece)\nreset()",
            "write_new = BytesIO().write\nfor _ in counts: write_new(piece)",
        )
        for count in COUNTS
    },
    **{
        f"writelines_{count * len(PIECE)}": (
            f"{BUFFER} pieces = [piece] * {count}",
            "writelines(pieces)\nreset()",
            "BytesIO().writelines(pieces)",
        )
        for count in COUNTS
    },
}


def main(*, rounds: int, context: str, result: str) -> None:
    from lowtide import Buffer, BufferPool, Pool

    sys.path.append(context)
    names: dict[str, Any] = {
        "Pool": Pool,
        "Buffer": Buffer,
        "BufferPool": BufferPool,
        "BytesIO": io.BytesIO,
        "deque": deque,
        "empty_context": importlib.import_module("lowtide_context").empty,
        "piece": PIECE,
    }
    timers = {
        subject: {
            side: Timer(code, setup, time.process_time, names).timeit
            for side, code in (("ours", ours), ("reference", reference), ("again", reference))
        }
        for subject, (setup, ours, reference) in SUBJECTS.items()
    }
    answer = {
        "ns": {subject: compare(sides, rounds) for subject, sides in timers.items()},
        "rotation_ms": [rotation_ms() for _ in range(rounds)],
    }
    Path(result).write_text(json.dumps(answer))


def compare(sides: Mapping[str, Callable[[int], float]], rounds: int) -> dict[str, list[float]]:
    """Run the sides next to each other, in an order that rotates; nanoseconds a call, one a round."""
    ns: dict[str, list[float]] = {side: [] for side in sides}
    calls = 1
    while (took := sides["reference"](calls)) < ROUND_SECONDS:
        calls = min(calls * 10, math.ceil(calls * 1.2 * ROUND_SECONDS / max(took, 1e-9)))
    order = [*sides]
    for turn in range(rounds):
        first = turn % len(order)
        for side in order[first:] + order[:first]:
            ns[side].append(sides[side](calls) / calls * 1e9)
    return ns


def rotation_ms() -> float:
    """Time what 10,000 pools with 100 idle items each add to the callbacks of a full collection."""
    from lowtide import Pool

    gc.collect()
    pools: list[Pool[object]] = [Pool(check=False) for _ in range(POOLS)]
    for pool in pools:
        for _ in range(ITEMS):
            pool.put(ITEM)
    (callback,) = (callback for callback in gc.callbacks if getattr(callback, "__name__", "") == "on_collection")
    information = {"generation": 2, "collected": 0, "uncollectable": 0}

    def collect() -> float:
        start = time.perf_counter_ns()
        callback("start", information)
        callback("stop", information)
        return (time.perf_counter_ns() - start) / 1e6

    # Not on the main thread, which would visit the pools between the callback's end and the second look at the clock.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(collect).result()


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
