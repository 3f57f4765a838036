"""Typed contract of the C extension `lowtide._pool` (GIL builds of CPython 3.11-3.15, every platform)."""

from collections.abc import Awaitable, Callable
from types import GenericAlias, TracebackType
from typing import Any, Generic, NamedTuple, Self, TypeVar, final, overload

T = TypeVar("T")

class PoolStats(NamedTuple):
    gets: int
    hits: int  # gets that found an item
    misses: int  # gets that called new, or gave None without it
    puts: int  # of anything but None
    drops_full: int  # items put when max_items were idle
    drops_bytes: int  # items that max_bytes had no room for, or that sizeof failed on
    drops_reset: int  # items whose reset raised
    drops_aged: int  # items that lay idle for two epochs
    drops_cleared: int  # items dropped by clear()
    idle_items: int
    idle_bytes: int  # as sizeof told at put; 0 without sizeof and max_bytes

class Pool(Generic[T]):
    """Keep items that are expensive to make for reuse.

    Any idle item may vanish at any time: those that lie idle for two epochs do. An epoch ends when a full collection
    starts, under memory pressure and after 60 s. There is no thread to watch the clock: it is read when any collection
    starts, at gets that find nothing and at one in sixteen of the others. What ages out is destroyed by a pending call on
    the main thread, at the latest at the pool's next get or put.

    Args:
        new: makes an item when the pool has none; may use the pool. Without it, get() gives None then.
        reset: brings an item back to its first state: a callable that takes it, or the name of a method of it.
            It runs at put; an item whose reset raises is dropped and the error surfaces there.
        max_items: how many items may lie idle, >= 0; one more is dropped at put, and not reset. None: no bound.
        max_bytes: how many bytes of items may lie idle, as told by `sizeof`, >= 0. None: no bound.
        sizeof: bytes of an item, asked once each put; `sys.getsizeof` where only `max_bytes` is given.
        name: for stats and reports.
        check: True makes a pool that reports misuse (`lowtide.pool.check`), False one that does not. None: as
            LOWTIDE_POOL_CHECK says, or the pytest plugin.

    Raises:
        TypeError: an argument of the wrong type.
        SettingsError: one out of range (a ValueError).

    *Threads:* any; each interpreter's pools are its own, and a forked child's are copies.
    *Cost:* about as much as a deque's pop and append; no allocation.
    *Source:* Go's sync.Pool.
    """

    @overload
    def __new__(
        cls,
        new: Callable[[], T],
        *,
        reset: Callable[[T], object] | str | None = None,
        max_items: int | None = None,
        max_bytes: int | None = None,
        sizeof: Callable[[T], int] | None = None,
        name: str | None = None,
        check: bool | None = None,
    ) -> Self: ...
    @overload
    def __new__(
        cls,
        new: None = None,
        *,
        reset: Callable[[Any], object] | str | None = None,
        max_items: int | None = None,
        max_bytes: int | None = None,
        sizeof: Callable[[Any], int] | None = None,
        name: str | None = None,
        check: bool | None = None,
    ) -> Pool[Any]: ...
    @property
    def name(self) -> str | None: ...
    def get(self) -> T:
        """Take an item out of the pool, or make one.

        Raises: whatever `new` raises; TypeError when it returns None.
        """

    def put(self, item: T | None, /) -> None:
        """Reset an item and hand it to the pool; nobody may use it afterwards. None is ignored.

        Raises: whatever `reset` or `sizeof` raises; TypeError or SettingsError when `sizeof` returns no size.
            The item is dropped then.
        """

    def lease(self) -> Lease[T]:
        """Borrow an item for a `with` or `async with` block; it is put back after an exception too."""

    def clear(self) -> None:
        """Drop every idle item."""

    def stats(self) -> PoolStats: ...
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...

@final
class Lease(Generic[T]):
    """An item for the length of a `with` or `async with` block, which can be entered once.

    The item of a lease that dies inside its block (a generator that nobody finishes) is dropped.
    """

    def __enter__(self) -> T: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None: ...
    def __aenter__(self) -> Awaitable[T]: ...
    def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> Awaitable[None]: ...
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...

def rotate() -> None:
    """Begin an epoch, as a full collection does."""

def set_timer(seconds: float, /) -> float:
    """Set how long an epoch may last, > 0 and <= 1e9 seconds; return what it was.

    Raises: TypeError or SettingsError.
    """

def _set_check(type: type[Any], default: bool, /) -> None:
    """Register the subclass that check mode makes in place of its base, and whether `check=None` asks for it."""
