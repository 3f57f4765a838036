"""Typed contract of the C extension `lowtide._core` (Linux, GIL builds of CPython 3.11-3.15)."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TypedDict

_Triple = tuple[int, int, int]

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

# The cyclic collector, of the main interpreter only: every function raises RuntimeError elsewhere. Where the
# collector's fields are not known (the incremental one of 3.14.0 to 3.14.4), all numbers are 0.

def gc_watch(on: bool) -> None:
    """Put our callback at the end of the list that the collector calls, unless it is there; or take it out.

    Watching begins anew, with empty records and totals, when it was off, and in a forked child.

    Raises: RuntimeError when that list is none.
    """

def gc_is_watched() -> bool:
    """Tell whether our callback is in the list that the collector calls."""

def gc_records(after: int) -> list[tuple[Any, ...]]:
    """Return the records numbered above `after`, oldest first: the fields of `pacer.record.Collection`.

    The ring holds 4,096; older ones are missing.
    """

def gc_state() -> tuple[_Triple, _Triple, int, int, bool]:
    """Return the collector's (counts, thresholds, long_lived_total, long_lived_pending, enabled).

    *Cost:* 0.1 to 0.2 us; `gc` is not asked.
    """

def gc_totals() -> tuple[_Triple, _Triple, int]:
    """Return (collections, their pauses in ns, each by generation; ns since watching began)."""

def gc_frozen() -> int:
    """Count the objects set aside by gc.freeze(); -1 where the collector's fields are not known.

    The count is kept until something else is frozen, and records show it: call this after a freeze, outside a request.

    *Cost:* 10 to 200 ns an object; nothing while the count kept is good.
    """

def gc_announce(cause: str, predicted_ns: int, goal_blocks: int) -> None:
    """Name the cause of the next collection that this thread starts, and what it is expected to take.

    Args:
        cause: "safepoint", "idle", "growth" or "limit"; "" takes the announcement back.
        predicted_ns: the pause; 0 when unknown.
        goal_blocks: what this record and all later ones show as the goal; 0 when unknown.

    Raises: ValueError for another cause or a negative number.
    """

def gc_set_tick(callback: Callable[[], object] | None) -> None:
    """Have `callback` called on the main thread, by a pending call, after a collection: at most every 100 ms.

    The interpreter's last collection calls it at once. What it raises is dropped, but for KeyboardInterrupt and its
    like. Its allocations are not in heap profiles.
    """

def gc_request(delta: int) -> int:
    """Add to the number of requests in flight, never below 0, and return it."""

def gc_set_request_variable(variable: ContextVar[Any] | None) -> None:
    """Tell what says that a thread executes a request: this variable's value has an attribute `active` that is True."""

def gc_set_watchdog(deadline_ns: int, thresholds: _Triple) -> None:
    """Put `thresholds` in force at the end of the first collection after `deadline_ns`; once.

    Args:
        deadline_ns: on the clock of time.monotonic_ns(); 0 switches the watchdog off.
        thresholds: as gc.set_threshold() takes them.

    Raises: ValueError for a negative number.
    """

def gc_watchdog_barked() -> bool:
    """Tell whether the watchdog has put its thresholds in force since it was set last."""

def gc_set_guard(on: bool) -> None:
    """Have explicit full collections inside a request scan next to nothing: what exists is frozen meanwhile.

    Never where the program has frozen something itself.
    """
