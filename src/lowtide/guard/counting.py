"""Count what a call allocates: the core counts, in one thread and in C; here is what makes the count repeatable."""

import gc
import operator
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from types import MethodType

from lowtide._core_support import module_roots, script_name, why_missing
from lowtide._events import counting_begins, counting_ends
from lowtide.errors import CoreUnavailableError, CountError, SettingsError
from lowtide.profile import Profile
from lowtide.profile.formats.pprof import decode

try:
    from lowtide import _core
except ImportError as error:
    _import_error: ImportError | None = error
else:
    _import_error = None

# Caches of the interpreter and of the program fill in one or two rounds. What has not settled by then (a container that
# grows, a cache that forgets) will not.
MAX_ROUNDS = 10

_one_at_a_time = threading.Lock()  # the core has one set of tables for this
_under_way: list[tuple[int, bool]] = []  # the thread that counts, and whether the collector was on before


@dataclass(frozen=True, slots=True)
class AllocSite:
    """A line of code and what it allocates in one run: `blocks`, and `bytes` as requested."""

    function: str
    file: str
    line: int
    blocks: Fraction
    bytes: Fraction


@dataclass(frozen=True, slots=True)
class AllocResult:
    """What one run allocates, as exact fractions: 201 blocks in 100 runs are 201/100.

    Args:
        blocks: requests to CPython's allocators, a realloc included. Objects out of its free lists are none.
        bytes: as requested.
        runs: how many the fractions are of.
        settled: whether the round before counted the same. If not, the numbers are of the last of 10 rounds.
        by_site: where, most blocks first; the sum is the whole.
        profile: the last round, as a heap profile.
    """

    blocks: Fraction
    bytes: Fraction
    runs: int
    settled: bool
    by_site: tuple[AllocSite, ...]
    profile: Profile


def allocs_per_run(f: Callable[..., object], *args: object, runs: int = 100) -> AllocResult:
    """Count the blocks and bytes that a call of `f(*args)` allocates.

    Rounds of `runs` calls go on until two in a row count the same, 10 at most; the last is the result. Meanwhile the
    collector is off and pools are not in check mode. Calling costs nothing: a function that does nothing counts 0.

    Args:
        f: called again and again, so it must bear it; a test's setup belongs before.
        args: its arguments, made once.
        runs: calls a round, >= 1.

    Returns: the count of the last round, per call.

    Raises: whatever `f` raises; CountError where a tracer, a profiler or another count is active;
        CoreUnavailableError; SettingsError.

    *Threads:* the calling one is counted, no other.
    *Cost:* about a microsecond a block.
    *Source:* Go's testing.AllocsPerRun.
    """
    runs = operator.index(runs)
    if runs < 1:
        raise SettingsError(f"runs must be >= 1, got {runs}")
    if not callable(f):
        raise TypeError(f"f must be callable, got {f!r}")
    require_exact()
    if isinstance(f, MethodType):  # the bound method would make an array for the arguments each time
        args, f = (f.__self__, *args), f.__func__
    with _as_in_production():
        before, counted, rounds = None, _core.guard_count(runs, f, *args), 1
        while counted != before and rounds < MAX_ROUNDS:
            before, counted, rounds = counted, _core.guard_count(runs, f, *args), rounds + 1
        profile = _read_profile()
    blocks, size_bytes = counted
    return AllocResult(
        blocks=Fraction(blocks, runs),
        bytes=Fraction(size_bytes, runs),
        runs=runs,
        settled=counted == before,
        by_site=_sites(profile, runs),
        profile=profile,
    )


def require_exact() -> None:
    """Return where counts are exact.

    Raises: CoreUnavailableError, or CountError where something runs in between that allocates for itself.
    """
    if _import_error is not None:
        raise CoreUnavailableError(
            f"counting allocations is not available: {why_missing(_import_error)}"
        ) from _import_error
    watchers = [name for name, get in (("trace", sys.gettrace), ("profile", sys.getprofile)) if get() is not None]
    if sys.version_info >= (3, 12):
        tools = [sys.monitoring.get_tool(number) for number in range(6)]
        watchers += [f"monitoring ({tool})" for tool in tools if tool is not None]
    if watchers:
        raise CountError(
            f"allocations cannot be counted under a {watchers[0]} function, which allocates for itself: "
            "run without coverage, debugger and profiler"
        )


@contextmanager
def _as_in_production() -> Iterator[None]:
    if not _one_at_a_time.acquire(blocking=False):
        raise CountError("allocations are being counted already: one count at a time, and none inside another")
    _under_way.append((threading.get_ident(), gc.isenabled()))
    try:
        gc.disable()
        counting_begins.publish()
        yield
    finally:
        _restore()


def _restore() -> None:
    _, collects = _under_way.pop()
    counting_ends.publish()
    if collects:
        gc.enable()
    _one_at_a_time.release()


def _after_fork_in_child() -> None:
    if _under_way and _under_way[0][0] != threading.get_ident():  # that thread did not come along
        _restore()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def _read_profile() -> Profile:
    with os.fdopen(os.memfd_create("lowtide-guard"), "w+b", buffering=0) as message:
        _core.guard_encode(message.fileno(), module_roots(), script_name(), (), time.time_ns())
        message.seek(0)
        return decode(message.read(), Profile, max_bytes=sys.maxsize)


def _sites(profile: Profile, runs: int) -> tuple[AllocSite, ...]:
    everything = max(len(profile.samples), 1)
    size_bytes = {(row.name, row.file, row.line): row.flat for row in profile.top(everything, "alloc_space")}
    return tuple(
        AllocSite(
            row.name,
            row.file,
            row.line,
            Fraction(row.flat, runs),
            Fraction(size_bytes[row.name, row.file, row.line], runs),
        )
        for row in profile.top(everything, "alloc_objects")
        if row.flat
    )
