"""What calls leave behind: blocks, resident memory, descriptors."""

import contextlib
import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path

CALLS = 1000
ROUNDS = 5
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES


def held() -> tuple[int, int, int]:
    gc.collect()
    return sys.getallocatedblocks(), resident_bytes(), len(list(Path("/proc/self/fd").iterdir()))


def growth(call: Callable[[], object]) -> tuple[int, int, int]:
    """Return what CALLS calls leave behind: blocks, resident bytes, descriptors."""
    before = held()
    for _ in range(CALLS):
        with contextlib.suppress(ValueError, TypeError, OverflowError, RuntimeError, OSError):
            call()
    after = held()
    return after[0] - before[0], after[1] - before[1], after[2] - before[2]


def assert_leaves_nothing(call: Callable[[], object]) -> None:
    growth(call)  # caches fill, tables take their pages
    rounds = [growth(call) for _ in range(ROUNDS)]

    # A leak shows in every round, noise of the interpreter in some.
    blocks, resident, descriptors = (min(column) for column in zip(*rounds, strict=True))
    assert blocks < CALLS // 10
    assert resident < CALLS * 16
    assert descriptors <= 0
