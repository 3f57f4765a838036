"""Every callable of Pool and Lease, called many times over: nothing stays behind."""

import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from lowtide import _pool
from lowtide.pool import Lease, Pool, PoolStats
from lowtide.pool.check import CheckedPool
from tests.leaks.growth import assert_leaves_nothing


class Item:
    pass


def fail(*_: object) -> Any:
    raise ValueError("as asked")


def no_size(_: object) -> Any:
    return "big"


shared: Pool[Any] = Pool(list, reset="clear", max_items=3, check=False)
wrong: Pool[Any] = Pool(fail, reset=fail, check=False)
unsized: Pool[Any] = Pool(sizeof=no_size, check=False)
empty: Pool[Any] = Pool(check=False)


def fill_and_drop() -> None:
    pool: Pool[Any] = Pool(Item, max_bytes=10_000, check=False)
    for _ in range(20):
        pool.put(Item())
    _pool.rotate()
    pool.put(pool)
    pool.put(pool.lease())


def fill_and_clear() -> None:
    for _ in range(20):
        shared.put([1])
    shared.clear()


def lease(pool: Pool[Any]) -> None:
    with pool.lease() as item:
        item.append(item)


def lease_async() -> None:
    async def work() -> None:
        async with shared.lease() as item:
            item.append(item)

    with contextlib.suppress(StopIteration):
        work().send(None)


# One entry per callable: what is right, then what is wrong about it.
ENTRIES: dict[str, list[Callable[[], object]]] = {
    "Pool": [
        fill_and_drop,
        lambda: Pool[int],
        lambda: Pool(max_items=-1),
        lambda: Pool(list, reset="not a name"),
        lambda: Pool(list, reset="clear", sizeof=len, name=3),  # type: ignore[call-overload] # wrong on purpose
    ],
    "Pool.get": [lambda: shared.put(shared.get()), wrong.get],
    "Pool.put": [lambda: shared.put(None), lambda: wrong.put(Item()), lambda: unsized.put(Item())],
    "Pool.lease": [lambda: lease(shared), lambda: lease(wrong), lambda: [shared.lease() for _ in range(100)]],
    "Pool.clear": [fill_and_clear],
    "Pool.stats": [shared.stats],
    "Lease": [lambda: Lease[int], Lease],
    "Lease.__enter__": [lambda: shared.lease().__enter__(), lambda: wrong.lease().__enter__()],
    "Lease.__exit__": [lambda: shared.lease().__exit__(None, None, None)],
    "Lease.__aenter__": [lease_async, lambda: shared.lease().__aenter__(), lambda: wrong.lease().__aenter__()],
    "Lease.__aexit__": [lambda: shared.lease().__aexit__(None, None, None)],
    "PoolStats": [lambda: PoolStats(*range(11)), PoolStats],  # type: ignore[list-item] # wrong on purpose
    "rotate": [_pool.rotate],
    "set_timer": [lambda: _pool.set_timer(_pool.set_timer(60)), lambda: _pool.set_timer(-1)],
    "_set_check": [lambda: _pool._set_check(CheckedPool, False), lambda: _pool._set_check(int, False)],  # noqa: FBT003 - takes no keyword
}
OF_OTHERS = ("Buffer", "_Buffer")


def callables() -> set[str]:
    names = {name for name, value in vars(_pool).items() if callable(value) and not name.startswith(("__", *OF_OTHERS))}
    methods = {
        f"{kind.__name__}.{name}"
        for kind in (Pool, Lease)
        for name in vars(kind)
        if not name.startswith("__") or name in {"__enter__", "__exit__", "__aenter__", "__aexit__"}
    }
    return names | methods - {"Pool.name"}


def test_every_callable_has_an_entry() -> None:
    assert set(ENTRIES) == callables()


@pytest.mark.parametrize(
    "call", [pytest.param(call, id=f"{name}-{n}") for name, calls in ENTRIES.items() for n, call in enumerate(calls)]
)
def test_calls_leave_nothing_behind(call: Callable[[], object]) -> None:
    assert_leaves_nothing(call)
