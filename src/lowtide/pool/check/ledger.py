"""What is lent and what waits, for one pool; and over all pools, whether an item is in somebody's hands."""

import atexit
import os
import random
import sys
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from lowtide._events import counting_begins, counting_ends
from lowtide.errors import PoolMisuseError
from lowtide.pool.check.poison import Nothing, Poison
from lowtide.pool.check.settings import settings
from lowtide.pool.check.traces import LEASE, Trace, capture

if TYPE_CHECKING:
    from lowtide.pool.check.fingerprint import Fingerprint

__tracebackhide__ = True  # pytest: see pools.py

NOT_WORTH_POOLING = (int, float, bool, str, bytes)
DROPPED_OF_PUT = 1 / 4


class Record:
    """An item in the eyes of check mode: lent (to one user) or idle (then it is held here)."""

    __slots__ = (
        "__weakref__",
        "_claims",
        "_lent",
        "_watch",
        "fresh",
        "idle",
        "is_dropped",
        "item",
        "poison",
        "size_bytes",
        "trace",
    )

    def __init__(self, pool_name: str | None, kind: type) -> None:
        self.trace = Trace(pool_name, kind)
        self.item: Any = None  # while it is idle
        self.fresh: Fingerprint | None = None  # of a new item after reset
        self.idle: Fingerprint | None = None  # as it was put
        self.poison: Poison = Nothing()
        self.size_bytes = 0
        self.is_dropped = False
        self._claims: list[None] = [None]
        self._lent: dict[int, Record] = {}
        self._watch: weakref.ref[Any] | None = None

    def claim(self) -> bool:
        """Take the right to put the item; False if it is taken. One thread of several gets it."""
        try:
            self._claims.pop()
        except IndexError:
            return False
        return True

    def lend(self, item: Any, lent: dict[int, "Record"]) -> None:
        """Put the record among those `lent`, until the item is put back or ends."""
        self.trace.got, self.trace.put = capture(), ()
        self._claims[:] = [None]
        self._lent = lent
        lent[id(item)] = _known[id(item)] = self
        key = id(item)

        def end(_: object) -> None:
            record = lent.pop(key, None)
            if record is not None and not sys.is_finalizing():
                _warn_unreturned(record)

        with suppress(TypeError):  # then its end shows when another one has its address
            self._watch = weakref.ref(item, end)

    def take_back(self, item: Any) -> None:
        """Take the record from among those lent."""
        self._watch = None
        self._lent.pop(id(item), None)
        self.trace.put = capture()
        _known[id(item)] = self

    def shelve(self, item: Any, shelf: dict[int, "Record"]) -> None:
        """Put the record among those of items that are kept elsewhere, until the item ends."""
        key = id(item)
        shelf[key] = self
        self._watch = weakref.ref(item, lambda _: shelf.pop(key, None))


# What is lent or idle, of all pools, by id. A pool holds the records of what it lent and of what is idle in it.
_known: weakref.WeakValueDictionary[int, Record] = weakref.WeakValueDictionary()
_ledgers: weakref.WeakSet["Ledger"] = weakref.WeakSet()


class Ledger:
    """The book of one pool; `max_bytes` bounds what waits in quarantine."""

    def __init__(self, pool_name: str | None, max_bytes: int) -> None:
        self.pool_name = pool_name
        self.lent: dict[int, Record] = {}
        self.waiting: deque[Record] = deque()
        self.waiting_bytes = 0
        self._max_bytes = max_bytes
        self._random = random.Random(f"{settings.seed}:{pool_name}")
        _ledgers.add(self)

    def lend(self, item: Any, record: Record | None = None) -> Record:
        """Note that an item is in somebody's hands."""
        record = record or Record(self.pool_name, type(item))
        lost = self.lent.pop(id(item), None)
        if lost is not None:
            _warn_unreturned(lost)
        if is_worth_pooling(item):
            record.lend(item, self.lent)
        return record

    def claim(self, item: Any) -> Record:
        """Take an item out of its user's hands.

        Raises: PoolMisuseError for one that nobody has, or that no pool should have.
        """
        record = _known.get(id(item))
        if record is None or not issubclass(type(item), record.trace.kind):  # a tombstone is a subclass
            record = Record(self.pool_name, type(item))  # made elsewhere, which the contract allows
        if not is_worth_pooling(item):
            record.trace.put = capture()
            raise record.trace.error(
                f"{item!r:.50} is not worth pooling: CPython shares such values, or makes them faster than a pool does",
                "pool what is expensive to make, or put the value into an object that is",
            )
        if not record.claim():
            raise record.trace.error("an item was put twice", LEASE, ("put again at", capture()))
        record.take_back(item)
        record.trace.pool_name = self.pool_name
        return record

    def give_back(self, item: Any, record: Record) -> None:
        """Undo a claim: the pool did not take the item."""
        record.trace.put = ()
        record.lend(item, self.lent)

    def wait(self, record: Record) -> Iterator[Record]:
        """Put an idle item into quarantine; yield those that waited long enough and are not to be forgotten."""
        record.is_dropped = settings.drop and self._random.random() < DROPPED_OF_PUT
        self.waiting.append(record)
        self.waiting_bytes += record.size_bytes
        while len(self.waiting) > settings.quarantine or self.waiting_bytes > self._max_bytes:
            try:
                oldest = self.waiting.popleft()
            except IndexError:  # another thread was faster
                break
            self.waiting_bytes -= oldest.size_bytes
            if not oldest.is_dropped:
                yield oldest

    def clear(self) -> int:
        """Forget what waits; tell how many."""
        count = len(self.waiting)
        self.waiting.clear()
        self.waiting_bytes = 0
        return count

    def __del__(self) -> None:
        self.lent.clear()  # there is nothing to put these back to


class _Mode:
    """Whether allocations are being counted exactly: pools work as in production meanwhile."""

    counting = False


mode = _Mode()


def is_worth_pooling(item: object) -> bool:
    return type(item) not in NOT_WORTH_POOLING and not (type(item) is tuple and not item)


def forget(item: object) -> None:
    """Have an item count as made elsewhere: the pool dropped it, and whoever put it has it still."""
    _known.pop(id(item), None)


def tombstone_used(pool_name: str | None, item: object, kind: type) -> PoolMisuseError:
    """Make the error for the use of an item whose class was replaced."""
    record = _known.get(id(item))
    trace = Trace(pool_name, kind) if record is None else record.trace
    return trace.used_after_put()


def report_unreturned() -> None:
    """Warn of every item that is lent at this moment, once."""
    for ledger in list(_ledgers):
        _warn_all(ledger)


def _warn_all(ledger: Ledger) -> None:
    while ledger.lent:
        _, record = ledger.lent.popitem()
        _warn_unreturned(record)


def _warn_unreturned(record: Record) -> None:
    record.trace.warn("an item was never put back", LEASE)


def _begin_count() -> None:
    mode.counting = True
    _forget_lent()  # what is put meanwhile is not noted


def _end_count() -> None:
    mode.counting = False


def _forget_lent() -> None:
    for ledger in list(_ledgers):
        ledger.lent.clear()


counting_begins.subscribe(_begin_count)
counting_ends.subscribe(_end_count)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_lent)  # what the parent lent is for it to report
atexit.register(report_unreturned)
