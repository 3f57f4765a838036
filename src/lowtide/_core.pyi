"""Typed contract of the C extension `lowtide._core` (Linux, GIL builds of CPython 3.11-3.15)."""

from collections.abc import Callable
from typing import TypedDict

class HeapStats(TypedDict):
    samples: int  # taken since start, in this process
    live_samples: int  # sampled blocks not yet freed
    stale_keys: int  # entries replaced because a free went past the hooks
    lost_samples: int  # not recorded because the tables were full while a snapshot was read
    free_checks: int  # frees that the filter could not rule out
    free_hits: int  # of those, frees of sampled blocks
    table_bytes: int  # memory of all tables, committed
    max_bytes: int  # its budget
    interval: int  # sampling interval in force, bytes; 0 when never started
    thinned: int  # how often the interval was doubled to stay inside the budget
    slow_path_ns: int  # time spent in the sampling slow path
    snapshot_lock_ns: int  # how long the last snapshot held the tables' lock
    active: bool  # armed (start() without stop())
    displaced: bool  # armed, but another allocator was installed without wrapping ours

def start(sample_interval: int, max_frames: int, max_bytes: int) -> None:
    """Arm the hooks, or change the settings of armed ones.

    Raises: ValueError for a setting out of range; RuntimeError when the self-test fails: an interpreter not supported.
    """

def stop() -> None: ...
def is_active() -> bool:
    """Tell whether the hooks are armed and still in the allocator chain of all three domains."""

def stats() -> HeapStats: ...
def encode(
    fd: int, module_roots: tuple[bytes, ...], script: bytes, comments: tuple[bytes, ...], time_nanos: int
) -> None:
    """Write a consistent snapshot to a file descriptor as an uncompressed pprof message; the GIL is free meanwhile.

    Args:
        fd: any writable descriptor; a memfd or a pipe will do.
        module_roots: directories of sys.path; a file name less the longest of them names the module.
        script: file name of the program; functions in it belong to `__main__`.
        comments: UTF-8, one pprof comment each.
        time_nanos: Unix time of the snapshot.

    Raises: OSError when a write fails or the kernel refuses memory for the copy.
    """

def bypass(on: bool) -> bool:
    """Exclude (or include again) the calling thread's allocations; return the previous state."""

def seed(value: int) -> None:
    """Make every thread redraw from a stream that depends on `value` and the order of threads only (tests)."""

def call_soon(callback: Callable[[], object]) -> None:
    """Run `callback` on the main thread at its next safe point (a pending call)."""

def walk() -> list[tuple[str, str, int]]:
    """Read the calling thread's stack as a hook does: (qualname, file, line), leaf first."""

def guard_count(runs: int, callable: Callable[..., object], *args: object) -> tuple[int, int]:
    """Call `callable(*args)` `runs` times and return the (blocks, bytes) that this thread allocated meanwhile, exactly.

    Raises: whatever the callable raises; RuntimeError when a count is under way; MemoryError when the tables overflow.
    """

def guard_encode(
    fd: int, module_roots: tuple[bytes, ...], script: bytes, comments: tuple[bytes, ...], time_nanos: int
) -> None:
    """Write what `guard_count` counted last, by site, as `encode` does."""
