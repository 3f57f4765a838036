"""Typed contract of the C extension `lowtide._pool` (GIL builds of CPython 3.11-3.15, every platform)."""

from collections.abc import Awaitable, Callable, Iterable
from types import GenericAlias, TracebackType
from typing import Any, Final, Generic, Literal, NamedTuple, Self, TypeVar, final, overload

from _typeshed import ReadableBuffer, WriteableBuffer

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
    starts, at gets that find nothing and at one in sixteen of the others. What ages out is destroyed by a pending call
    on the main thread, at the latest at the pool's next get or put.

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

class BufferPoolStats(NamedTuple):
    gets: int
    hits: int  # gets that found a buffer
    misses: int  # gets that made one
    puts: int
    drops_small: int  # buffers put with a capacity below min_bytes
    drops_large: int  # buffers put with a capacity beyond max_bytes, or far beyond their use again and again
    drops_full: int  # buffers that max_total had no room for
    drops_aged: int  # buffers that lay idle for two epochs
    drops_cleared: int  # buffers dropped by clear()
    idle_items: int
    idle_bytes: int  # the capacity of these

@final
class Buffer:
    """Collect bytes in memory that grows, and keep the memory for the next time.

    It is a file in memory: what it shares with `io.BytesIO` means the same there, so `pickle`, `zipfile`, `tarfile`,
    `gzip` and `shutil` take it, and `csv` and `json` its `text`. It is a bytes-like object too: `sock.sendall(buffer)`.
    It is true even when empty, as files are.

    While a view of it lives (`view()`, `reserve()`, `memoryview(buffer)`), its length cannot change: `BufferError`.
    After `BufferPool.put` it refuses any use until the pool hands it out again: `ValueError`.

    Args:
        capacity: bytes to have room for at once, >= 0. It grows by doubling, past 1 MiB by half.

    Raises: ValueError for a negative capacity; MemoryError.

    *Threads:* each call is whole; two threads that write to one buffer mix their data.
    *Cost:* a write of a piece is a copy; none allocates while the capacity holds, but the int for a count above 256.
    *Source:* Go's bytes.Buffer, with the position of io.BytesIO.
    """

    capacity: Final[int]  # bytes it holds before it grows
    def __new__(cls, capacity: int = 0) -> Self: ...
    def write(self, data: ReadableBuffer, /) -> int:
        """Write at the position, zeros before it where it lies past the end; return how many bytes.

        Raises: TypeError when data is not bytes-like; MemoryError or OverflowError, and nothing is written.
        """

    def write_str(self, text: str, /) -> int:
        """Write text as UTF-8, without a bytes object in between; return how many bytes.

        Raises: UnicodeEncodeError for a lone surrogate, and nothing is written.
        """

    def writelines(self, lines: Iterable[ReadableBuffer], /) -> None:
        """Write one after the other; for a list or tuple of pieces the fastest way."""

    def getvalue(self) -> bytes:
        """Return a copy of the content, wherever the position is."""

    def view(self) -> memoryview:
        """Return the content as a writable memoryview, without a copy."""

    def reserve(self, n: int, /) -> memoryview:
        """Return a writable memoryview of n bytes past the content, not zeroed, for recv_into, readinto or pack_into.

        Release it (it is a context manager) before the next write or reserve.
        """

    def advance(self, n: int, /) -> None:
        """Make the first n reserved bytes part of the content, and its end the position.

        Raises: ValueError when n is more than reserve() gave, less what was taken already.
        """

    def reset(self) -> None:
        """Empty the buffer and keep its capacity; a closed one is open again."""

    @property
    def text(self) -> _BufferText:
        """The buffer as a text file in UTF-8: `json.dump(document, buffer.text)`.

        It has no state of its own: the position is the buffer's, nothing waits for a flush, newlines stay as they are.
        """

    @property
    def closed(self) -> bool:
        """Whether it was closed or put back."""

    def read(self, size: int | None = -1, /) -> bytes: ...
    def read1(self, size: int | None = -1, /) -> bytes: ...
    def readline(self, size: int | None = -1, /) -> bytes: ...
    def readinto(self, target: WriteableBuffer, /) -> int: ...
    def seek(self, offset: int, whence: int = 0, /) -> int: ...
    def tell(self) -> int: ...
    def truncate(self, size: int | None = None, /) -> int: ...
    def flush(self) -> None: ...
    def readable(self) -> bool: ...
    def writable(self) -> bool: ...
    def seekable(self) -> bool: ...
    def close(self) -> None:
        """Refuse further use until reset(). The memory stays: who closes it (a dying TextIOWrapper) seldom owns it."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *exception: object) -> None: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> bytes: ...
    def __len__(self) -> int: ...
    def __bool__(self) -> Literal[True]: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def __release_buffer__(self, view: memoryview, /) -> None: ...

@final
class _BufferText:
    """A text file over a Buffer, as `Buffer.text` gives it."""

    buffer: Final[Buffer]
    closed: Final[bool]
    encoding: Final[str]
    def write(self, text: str, /) -> int:
        """Write text; return how many characters."""

    def writelines(self, lines: Iterable[str], /) -> None: ...
    def read(self, size: int | None = -1, /) -> str: ...
    def readline(self, size: int | None = -1, /) -> str: ...
    def flush(self) -> None: ...
    def readable(self) -> bool: ...
    def writable(self) -> bool: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> str: ...

class BufferPool:
    """Keep Buffers for reuse by the size of their memory.

    A get is served by the smallest idle buffer that is large enough, by size classes of powers of two. So that one huge
    response does not pin its memory, a buffer is dropped that at four puts in a row was more than eight times as large
    as what was asked for and written. Idle buffers age out as the items of a `Pool` do.

    Args:
        min_bytes: capacity of the smallest buffer that is kept, >= 1; rounded up to a power of two.
        max_bytes: of the largest, >= min_bytes; rounded up likewise. A buffer that grew beyond it is dropped at put.
        max_total: how many bytes of capacity may lie idle, >= 0; a buffer beyond that is dropped at put.
        name: for reports.
        check: as for `Pool`.

    Raises: TypeError for an argument of the wrong type; SettingsError for one out of range (a ValueError).

    *Threads:* any; each interpreter's pools are its own, and a forked child's are copies.
    *Cost:* a get and a put that hit allocate nothing.
    """

    def __new__(
        cls,
        min_bytes: int = 4096,
        max_bytes: int = 1048576,
        max_total: int = 67108864,
        *,
        name: str | None = None,
        check: bool | None = None,
    ) -> Self: ...
    @property
    def name(self) -> str | None: ...
    def get(self, nbytes: int, /) -> Buffer:
        """Return an empty Buffer whose capacity is nbytes (>= 0) or more; its memory is not zeroed."""

    def put(self, buffer: Buffer, /) -> None:
        """Take a buffer back, written, closed or grown. It refuses use from then on, kept or dropped.

        Raises: BufferError while it has live views; ValueError when it was put back already; TypeError when it is no
            Buffer. The pool stays as it was.
        """

    def lease(self, nbytes: int, /) -> Lease[Buffer]:
        """Borrow a buffer for a `with` or `async with` block."""

    def clear(self) -> None:
        """Drop every idle buffer."""

    def stats(self) -> BufferPoolStats: ...
    def _seal(self, buffer: Buffer, /) -> None:
        """Take a buffer as put() does, fill it with 0xDB and do not keep it (check mode)."""

    def _set_error(self, buffer: Buffer, make_error: Callable[[], Exception], /) -> None:
        """Have a use of a buffer that was put raise what `make_error` makes, until its next put (check mode)."""

    def _unseal(self, buffer: Buffer, /) -> bool:
        """Open a sealed buffer; tell whether it is still 0xDB all over (check mode)."""

def rotate() -> None:
    """Begin an epoch, as a full collection does."""

def set_timer(seconds: float, /) -> float:
    """Set how long an epoch may last, > 0 and <= 1e9 seconds; return what it was.

    Raises: TypeError or SettingsError.
    """

def _set_check(type: type[Any], default: bool, /) -> None:
    """Register the subclass that check mode makes in place of its base, and whether `check=None` asks for it."""
