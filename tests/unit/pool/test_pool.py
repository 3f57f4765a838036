"""The contract of a pool: Go's tests of sync.Pool, the bounds, reset, sizes, threads and bad input."""

import gc
import sys
import threading
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any

import pytest

import lowtide
from lowtide import _pool
from lowtide.errors import SettingsError
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


# -- Go's tests ------------------------------------------------------------------------------------------------------


def test_what_is_put_comes_back_and_is_gone_after_two_collections() -> None:
    pool: Pool[str] = Pool(check=False)
    assert pool.get() is None
    pool.put("a")
    pool.put("b")
    assert {pool.get(), pool.get()} == {"a", "b"}
    assert pool.get() is None

    for _ in range(100):
        pool.put("c")
    gc.collect()
    assert pool.get() == "c", "one collection makes victims, which are still there"
    gc.collect()
    assert pool.get() is None


def test_new_is_asked_when_nothing_is_idle() -> None:
    numbers = iter(range(1, 100))
    pool = Pool(lambda: next(numbers), check=False)

    assert pool.get() == 1
    assert pool.get() == 2
    pool.put(42)
    assert pool.get() == 42
    assert pool.get() == 3


@pytest.mark.parametrize("is_drained", [True, False], ids=["handed out again", "left idle"])
def test_a_pool_keeps_no_item_alive_that_it_should_not(is_drained: bool) -> None:
    pool: Pool[Item] = Pool(check=False)
    for _ in range(3):
        alive: weakref.WeakSet[Item] = weakref.WeakSet()
        for _ in range(100):
            item = Item()
            alive.add(item)
            pool.put(item)
        del item
        assert len(alive) == 100
        if is_drained:
            for _ in range(100):
                pool.get()
        else:
            gc.collect()
            gc.collect()
        assert len(alive) == 0


def in_threads(count: int, work: Callable[[], object]) -> None:
    """Run `work` in so many threads at once, with as many switches as there can be."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - told below
            errors.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=run) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert errors == []


@pytest.mark.parametrize(
    "rounds", [100_000, pytest.param(1_000_000, marks=[pytest.mark.slow, pytest.mark.timeout(600)])]
)
def test_ten_threads_never_hold_one_item_together(rounds: int) -> None:
    class Held:
        is_held = False

    pool = Pool(Held, max_items=4, check=False)

    def work() -> None:
        get, put = pool.get, pool.put
        for chunk in range(10):
            for _ in range(rounds // 10):
                item = get()
                assert not item.is_held
                item.is_held = True
                item.is_held = False
                put(item)
            if chunk % 2:
                gc.collect(0)
                _pool.rotate()

    in_threads(10, work)

    stats = pool.stats()
    assert stats.gets == stats.puts == 10 * rounds
    drops = stats.drops_full + stats.drops_aged
    assert stats.puts == stats.hits + drops + stats.idle_items


# -- the contract ----------------------------------------------------------------------------------------------------


def test_none_is_ignored() -> None:
    pool = Pool(Item, reset="no_such_method", check=False)
    pool.put(None)
    assert pool.stats() == (0,) * 11


def test_an_item_comes_back_reset() -> None:
    for reset in ("clear", list.clear, lambda items: items.clear()):
        pool = Pool(list[int], reset=reset, check=False)
        items = pool.get()
        items.append(7)
        pool.put(items)
        assert items == [], "reset runs at put"
        assert pool.get() is items


@pytest.mark.parametrize("reset", ["close", lambda item: item.close()])
def test_a_reset_that_raises_drops_the_item_and_surfaces(reset: Any) -> None:
    pool: Pool[Item] = Pool(Item, reset=reset, check=False)
    item = pool.get()
    with pytest.raises(AttributeError, match="close"):
        pool.put(item)
    assert pool.get() is not item
    assert pool.stats().drops_reset == 1


def test_a_full_pool_drops_what_is_put_without_resetting_it() -> None:
    pool = Pool(list[int], reset="clear", max_items=1, check=False)
    pool.put([])
    late = [1]
    pool.put(late)
    assert late == [1]
    assert (pool.stats().drops_full, pool.stats().idle_items) == (1, 1)


def test_victims_count_towards_the_bounds() -> None:
    pool: Pool[bytearray] = Pool(max_items=2, max_bytes=100, sizeof=len, check=False)
    pool.put(bytearray(60))
    gc.collect()
    pool.put(bytearray(60))
    assert pool.stats().drops_bytes == 1
    pool.put(bytearray(40))
    pool.put(bytearray(0))
    assert (pool.stats().drops_full, pool.stats().idle_bytes) == (1, 100)


def test_an_idle_item_keeps_the_size_it_was_put_with() -> None:
    item = bytearray(100)
    pool: Pool[bytearray] = Pool(max_bytes=1000, sizeof=len, check=False)
    pool.put(item)
    item.clear()
    assert pool.stats().idle_bytes == 100
    pool.get()
    assert pool.stats().idle_bytes == 0


def test_max_bytes_alone_counts_as_sys_getsizeof_does() -> None:
    item = bytearray(100)
    pool: Pool[bytearray] = Pool(max_bytes=1000, check=False)
    pool.put(item)
    assert pool.stats().idle_bytes == sys.getsizeof(item)


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (lambda: -1, SettingsError, r"sizeof must return 0 to \d+ bytes, got -1"),
        (lambda: 2**70, SettingsError, "got 1180591620717411303424"),
        (lambda: 1.5, TypeError, r"sizeof must return an int, bytes, got 1\.5"),
        (lambda: None, TypeError, "got None"),
        (lambda: 1 // 0, ZeroDivisionError, "zero"),
    ],
)
def test_a_sizeof_that_lies_leaves_the_pool_unharmed(
    answer: Callable[[], Any], error: type[Exception], words: str
) -> None:
    pool: Pool[Item] = Pool(sizeof=lambda _: answer(), check=False)
    item = Item()
    with pytest.raises(error, match=words):
        pool.put(item)
    stats = pool.stats()
    assert (stats.idle_items, stats.idle_bytes, stats.drops_bytes) == (0, 0, 1)
    dead = weakref.ref(item)
    del item
    assert dead() is None


def test_clear_drops_both_generations() -> None:
    pool: Pool[Item] = Pool(check=False)
    pool.put(Item())
    gc.collect()
    pool.put(Item())
    pool.clear()
    assert pool.get() is None
    assert pool.stats().drops_cleared == 2


def test_weak_references_see_items_and_pools_as_they_live() -> None:
    pool = Pool(Item, check=False)
    of_pool = weakref.ref(pool)
    item = pool.get()
    of_item = weakref.ref(item)
    pool.put(item)
    del item
    assert of_item() is not None
    pool.clear()
    assert of_item() is None
    del pool
    assert of_pool() is None


def test_a_pool_in_a_cycle_of_its_own_items_is_collected() -> None:
    class Cyclic:
        pool: "Pool[Cyclic]"

        def restore(self) -> None:
            pass

    pool: Pool[Cyclic] = Pool(reset=Cyclic.restore, check=False)
    item = Cyclic()
    item.pool = pool
    pool.put(item)
    pool.put(pool.lease())  # type: ignore[arg-type] # a lease that holds its own pool
    dead = weakref.ref(pool)
    del pool, item
    gc.collect()
    assert dead() is None


@pytest.mark.parametrize("make", [Pool, BufferPool])
def test_a_pool_in_a_cycle_through_its_name_is_collected(make: Callable[..., Any]) -> None:
    class Name(str):
        pool: object

    name = Name("responses")
    name.pool = pool = make(name=name, check=False)
    dead = weakref.ref(pool)
    del name, pool
    gc.collect()
    assert dead() is None


def test_a_pool_is_generic_and_says_what_it_is() -> None:
    assert lowtide.Pool is Pool
    assert repr(Pool[int]) == "lowtide.Pool[int]"
    assert repr(Pool(name="responses", check=False)) == "<lowtide.Pool 'responses': 0 idle>"
    assert Pool(name="responses", check=False).name == "responses"


def test_a_subclass_may_take_its_own_arguments() -> None:
    class Named(Pool[list[int]]):
        def __init__(self, *_: object, extra: int = 0, **__: object) -> None:
            self.extra = extra

        def __new__(cls, *, extra: int = 0) -> "Named":
            return super().__new__(cls, list, reset="clear", name=f"number {extra}", check=False)

    pool = Named(extra=3)
    assert (pool.name, pool.extra, pool.get()) == ("number 3", 3, [])


# -- no cost ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [{}, {"reset": "clear"}, {"reset": list.clear, "max_items": 4}])
def test_get_and_put_allocate_nothing(arguments: dict[str, Any]) -> None:
    pool: Pool[list[int]] = Pool(list, check=False, **arguments)

    def peak_bytes(rounds: int) -> int:
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        for _ in repeat(None, rounds):
            pool.put(pool.get())
        return tracemalloc.get_traced_memory()[1] - before

    tracemalloc.start()
    try:
        peak_bytes(100)  # the interpreter's caches fill
        assert peak_bytes(1000) == peak_bytes(0)
    finally:
        tracemalloc.stop()


# -- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"max_items": -1}, SettingsError, "max_items must be >= 0, got -1"),
        ({"max_items": -(2**80)}, SettingsError, f"max_items must be >= 0, got {-(2**80)}"),
        ({"max_bytes": -5}, SettingsError, "max_bytes must be >= 0, got -5"),
        ({"max_items": "many"}, TypeError, "max_items must be an int or None, got 'many'"),
        ({"max_bytes": 1.5}, TypeError, "max_bytes must be an int or None, got 1.5"),
        ({"max_items": True}, TypeError, "max_items must be an int or None, got True"),
        ({"reset": 3}, TypeError, "reset must be callable, the name of a method or None, got 3"),
        ({"reset": "not a name"}, SettingsError, "reset must be the name of a method, got 'not a name'"),
        ({"reset": ""}, SettingsError, "reset must be the name of a method, got ''"),
        ({"new": []}, TypeError, "new must be callable or None, got []"),
        ({"sizeof": 8}, TypeError, "sizeof must be callable or None, got 8"),
        ({"name": b"x"}, TypeError, "name must be a str or None, got b'x'"),
    ],
)
def test_bad_settings_are_named(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        Pool(**arguments, check=False)
    assert str(caught.value) == message


def test_settings_past_all_bounds_are_no_bound() -> None:
    pool: Pool[bytes] = Pool(max_items=2**80, max_bytes=2**80, check=False)
    pool.put(b"x")
    assert pool.get() == b"x"


def test_new_must_return_an_item() -> None:
    pool = Pool(lambda: None, name="empty", check=False)
    with pytest.raises(TypeError, match="new must return an item, got None"):
        pool.get()
    pool.put(7)  # type: ignore[arg-type] # what the pool is of is a matter of opinion here
    assert pool.get() == 7, "the pool is unharmed"


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), 1e10])
def test_the_timer_refuses_what_is_no_time(seconds: float) -> None:
    with pytest.raises(SettingsError, match="seconds must be > 0 and <= 1e9, got "):
        _pool.set_timer(seconds)
