"""Whatever is done to a pool, it does what the slow model does, and neither loses nor keeps an object."""

import contextlib
import gc
import weakref
from collections.abc import Iterator

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lowtide import _pool
from lowtide.pool import Pool
from tests.models.pool import PoolModel


class Item:
    def __init__(self, size: object) -> None:
        self.size = size
        self.reset_fails = False
        self.resets = 0

    def restore(self) -> None:
        self.resets += 1
        if self.reset_fails:
            raise LookupError("reset fails")

    def sizeof(self) -> int:
        if self.size is None:
            raise LookupError("sizeof fails")
        return self.size  # type: ignore[return-value] # some lie


def raise_in_body() -> None:
    raise KeyError("body")


class PoolMachine(RuleBasedStateMachine):
    @initialize(
        max_items=st.none() | st.integers(0, 12),
        max_bytes=st.none() | st.integers(0, 200),
        is_reset=st.booleans(),
        is_sized=st.booleans(),
        is_named=st.booleans(),
    )
    def make(
        self, max_items: int | None, max_bytes: int | None, is_reset: bool, is_sized: bool, is_named: bool
    ) -> None:
        self.is_reset, self.is_sized = is_reset, is_sized or max_bytes is not None
        self.pool: Pool[Item] = Pool(
            reset=("restore" if is_named else Item.restore) if is_reset else None,
            max_items=max_items,
            max_bytes=max_bytes,
            sizeof=Item.sizeof if self.is_sized else None,
            check=False,
        )
        self.model: PoolModel[Item] = PoolModel(max_items, max_bytes)
        self.hands: list[Item] = []
        self.collections_left = 2
        self.made: weakref.WeakSet[Item] = weakref.WeakSet()

    @rule(size=st.integers(0, 80) | st.sampled_from([None, -1, 2.5, 2**70, True]))
    def new(self, size: object) -> None:
        item = Item(size)
        self.hands.append(item)
        self.made.add(item)

    @rule()
    def get(self) -> None:
        item, expected = self.pool.get(), self.model.get()
        assert item is expected
        if item is not None:
            assert all(item is not other for other in self.hands)
            self.hands.append(item)

    @precondition(lambda self: self.hands)
    @rule(data=st.data(), reset_fails=st.booleans())
    def put(self, data: st.DataObject, reset_fails: bool) -> None:
        item = self.hands.pop(data.draw(st.integers(0, len(self.hands) - 1)))
        item.reset_fails = reset_fails
        size = (item.size if item.size != 2**70 else -1) if self.is_sized else 0
        if self.model.put(item, reset_fails=reset_fails and self.is_reset, size=size):
            with pytest.raises((LookupError, TypeError, ValueError)):
                self.pool.put(item)
        else:
            self.pool.put(item)

    @rule(fails=st.booleans())
    def lease(self, fails: bool) -> None:
        if not self.model.idle:
            return
        item = self.model.get()
        assert item is not None
        item.reset_fails = False
        size = item.size if self.is_sized else 0
        with contextlib.suppress(KeyError), self.pool.lease() as leased:
            assert leased is item
            if fails:
                raise_in_body()
        assert self.model.put(item, reset_fails=False, size=size) is False

    @rule()
    def clear(self) -> None:
        self.pool.clear()
        self.model.clear()

    @precondition(lambda self: self.collections_left)
    @rule()
    def collect(self) -> None:
        self.collections_left -= 1  # each looks at all of the test suite's objects
        gc.collect()
        self.model.begin_epoch()

    @rule(times=st.integers(1, 3))
    def rotate(self, times: int) -> None:
        for _ in range(times):
            _pool.rotate()
            self.model.begin_epoch()

    @rule()
    def collect_young(self) -> None:
        gc.collect(0)

    @invariant()
    def agrees(self) -> None:
        assert tuple(self.pool.stats()) == self.model.stats()
        idle = {id(item) for item, _ in self.model.idle} | {id(item) for item in self.hands}
        assert {id(item) for item in self.made} == idle


@pytest.fixture(autouse=True)
def _collections_come_when_asked_for() -> Iterator[None]:
    gc.disable()
    before = _pool.set_timer(1e9)
    yield
    _pool.set_timer(before)
    gc.enable()


class TestPoolMachine(PoolMachine.TestCase):  # type: ignore[misc,valid-type] # Hypothesis makes the base at run time
    settings = settings(max_examples=50, stateful_step_count=30)
