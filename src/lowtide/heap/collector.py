"""The calls into the native core, and what only Python knows of a snapshot: modules, processes, remarks."""

import operator
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, BinaryIO, ParamSpec, TypeVar

from lowtide._core_support import is_refused_here, module_roots, script_name, why_missing
from lowtide._proc import ProcessId, process_id
from lowtide._version import __version__
from lowtide.errors import CoreUnavailableError, NotStartedError
from lowtide.heap.files import compress, replacing
from lowtide.heap.records import HeapStats
from lowtide.heap.settings import Settings, validate
from lowtide.units import format_bytes

try:
    from lowtide import _core
except ImportError as error:
    _import_error: ImportError | None = error
else:
    _import_error = None

IN_SUB_INTERPRETER = is_refused_here(_import_error)

if TYPE_CHECKING:
    from lowtide.profile import Profile

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

_DEFAULT = Settings()

# The processes that this one was forked from, as far as they were profiled, then this one.
_lineage: list[ProcessId] = []

# What start() was told last; the interval in force may have grown since, and telling it again must not undo that.
_told: list[int] = []


def require_core() -> None:
    """Return where the native core works.

    Raises: CoreUnavailableError, which says why it does not.
    """
    if _import_error is not None:
        raise CoreUnavailableError(f"heap profiling is not available: {why_missing(_import_error)}") from _import_error


def unseen(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Keep what a function allocates out of the profile: it is the profiler's own doing."""

    @wraps(function)
    def bypassed(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        require_core()
        before = _core.bypass(True)
        try:
            return function(*args, **kwargs)
        finally:
            _core.bypass(before)

    return bypassed


@unseen
def start(
    sample_interval: int = _DEFAULT.sample_interval,
    max_frames: int = _DEFAULT.max_frames,
    max_bytes: int = _DEFAULT.max_bytes,
) -> None:
    """Start to sample allocations, from empty tables; where that is going on already, change what differs.

    Args:
        sample_interval: mean distance of two samples, bytes, 1 to 1 TiB; 1 records every block.
        max_frames: frames kept of a stack, from the leaf, 1 to 1024.
        max_bytes: budget of the profiler's tables, bytes, 2 MiB to 1 GiB; when it is reached the interval doubles.

    Raises: SettingsError for a value out of range; CoreUnavailableError where the native core is missing or refuses;
        MemoryError where the kernel refuses address space for the tables.

    *Threads:* any; it takes effect in all of them.
    """
    settings = [operator.index(value) for value in (sample_interval, max_frames, max_bytes)]
    validate(*settings)
    if settings == _told and is_active():
        return
    if not _lineage:
        # Each generation notes itself, so that a profile names ancestors that wrote none.
        os.register_at_fork(after_in_child=unseen(identity))
    identity()
    try:
        _core.start(*settings)
        _told[:] = settings
    except RuntimeError as error:
        raise CoreUnavailableError(str(error)) from None


def stop() -> None:
    """Stop to sample; what was recorded stays until the next start, and its frees are still counted."""
    if _import_error is None:
        _core.stop()


def is_active() -> bool:
    """Tell whether allocations are sampled: started, and nobody displaced the hooks."""
    return _import_error is None and _core.is_active()


@unseen
def stats() -> HeapStats:
    """Return the profiler's counters of itself.

    Raises: CoreUnavailableError.
    """
    counted = _core.stats()
    checks = counted["free_checks"]
    return HeapStats(
        samples=counted["samples"],
        live_samples=counted["live_samples"],
        stale_keys=counted["stale_keys"],
        lost_samples=counted["lost_samples"],
        filter_hit_rate=counted["free_hits"] / checks if checks else 1.0,
        table_bytes=counted["table_bytes"],
        max_bytes=counted["max_bytes"],
        interval_bytes=counted["interval"],
        thinned=counted["thinned"],
        slow_path_seconds=counted["slow_path_ns"] / 1e9,
        active=counted["active"],
        displaced=counted["displaced"],
    )


@unseen
def snapshot() -> "Profile":
    """Return the profile as it is at this moment.

    Raises: NotStartedError before the first start; CoreUnavailableError.

    *Threads:* any. *Cost:* allocating threads wait about a millisecond; the GIL is free while it is encoded.
    """
    from lowtide.profile import Profile
    from lowtide.profile.formats.pprof import decode

    with _encoded() as message:
        return decode(message.read(), Profile, max_bytes=sys.maxsize)


@unseen
def write(path: str | os.PathLike[str]) -> None:
    """Write the profile as it is at this moment to a gzip file that pprof reads; an older file is replaced in one step.

    Args:
        path: by convention `*.pb.gz`.

    Raises: OSError; NotStartedError before the first start; CoreUnavailableError.

    *Threads:* any. *Cost:* as `snapshot`, but no `Profile` is built.
    """
    with _encoded() as message, replacing(os.fspath(path)) as file:
        compress(message, file)


def identity() -> ProcessId:
    """Return what names the files of this process."""
    if not _lineage or _lineage[-1].pid != os.getpid():
        _lineage.append(process_id())
    return _lineage[-1]


@contextmanager
def _encoded() -> Iterator[BinaryIO]:
    """Give a snapshot as a file in memory that is not the process's heap."""
    counted = _core.stats()
    if not counted["interval"]:
        raise NotStartedError("the heap profiler was never started: call lowtide.heap.start() first")
    comments = tuple(comment.encode() for comment in _comments(counted))
    with open(os.memfd_create("lowtide-heap"), "w+b", buffering=0) as message:
        _core.encode(message.fileno(), module_roots(), script_name(), comments, time.time_ns())
        message.seek(0)
        yield message


def _comments(counted: "_core.HeapStats") -> list[str]:
    process = identity()
    comments = [
        f"lowtide {__version__}",
        f"process {process}",
        *(f"ancestor {ancestor}" for ancestor in _lineage if ancestor != process),
        "inuse counts blocks allocated since the profiler was started and not freed yet",
        "blocks that CPython serves from its own free lists are not seen",
        f"tables hold {format_bytes(counted['table_bytes'])} of {format_bytes(counted['max_bytes'])}",
    ]
    if counted["displaced"]:
        comments.append("another allocator hook displaced lowtide's: what was allocated since is missing")
    if counted["lost_samples"]:
        comments.append(f"{counted['lost_samples']} samples were lost because the tables were full during a snapshot")
    if counted["thinned"]:
        comments.append(f"the interval was doubled {counted['thinned']} times to stay inside the tables' budget")
    return comments
