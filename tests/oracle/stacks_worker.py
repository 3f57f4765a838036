"""A process under tracemalloc, with the profiler above it: do both read the same stacks? `stacks_worker PROGRAM...`

tracemalloc moves an object that a free list hands out again to its new user's line, the profiler counts blocks: only
sizes that no free list serves can be compared. Writes one JSON: for each program what was compared and what differs.
"""

import gc
import json
import sys
import tracemalloc
from collections import Counter
from typing import Any

from lowtide import _core
from tests.oracle import programs
from tests.oracle.recording import BUDGET_BYTES, read

MIN_BYTES = 256

Stack = tuple[tuple[str, int], ...]


def belongs(stack: Stack, size: int) -> bool:
    return size >= MIN_BYTES and any(file == programs.__file__ for file, _ in stack)


def compare(program: str) -> dict[str, Any]:
    gc.collect()
    gc.disable()  # nothing is freed between the two readings
    tracemalloc.clear_traces()
    _core.start(1, tracemalloc.get_traceback_limit(), BUDGET_BYTES)
    kept = getattr(programs, program)()
    traces = tracemalloc.take_snapshot().traces._traces  # type: ignore[attr-defined] # as tuples, 100 times faster
    samples = read()
    _core.stop()
    gc.enable()
    del kept

    ours, theirs = Counter[tuple[Stack, int]](), Counter[tuple[Stack, int]]()
    for sample in samples:
        stack = tuple((frame.file, frame.line) for frame in sample.frames)
        if sample.live and belongs(stack, sample.size):
            ours[stack, sample.size] += sample.live
    for _, size, stack, _ in traces:
        if belongs(stack, size):
            theirs[stack, size] += 1
    return {"stacks": len(theirs), "ours": list(ours - theirs), "theirs": list(theirs - ours)}


if __name__ == "__main__":
    tracemalloc.start(1000)
    sys.stdout.write(json.dumps({program: compare(program) for program in sys.argv[1:]}))
