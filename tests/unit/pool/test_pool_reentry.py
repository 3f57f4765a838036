"""Whatever the program does while a pool calls it, the pool stays whole."""

import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lowtide import _pool
from lowtide.pool import Pool


class Item:
    pass


@pytest.fixture(autouse=True)
def _nothing_ages() -> Iterator[None]:
    gc.disable()
    before = _pool.set_timer(1e9)
    yield
    _pool.set_timer(before)
    gc.enable()


def collect_twice(_: object) -> None:
    gc.collect()
    gc.collect()


def take_all(pool: Pool[Any]) -> None:
    while pool.stats().idle_items:
        pool.get()


def put_many(pool: Pool[Any]) -> None:
    for number in range(100):
        pool.put(number)


def rotate_often(_: object) -> None:
    for _ in range(3):
        _pool.rotate()


def make_pools(_: object) -> None:
    for pool in [Pool[int](check=False) for _ in range(20)]:
        pool.put(3)


# What a callback might do to the pool that is calling it.
DEEDS: dict[str, Callable[[Pool[Any]], object]] = {
    "clear": lambda pool: pool.clear(),
    "take all": take_all,
    "put many": put_many,
    "collect": collect_twice,
    "rotate": rotate_often,
    "make pools": make_pools,
}


class Calls:
    """Do a deed at the first call only, so that nothing runs away."""

    def __init__(self, deed: Callable[[Pool[Any]], object]) -> None:
        self.deed = deed
        self.pool: Pool[Any] | None = None

    def __call__(self) -> None:
        pool, self.pool = self.pool, None
        if pool is not None:
            self.deed(pool)


@pytest.fixture(params=DEEDS)
def calls(request: pytest.FixtureRequest) -> Calls:
    return Calls(DEEDS[request.param])


def is_whole(pool: Pool[Any]) -> bool:
    """Tell whether the counters agree with each other and with what can be taken out."""
    stats = pool.stats()
    drops = sum(stats[4:9])
    taken = [pool.get() for _ in range(stats.idle_items)]
    after = pool.stats()
    return (
        stats.puts == stats.hits + drops + stats.idle_items
        and None not in taken
        and (after.idle_items, after.idle_bytes) == (0, 0)
    )


def test_new_may_use_the_pool(calls: Calls) -> None:
    def new() -> Item:
        calls()
        return Item()

    calls.pool = pool = Pool(new, check=False)
    assert isinstance(pool.get(), Item)
    pool.put(Item())
    assert is_whole(pool)


def test_reset_may_use_the_pool(calls: Calls) -> None:
    pool: Pool[Any] = Pool(reset=lambda _: calls(), max_items=60, check=False)
    for number in range(10):
        pool.put(number)
    calls.pool = pool
    pool.put(Item())
    assert is_whole(pool)


def test_sizeof_may_use_the_pool(calls: Calls) -> None:
    def sizeof(_: object) -> int:
        calls()
        return 10

    pool: Pool[Any] = Pool(sizeof=sizeof, max_bytes=500, check=False)
    for number in range(10):
        pool.put(number)
    calls.pool = pool
    pool.put(Item())
    assert pool.stats().idle_bytes <= 500
    assert is_whole(pool)


@pytest.mark.parametrize("generation", ["items", "victim", "both"])
@pytest.mark.parametrize("end", ["clear", "age", "get", "put"])
def test_a_finalizer_of_a_dropped_item_may_use_the_pool(calls: Calls, generation: str, end: str) -> None:
    class Final:
        def __del__(self) -> None:
            calls()

    pool: Pool[Any] = Pool(check=False)
    if generation != "items":
        pool.put(Final())
        gc.collect()
    if generation != "victim":
        pool.put(Final())
    calls.pool = pool
    if end == "clear":
        pool.clear()
    elif end == "age":
        gc.collect()
        gc.collect()
    else:
        _pool.rotate()  # the pending call may come first, or the get or put
        _pool.rotate()
        pool.put(pool.get() or Item()) if end == "get" else pool.put(Item())
    assert is_whole(pool)


def test_a_finalizer_may_bring_its_item_back_into_the_pool() -> None:
    pool: Pool[Any] = Pool(check=False)

    class Phoenix:
        def __del__(self) -> None:
            pool.put(self)

    pool.put(Phoenix())
    pool.clear()
    assert isinstance(pool.get(), Phoenix)


def test_a_finalizer_that_raises_is_reported_and_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    monkeypatch.setattr("sys.unraisablehook", lambda report: seen.append(report.exc_type))

    class Bad:
        def __del__(self) -> None:
            raise KeyError("in __del__")

    pool: Pool[Bad] = Pool(check=False)
    pool.put(Bad())
    pool.put(Bad())
    pool.clear()
    assert seen == [KeyError, KeyError]
    assert is_whole(pool)


def test_collections_within_every_put_lose_nothing() -> None:
    """Each item drags garbage along whose collection starts anywhere inside the pool's own work."""
    pool: Pool[list[object]] = Pool(list[object], reset="clear", max_items=50, check=False)
    threshold = gc.get_threshold()
    gc.set_threshold(1, 1, 1)
    gc.enable()
    try:
        for _ in range(300):
            item = pool.get()
            cycle: list[object] = [item]
            cycle.append(cycle)
            item.append(cycle)
            pool.put(item)
            del cycle, item
    finally:
        gc.disable()
        gc.set_threshold(*threshold)
    assert is_whole(pool)


def test_a_pool_may_be_the_item_of_another_and_of_itself() -> None:
    pool: Pool[Any] = Pool(check=False)
    other: Pool[Any] = Pool(check=False)
    pool.put(pool)
    pool.put(other)
    other.put(pool)
    del other
    assert pool.get().get() is pool
    assert pool.get() is pool


def test_a_dying_pool_s_items_and_weak_references_may_start_collections() -> None:
    class Final:
        def __del__(self) -> None:
            _pool.rotate()
            gc.collect()

    class Sub(Pool[Any]):
        def __del__(self) -> None:
            _pool.rotate()
            gc.collect()

    for kind in (Pool, Sub):
        pool = kind(check=False)
        reference = weakref.ref(pool, rotate_often)
        pool.put(Final())
        gc.collect()
        pool.put(Final())
        del pool
        assert reference() is None


def test_new_that_never_stops_asking_its_own_pool_ends_in_a_recursion_error() -> None:
    def new() -> object:
        return pool.get()

    pool: Pool[Any] = Pool(new, check=False)
    with pytest.raises(RecursionError):
        pool.get()
