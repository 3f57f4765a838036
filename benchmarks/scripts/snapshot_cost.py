"""Write snapshots of 10,000 distinct stacks, and watch how fast another Python thread moves meanwhile."""

import itertools
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

WAYS, LEVELS = 10, 4  # ten functions on each of four levels: ten thousand stacks
TABLE_BYTES = 8 * 2**20


def build_ways() -> Callable[[tuple[int, ...]], object]:
    """Make ten functions a level, each of which calls one of the next level; they allocate at the bottom only."""
    namespace: dict[str, Any] = {}
    for level in reversed(range(LEVELS)):
        onward = f"ways_{level + 1}[path[{level + 1}]](path)" if level + 1 < LEVELS else f"bytearray(path[{LEVELS}])"
        for way in range(WAYS):
            exec(f"def level_{level}_way_{way}(path):\n    return {onward}", namespace)
        namespace[f"ways_{level}"] = [namespace[f"level_{level}_way_{way}"] for way in range(WAYS)]
    first_ways = namespace["ways_0"]
    return lambda path: first_ways[path[0]](path)


class Ticker(threading.Thread):
    """A thread of plain Python work that counts its turns and its longest pause."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.ticks = 0
        self.longest_ns = 0
        self.running = True

    def run(self) -> None:
        last = time.perf_counter_ns()
        while self.running:
            now = time.perf_counter_ns()
            self.longest_ns = max(self.longest_ns, now - last)
            last = now
            self.ticks += 1


def main(writes: int, result: str) -> None:
    import lowtide.heap
    from lowtide import _core
    from lowtide.profile import Profile

    follow = build_ways()
    lowtide.heap.start(sample_interval=1, max_bytes=64 * 2**20)
    kept = []
    for size in itertools.count(1):  # blocks of ever new sizes, until the tables are full enough
        kept += [follow((*path, size)) for path in itertools.product(range(WAYS), repeat=LEVELS)]
        if lowtide.heap.stats().table_bytes >= TABLE_BYTES:
            break
    lowtide.heap.stop()  # what follows would add stacks of its own
    table_bytes = lowtide.heap.stats().table_bytes
    lock_ns, write_ns, speed, pause_ns = [], [], [], []

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "heap.pb.gz")
        for _ in range(writes):
            start = time.perf_counter_ns()
            lowtide.heap.write(path)
            write_ns.append(time.perf_counter_ns() - start)
            lock_ns.append(_core.stats()["snapshot_lock_ns"])

        ticker = Ticker()
        ticker.start()
        for _ in range(writes):
            ticks = ticker.ticks
            time.sleep(0.1)
            alone = (ticker.ticks - ticks) / 0.1
            ticker.longest_ns, ticks, start = 0, ticker.ticks, time.perf_counter_ns()
            lowtide.heap.write(path)
            seconds = (time.perf_counter_ns() - start) / 1e9
            speed.append((ticker.ticks - ticks) / seconds / alone)
            pause_ns.append(ticker.longest_ns)
        ticker.running = False
        ticker.join()
        profile = Profile.read(path)
        answer = {
            "stacks": len({sample.locations for sample in profile.samples}),
            "samples": len(profile.samples),
            "file_bytes": path.stat().st_size,
            "table_bytes": table_bytes,
            "lock_ns": lock_ns,
            "write_ns": write_ns,
            "speed": speed,
            "pause_ns": pause_ns,
        }
    Path(result).write_text(json.dumps(answer))
    del kept


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
