"""A lease gives its item back however its block ends, and never twice."""

import asyncio
import contextlib
import gc
import sys
import weakref
from collections.abc import Generator, Iterator
from typing import Any

import pytest

from lowtide import _pool
from lowtide.pool import Lease, Pool


@pytest.fixture(autouse=True)
def _nothing_ages() -> Iterator[None]:
    gc.disable()
    before = _pool.set_timer(1e9)
    yield
    _pool.set_timer(before)
    gc.enable()


class Item:
    pass


@pytest.fixture
def pool() -> Pool[Item]:
    return Pool(Item, check=False)


def test_the_item_is_ours_in_the_block_and_idle_after_it(pool: Pool[Item]) -> None:
    with pool.lease() as item:
        assert pool.stats().idle_items == 0
    assert pool.get() is item


def test_an_exception_in_the_block_passes_and_the_item_goes_back_reset() -> None:
    pool = Pool(list[int], reset="clear", check=False)
    with pytest.raises(KeyError, match="body"), pool.lease() as items:  # noqa: PT012 - the block is the point
        items.append(7)
        raise KeyError("body")
    assert pool.get() is items
    assert items == []


def test_a_reset_that_raises_surfaces_from_the_block_chained_to_its_exception() -> None:
    pool = Pool(Item, reset="close", check=False)
    with pytest.raises(AttributeError, match="close") as caught, pool.lease():
        raise KeyError("body")
    assert isinstance(caught.value.__context__, KeyError)
    assert pool.stats().drops_reset == 1
    assert pool.stats().idle_items == 0


def test_a_new_that_raises_surfaces_and_the_lease_can_try_again() -> None:
    answers: list[Any] = [ZeroDivisionError, Item]

    def new() -> Item:
        answer = answers.pop(0)()
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, Item)
        return answer

    lease = Pool(new, check=False).lease()
    with pytest.raises(ZeroDivisionError), lease:
        pass
    with lease as item:
        assert isinstance(item, Item)


def test_a_lease_is_entered_and_left_once(pool: Pool[Item]) -> None:
    lease = pool.lease()
    with pytest.raises(RuntimeError, match="not entered"):
        lease.__exit__(None, None, None)
    with lease, pytest.raises(RuntimeError, match="entered once"), lease:
        pass
    with pytest.raises(RuntimeError, match="left before"):
        lease.__exit__(None, None, None)
    with pytest.raises(RuntimeError, match=r"call lease\(\) again"), lease:
        pass
    assert pool.stats().puts == 1


def test_leases_come_from_pools_only() -> None:
    with pytest.raises(TypeError, match="cannot create"):
        Lease()
    assert repr(Lease[int]) == "lowtide.pool.Lease[int]"


def test_the_item_of_a_lease_that_dies_in_its_block_is_dropped(pool: Pool[Item]) -> None:
    lease = pool.lease()
    alive = weakref.ref(lease.__enter__())
    assert alive() is not None
    del lease
    assert alive() is None
    assert pool.stats().idle_items == 0


def test_a_generator_that_is_closed_in_the_block_gives_its_item_back(pool: Pool[Item]) -> None:
    def work() -> Generator[None]:
        with pool.lease():
            yield

    generator = work()
    next(generator)
    generator.close()
    assert pool.stats().idle_items == 1


def test_a_pool_lives_as_long_as_its_leases(pool: Pool[Item]) -> None:
    lease = Pool(Item, check=False).lease()
    gc.collect()
    with lease as item:
        assert isinstance(item, Item)


def test_many_leases_at_once_each_have_their_own_item(pool: Pool[Item]) -> None:
    with contextlib.ExitStack() as stack:
        items = [stack.enter_context(pool.lease()) for _ in range(200)]
        assert len({id(item) for item in items}) == 200
    assert pool.stats().idle_items == 200


def test_subclasses_are_asked_by_their_own_get_and_put() -> None:
    calls: list[str] = []

    class Loud(Pool[Item]):
        def get(self) -> Item:
            calls.append("get")
            return super().get()

        def put(self, item: Item | None, /) -> None:
            calls.append("put")
            super().put(item)

    with Loud(Item, check=False).lease():
        pass
    assert calls == ["get", "put"]


def test_leases_reuse_their_memory(pool: Pool[Item]) -> None:
    with pool.lease():
        pass
    before = sys.getallocatedblocks()
    for _ in (None,) * 1000:
        with pool.lease():
            pass
    assert sys.getallocatedblocks() - before < 10


# -- async -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("item", [Item(), (1, 2), (), ValueError("a value"), StopIteration(3), [1], None, "text"])
def test_async_with_gives_the_item_as_it_is(item: object) -> None:
    pool: Pool[object] = Pool(check=False)
    pool.put(item)

    async def work() -> object:
        async with pool.lease() as leased:
            return leased

    assert asyncio.run(work()) is item
    assert pool.get() is item


def test_async_with_never_gives_the_loop_a_turn(pool: Pool[Item]) -> None:
    async def work() -> str:
        async with pool.lease():
            pass
        return "done"

    coroutine = work()
    with pytest.raises(StopIteration) as stop:
        coroutine.send(None)
    assert stop.value.value == "done"


def test_a_cancelled_task_gives_its_item_back_once(pool: Pool[Item]) -> None:
    async def work() -> None:
        async with pool.lease():
            await asyncio.sleep(3600)

    async def main() -> None:
        tasks = [asyncio.create_task(work()) for _ in range(20)]
        for number, task in enumerate(tasks):
            if number % 2:
                await asyncio.sleep(0)  # half are cancelled in their block, half before it
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results)

    asyncio.run(main())
    stats = pool.stats()
    assert stats.gets == stats.puts == stats.idle_items + stats.hits
    assert len({id(pool.get()) for _ in range(stats.idle_items)}) == stats.idle_items


def test_a_timeout_in_the_block_surfaces_and_the_item_goes_back(pool: Pool[Item]) -> None:
    async def work() -> None:
        async with asyncio.timeout(0.001), pool.lease():
            await asyncio.sleep(3600)

    with pytest.raises(TimeoutError):
        asyncio.run(work())
    assert pool.stats().idle_items == 1


def test_errors_of_an_async_block_surface_as_in_a_plain_one() -> None:
    pool = Pool(Item, reset="close", check=False)

    async def work() -> None:
        async with pool.lease():
            raise KeyError("body")

    with pytest.raises(AttributeError, match="close") as caught:
        asyncio.run(work())
    assert isinstance(caught.value.__context__, KeyError)


def test_awaiting_a_lease_itself_is_told_apart(pool: Pool[Item]) -> None:
    async def work() -> None:
        await pool.lease()  # type: ignore[misc] # the point

    with pytest.raises(RuntimeError, match=r"write `async with pool\.lease\(\)`"):
        asyncio.run(work())
