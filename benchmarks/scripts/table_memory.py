"""Churn through code objects, sizes and live blocks, and watch the profiler's own memory after each step."""

import json
import resource
import sys
from pathlib import Path
from typing import Any

KEPT = 50_000
SOURCE = """
def function_{0}(size):
    return function_{0}_inner(size)

def function_{0}_inner(size):
    return bytearray(size)
"""


def main(*, max_bytes: int, sample_interval: int, functions: int, armed: bool, result: str) -> None:
    import lowtide.heap

    if armed:
        lowtide.heap.start(sample_interval=sample_interval, max_bytes=max_bytes)
    kept: list[object] = [None] * KEPT
    most = 0
    for number in range(functions):
        namespace: dict[str, Any] = {}
        exec(compile(SOURCE.format(number), f"<module {number % 500}>", "exec"), namespace)
        function = namespace[f"function_{number}"]
        for turn in range(20):
            kept[(number * 20 + turn) % KEPT] = function(1 + (number * turn) % 5000)
        if armed:
            most = max(most, lowtide.heap.stats().table_bytes)
    answer = {"table_bytes": most, "resident_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}
    if armed:
        stats = lowtide.heap.stats()
        answer |= {"thinned": stats.thinned, "interval_bytes": stats.interval_bytes, "samples": stats.samples}
    Path(result).write_text(json.dumps(answer))


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
