"""Check mode and references: an item that never comes back, and one that somebody still holds when it does."""

import gc
import weakref
from collections.abc import Generator
from typing import Any

import pytest

from lowtide import Pool
from lowtide.errors import PoolMisuseWarning
from lowtide.pool import check


class Item:
    def __init__(self) -> None:
        self.rows: list[object] = []
        self.owner: object = None

    def reset(self) -> None:
        self.rows.clear()
        self.owner = None

    def __len__(self) -> int:
        return len(self.rows)


def get_here(pool: Pool[Any]) -> Any:
    return pool.get()


def round_trip(pool: Pool[Any]) -> None:
    with pool.lease():
        pass
    item = pool.get()
    pool.put(item)


@pytest.fixture(autouse=True)
def _certain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drop nothing at random, so that each test tells one thing."""
    monkeypatch.setattr(check.settings, "drop", False)


@pytest.fixture
def pool() -> Pool[Item]:
    return Pool(Item, reset="reset", name="items", check=True)


# -- never put back ----------------------------------------------------------------------------------------------------


def test_an_item_that_ends_unreturned_is_told_with_where_it_was_got(pool: Pool[Item]) -> None:
    with pytest.warns(PoolMisuseWarning, match="never put back(.|\n)*in get_here") as warned:
        get_here(pool)

    assert warned[0].filename == __file__


def test_a_lease_that_is_never_left_is_told(pool: Pool[Item]) -> None:
    def forgotten() -> Generator[Item, None, None]:
        with pool.lease() as item:
            yield item

    generator = forgotten()
    next(generator)
    with pytest.warns(PoolMisuseWarning, match="never put back(.|\n)*in forgotten"):
        check.report_unreturned()
    generator.close()  # it comes back after all


def test_what_outlives_its_pool_is_not_told(recwarn: pytest.WarningsRecorder) -> None:
    pool = Pool(Item, check=True)
    kept = pool.get()
    del pool
    gc.collect()
    del kept

    assert not recwarn.list


def test_what_was_put_back_is_not_told(pool: Pool[Item], recwarn: pytest.WarningsRecorder) -> None:
    with pool.lease():
        pass
    pool.put(pool.get())
    check.report_unreturned()

    assert not recwarn.list


# -- references that outlive a put -------------------------------------------------------------------------------------


def test_what_refers_to_an_item_that_is_put_is_named(pool: Pool[Item]) -> None:
    class Handler:
        item: Item | None = None

    kept, handler = [], Handler()
    item = pool.get()
    kept.append(item)
    handler.item = item

    with pytest.warns(PoolMisuseWarning, match="a list") as warned:
        pool.put(item)

    (warning,) = warned
    assert "Handler" in str(warning.message)
    assert "what to do: " in str(warning.message)


def test_frames_of_the_calling_thread_may_refer_to_the_item(pool: Pool[Item]) -> None:
    def inner(item: Item) -> None:
        write = item.rows.append
        also = item
        pool.put(item)
        assert also is item
        del write

    def generator() -> Generator[None, None, None]:
        item = pool.get()
        yield
        inner(item)
        yield

    steps = generator()
    next(steps)
    next(steps)
    steps.close()


def test_frames_without_closures_are_no_different() -> None:
    for _ in range(3):
        round_trip(Pool(Item, reset="reset", check=True))


def test_a_suspended_generator_is_no_frame_of_the_calling_thread(pool: Pool[Item]) -> None:
    def generator(item: Item) -> Generator[None, None, None]:
        yield
        assert item

    item = pool.get()
    steps = generator(item)
    next(steps)

    with pytest.warns(PoolMisuseWarning, match="a generator still refers to it"):
        pool.put(item)
    steps.close()


def test_weak_references_are_fine(pool: Pool[Item]) -> None:
    item = pool.get()
    reference = weakref.ref(item)
    pool.put(item)

    assert reference() is item
