"""When idle items go: full collections, the timer, memory pressure; and what that may cost."""

import gc
import sys
import threading
import time
import tracemalloc
import weakref
from collections.abc import Iterator
from itertools import repeat

import pytest

from lowtide import _pool
from lowtide._events import memory_pressure
from lowtide.pool import BufferPool, Pool


class Item:
    pass


@pytest.fixture(autouse=True)
def _collections_come_when_asked_for() -> Iterator[None]:
    gc.disable()
    before = _pool.set_timer(1e9)
    yield
    _pool.set_timer(before)
    gc.enable()


def filled(count: int = 3) -> "tuple[Pool[Item], weakref.WeakSet[Item]]":
    pool: Pool[Item] = Pool(check=False)
    items = [Item() for _ in range(count)]
    for item in items:
        pool.put(item)
    return pool, weakref.WeakSet(items)


def test_an_idle_pool_is_empty_after_two_full_collections_without_being_touched() -> None:
    pool, alive = filled()
    gc.collect()
    assert len(alive) == 3
    gc.collect()
    assert len(alive) == 0
    del pool


def test_young_collections_age_nothing() -> None:
    pool, alive = filled()
    for generation in (0, 1, 0, 1):
        gc.collect(generation)
    assert len(alive) == 3
    del pool


def test_memory_pressure_ages_as_a_collection_does() -> None:
    pool, alive = filled()
    memory_pressure.publish()
    memory_pressure.publish()
    assert len(alive) == 0
    del pool


@pytest.mark.parametrize("where", ["young collection", "miss", "buffer pool's miss", "sixteen hits"])
def test_the_timer_runs_out_where_the_clock_is_read(where: str) -> None:
    pool, alive = filled()
    busy: Pool[Item] = Pool(check=False)
    for _ in range(2):
        _pool.set_timer(1e-3)
        time.sleep(0.02)  # longer than the period and the coarse clock's step
        if where == "young collection":
            gc.collect(0)
        elif where == "miss":
            busy.get()
        elif where == "buffer pool's miss":
            BufferPool(check=False).get(1)
        else:
            busy.put(Item())
            for _ in range(16):
                busy.put(busy.get())
        _pool.set_timer(1e9)
    assert len(alive) == 0
    del pool


def test_a_pool_behind_by_several_epochs_catches_up_at_its_next_get() -> None:
    """A second thread keeps the main one, whose pending call would be first, waiting."""
    pool, alive = filled()
    seen: list[object] = []

    def work() -> None:
        for _ in range(5):
            _pool.rotate()
        seen.extend((pool.get(), len(alive)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [None, 0]


def test_items_are_destroyed_outside_the_collector() -> None:
    phases: list[str] = []
    current = ["none"]

    class Watched:
        def __del__(self) -> None:
            phases.append(current[0])

    def watch(phase: str, _: object) -> None:
        current[0] = "collecting" if phase == "start" else "none"

    pool: Pool[Watched] = Pool(check=False)
    pool.put(Watched())
    gc.callbacks.insert(0, watch)
    try:
        gc.collect()
        gc.collect()
    finally:
        gc.callbacks.remove(watch)
    assert phases == ["none"]


def test_ageing_a_pool_in_use_allocates_nothing() -> None:
    pool: Pool[Item] = Pool(check=False)
    items = [Item() for _ in range(20)]

    def epoch() -> None:
        for item in items:
            pool.put(item)
        _pool.rotate()
        for _ in repeat(None, 20):
            pool.get()
        for item in items:
            pool.put(item)
        pool.get()

    def peak_bytes(rounds: int) -> int:
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        for _ in repeat(None, rounds):
            epoch()
        return tracemalloc.get_traced_memory()[1] - before

    tracemalloc.start()
    try:
        peak_bytes(10)
        assert peak_bytes(1) == peak_bytes(50)
    finally:
        tracemalloc.stop()


def test_an_idle_pool_gives_its_arrays_back() -> None:
    pool: Pool[int] = Pool(check=False)
    before = sys.getallocatedblocks()
    for _ in repeat(None, 1000):
        pool.put(7)
    assert sys.getallocatedblocks() > before - 10
    tracemalloc.start()
    try:
        for _ in repeat(None, 1000):
            pool.put(7)
        assert tracemalloc.get_traced_memory()[0] > 16_000
        gc.collect()
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < 8_000
    finally:
        tracemalloc.stop()


def test_a_pool_in_use_gives_the_arrays_of_a_peak_back() -> None:
    pool: Pool[int] = Pool(check=False)
    tracemalloc.start()
    try:
        for _ in repeat(None, 100_000):
            pool.put(7)
        for _ in range(4):
            pool.put(7)
            _pool.rotate()
        assert tracemalloc.get_traced_memory()[0] < 8_000
    finally:
        tracemalloc.stop()


def test_thousands_of_pools_age_in_one_step() -> None:
    pools = [Pool(check=False) for _ in range(2000)]
    for pool in pools:
        pool.put(7)
    for _ in range(2):
        _pool.rotate()
    assert sum(pool.stats().idle_items for pool in pools) == 0


def test_pools_that_die_while_pools_are_visited_do_no_harm() -> None:
    pools: list[Pool[object]] = [Pool(check=False) for _ in range(50)]

    class Bomb:
        def __del__(self) -> None:
            pools.clear()
            pools.extend(Pool(check=False) for _ in range(10))

    for pool in list(pools):
        pool.put(Bomb())
    del pool
    for _ in range(3):
        gc.collect()
    assert [pool.stats().idle_items for pool in pools] == [0] * len(pools)
    assert pools


def test_the_collector_has_one_callback_of_ours() -> None:
    pools = [Pool(check=False) for _ in range(3)]
    assert sum(getattr(callback, "__module__", "") == "lowtide._pool" for callback in gc.callbacks) == 1
    assert pools


@pytest.mark.parametrize(
    "arguments", [(), ("start",), (1, 2), ("start", {}), ("start", {"generation": "2"}), ("stop", {})]
)
def test_the_callback_takes_whatever_it_is_given(arguments: tuple[object, ...]) -> None:
    Pool(check=False)
    (callback,) = (callback for callback in gc.callbacks if getattr(callback, "__module__", "") == "lowtide._pool")
    assert callback(*arguments) is None  # type: ignore[arg-type] # the point
