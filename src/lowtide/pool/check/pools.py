"""Pool and BufferPool in check mode."""

import operator
import sys
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeVar, cast

from lowtide._pool import Buffer, BufferPool, BufferPoolStats, Lease, Pool, PoolStats
from lowtide.pool.check.fingerprint import Fingerprint, is_memory
from lowtide.pool.check.ledger import Ledger, Record, forget, mode, tombstone_used
from lowtide.pool.check.poison import Nothing, Poisoner
from lowtide.pool.check.referrers import outliving
from lowtide.pool.check.settings import settings
from lowtide.pool.check.traces import LET_GO, Trace

__tracebackhide__ = True  # pytest shows the line of the test then, and not ours below it

T = TypeVar("T")
Stats = TypeVar("Stats", PoolStats, BufferPoolStats)


class CheckedPool(Pool[T]):
    """A Pool that reports misuse. Idle in it are records that hold the items.

    *Cost:* tens of microseconds a get and put, and a walk over all objects at the first puts of each line.
    """

    _production: Pool[T]
    _reset: Callable[[T], object] | str | None
    _sizeof: Callable[[T], int] | None
    _ledger: Ledger
    _poisoner: Poisoner
    _own: dict[str, int]
    _is_told: bool  # that it has no reset, though its items change

    def __new__(
        cls,
        new: Any = None,
        *,
        reset: Any = None,
        max_items: int | None = None,
        max_bytes: int | None = None,
        sizeof: Any = None,
        name: str | None = None,
        check: bool | None = None,  # noqa: ARG004  # it led here
    ) -> "CheckedPool[T]":
        """Make the pool; a production pool judges the arguments, and is in use while allocations are counted."""
        bounds: dict[str, Any] = {"max_items": max_items, "max_bytes": max_bytes, "name": name}
        production: Pool[T] = Pool(new, reset=reset, sizeof=sizeof, check=False, **bounds)
        is_weighed = sizeof is not None or max_bytes is not None
        self = cast(
            "CheckedPool[T]",
            super().__new__(cls, new, sizeof=operator.attrgetter("size_bytes") if is_weighed else None, **bounds),
        )
        self._production = production
        self._reset = reset
        self._sizeof = sys.getsizeof if is_weighed and sizeof is None else sizeof
        self._ledger = Ledger(name, sys.maxsize if max_bytes is None else max_bytes)
        self._poisoner = Poisoner(partial(tombstone_used, name))
        self._own = {"puts": 0, "drops_bytes": 0, "drops_reset": 0, "drops_cleared": 0}
        self._is_told = False
        return self

    def get(self) -> T:
        """Take an item out of the pool, or make one; see Pool.

        Raises: PoolMisuseError when the item was changed while it was idle.
        """
        if mode.counting:
            return self._production.get()
        found: Any = super().get()
        if type(found) is Record:
            return cast("T", self._reuse(found))
        if found is not None:
            record = Record(self.name, type(found))
            if settings.dirty and (self._reset is not None or not is_memory(found)):
                self._restore(found, record)
                record.fresh = Fingerprint(found)
            self._ledger.lend(found, record)
        return cast("T", found)

    def put(self, item: T | None, /) -> None:
        """Reset an item and hand it to the pool; see Pool.

        Raises: PoolMisuseError for a second put, an item that reset left dirty, and one that is not worth pooling.
        """
        if mode.counting:
            self._production.put(item)
            return
        if item is None:
            return
        record = self._ledger.claim(item)
        self._own["puts"] += 1
        referrers = outliving(item, record.trace.put[0])
        try:
            self._restore(item, record)
            record.idle = Fingerprint(item, like=record.fresh)
            if record.fresh is not None and settings.dirty:
                self._judge(record.trace, record.fresh.difference(record.idle))
            record.poison = self._poisoner.poison(item, record.trace)
        except BaseException:
            forget(item)  # it is its user's still, who may put it again
            raise
        record.item = item
        for ready in self._ledger.wait(record):
            super().put(cast("T", ready))
        if referrers:
            record.trace.warn(f"an item is put, but {' and '.join(referrers)} still refers to it", LET_GO)

    def _judge(self, trace: Trace, changes: str) -> None:
        if changes and self._reset is not None:
            raise trace.error(
                f"reset left an item dirty: when it was new, and now\n{changes}",
                "let reset restore all of it, or else the next user gets what this one left",
            )
        if changes and not self._is_told:
            self._is_told = True
            trace.warn(
                f"the pool has no reset, and an item is put back changed: when it was new, and now\n{changes}",
                "give the pool a reset, or else the next user gets what this one left",
            )

    def clear(self) -> None:
        """Drop every idle item."""
        super().clear()
        self._production.clear()
        self._own["drops_cleared"] += self._ledger.clear()

    def stats(self) -> PoolStats:
        """Count as Pool does. What waits in quarantine is idle; what is dropped at random is in no column of drops."""
        return _sum(super().stats(), self._production.stats(), self._own, self._ledger)

    def _reuse(self, record: Record) -> Any:
        item, record.item = record.item, None
        is_intact = record.poison.undo(item)
        record.poison = Nothing()
        changes = record.idle.difference(Fingerprint(item, like=record.idle)) if record.idle else ""
        if changes or not is_intact:
            raise record.trace.error(
                f"an item was changed after it was put: as it was put, and now\n{changes or '  its memory'}", LET_GO
            )
        self._ledger.lend(item, record)
        return item

    def _restore(self, item: Any, record: Record) -> None:
        """Reset and weigh an item as production does, errors included."""
        pool: Pool[Any] = Pool(reset=self._reset, sizeof=self._sizeof, check=False)
        try:
            pool.put(item)
            record.size_bytes = pool.stats().idle_bytes
        except BaseException:
            self._own["drops_reset"] += pool.stats().drops_reset
            self._own["drops_bytes"] += pool.stats().drops_bytes
            raise


class CheckedBufferPool(BufferPool):
    """A BufferPool that reports misuse.

    *Cost:* tens of microseconds a get and put, and filling each buffer.
    """

    _production: BufferPool
    _ledger: Ledger
    _shelf: dict[int, Record]  # of the buffers that the pool itself keeps
    _own: dict[str, int]

    def __new__(
        cls,
        min_bytes: int = 4096,
        max_bytes: int = 1 << 20,
        max_total: int = 64 << 20,
        *,
        name: str | None = None,
        check: bool | None = None,  # noqa: ARG004  # it led here
    ) -> "CheckedBufferPool":
        """Make the pool, and one for production, which is in use while allocations are counted."""
        self = super().__new__(cls, min_bytes, max_bytes, max_total, name=name)
        self._production = BufferPool(min_bytes, max_bytes, max_total, name=name, check=False)
        self._ledger = Ledger(name, max_total)
        self._shelf = {}
        self._own = {"puts": 0, "drops_cleared": 0}
        return self

    def get(self, nbytes: int, /) -> Buffer:
        """Return an empty Buffer whose capacity is nbytes or more; see BufferPool."""
        if mode.counting:
            return self._production.get(nbytes)
        buffer = super().get(nbytes)
        self._ledger.lend(buffer, self._shelf.pop(id(buffer), None))
        return buffer

    def lease(self, nbytes: int, /) -> Lease[Buffer]:
        """Lend a buffer for a `with` block; see BufferPool."""
        # A lease of a subclass calls its get, with an int that is made for it: a block that production does not have.
        return self._production.lease(nbytes) if mode.counting else super().lease(nbytes)

    def put(self, buffer: Buffer, /) -> None:
        """Take a buffer back; see BufferPool.

        Raises: PoolMisuseError for a second put.
        """
        if mode.counting or type(buffer) is not Buffer:
            self._production.put(buffer)
            return
        record = self._ledger.claim(buffer)
        try:
            self._seal(buffer)
        except BufferError:
            self._ledger.give_back(buffer, record)
            raise
        self._set_error(buffer, record.trace.used_after_put)
        self._own["puts"] += 1
        referrers = outliving(buffer, record.trace.put[0])
        record.item, record.size_bytes = buffer, buffer.capacity
        for ready in self._ledger.wait(record):
            self._keep(ready)
        if referrers:
            record.trace.warn(f"a buffer is put, but {' and '.join(referrers)} still refers to it", LET_GO)

    def clear(self) -> None:
        """Drop all idle buffers."""
        super().clear()
        self._production.clear()
        self._own["drops_cleared"] += self._ledger.clear()

    def stats(self) -> BufferPoolStats:
        """Count as BufferPool does. What waits in quarantine is idle; what is dropped at random is in no column."""
        return _sum(super().stats(), self._production.stats(), self._own, self._ledger)

    def _keep(self, record: Record) -> None:
        buffer, record.item = record.item, None
        is_intact = self._unseal(buffer)
        super().put(buffer)
        self._set_error(buffer, record.trace.used_after_put)
        record.shelve(buffer, self._shelf)
        if not is_intact:
            record.trace.warn("the memory of a buffer was written after it was put", LET_GO)


def _sum(checked: Stats, production: Stats, own: dict[str, int], ledger: Ledger) -> Stats:
    names = checked.__match_args__
    counts = {name: mine + other for name, mine, other in zip(names, checked, production, strict=True)}
    counts["puts"] = production.puts  # a put of the checked pool is counted where it begins, not at quarantine's end
    for name, count in own.items():
        counts[name] += count
    counts["idle_items"] += len(ledger.waiting)
    counts["idle_bytes"] += ledger.waiting_bytes
    make: Callable[[Iterable[int]], Stats] = type(checked)  # a struct sequence
    return make(counts.values())
