"""What making, and what reusing costs on this machine."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from timeit import Timer
from types import MappingProxyType
from typing import Any

from lowtide.pool import BufferPool, Pool
from lowtide.pool.constructors import Constructor

REPEATS = 5
REPEAT_SECONDS = 0.004
BUFFER_BYTES = 65536


class _Slots:
    __slots__ = ("x", "y")

    def __init__(self, x: int, y: int) -> None:
        self.x = x
        self.y = y


# What is cheap to make, by CPython's free lists or nearly so: made and used, and the same with a pool.
_SMALL: Mapping[str, tuple[str, str, Callable[[], Pool[Any]]]] = MappingProxyType(
    {
        "{}": (
            "item = {}; item[0] = 1",
            "item = get(); item[0] = 1; put(item)",
            lambda: Pool(dict, reset="clear", check=False),
        ),
        "[]": (
            "item = []; item.append(1)",
            "item = get(); item.append(1); put(item)",
            lambda: Pool(list, reset="clear", check=False),
        ),
        "object with __slots__": (
            "item = Slots(1, 2)",
            "item = get(); item.x = 1; item.y = 2; put(item)",
            lambda: Pool(lambda: _Slots(0, 0), check=False),
        ),
    }
)


@dataclass(frozen=True, slots=True)
class MakeCost:
    """What making one costs: `ns`, and the `bytes` it takes where it is called, None where they cannot be counted."""

    ns: float
    bytes: float | None


@dataclass(frozen=True, slots=True)
class Costs:
    """Nanoseconds, with two digits, as more would not repeat; the loop around is in all of them.

    Args:
        pool_ns: a get and a put of a `Pool`, without reset.
        buffer_pool_ns: a get and a put of a `BufferPool`.
        small_made_ns, small_reused_ns: what is hardly worth pooling, by what it is: made, filled and freed; or taken
            out of a pool, filled and put back to be cleared.
        block_ns: making and freeing a zeroed block that nobody writes to, by its size in bytes, powers of two.
        constructors: by name.
    """

    pool_ns: float
    buffer_pool_ns: float
    small_made_ns: Mapping[str, float]
    small_reused_ns: Mapping[str, float]
    block_ns: Mapping[int, float]
    constructors: Mapping[str, MakeCost]


def size_class(size_bytes: int) -> int:
    """Round a size to the power of two that is measured for it: the nearest, as a header goes beyond most of them."""
    return 1 << round(math.log2(max(size_bytes, 1)))


def figures(size_classes: Iterable[int], constructors: Iterable[Constructor]) -> int:
    """Count the figures that `measure` will take."""
    return 2 + 2 * len(_SMALL) + len({*size_classes}) + len([*constructors])


def measure(
    size_classes: Iterable[int],
    constructors: Iterable[Constructor],
    count_bytes: Callable[[Constructor, Callable[[], object]], float | None],
    done: Callable[[], object],
) -> Costs:
    """Measure what a profile calls for; each figure takes a few hundredths of a second.

    Args:
        size_classes: sizes of blocks in bytes.
        constructors: those that the profile shows.
        count_bytes: counts the bytes that the place takes which calls a constructor, None where that is not possible.
        done: called after each of the `figures()`.

    *Threads:* other threads' work shows in the figures.
    """

    def timed(code: str | Callable[[], object], setup: str = "pass", **names: object) -> float:
        took_ns = _least_ns(Timer(code, setup, globals=names))
        done()
        return round(took_ns, 1 - math.floor(math.log10(took_ns)))

    borrow, pools = "put(get())", "get, put = pool.get, pool.put"
    made: dict[str, MakeCost] = {}
    for known in constructors:
        make = known.make()
        made[known.name] = MakeCost(timed(make), count_bytes(known, make))
    return Costs(
        pool_ns=timed(borrow, pools, pool=Pool(object, check=False)),
        buffer_pool_ns=timed(f"put(get({BUFFER_BYTES}))", pools, pool=BufferPool(check=False)),
        small_made_ns={what: timed(made, "Slots = kind", kind=_Slots) for what, (made, _, _) in _SMALL.items()},
        small_reused_ns={what: timed(reused, pools, pool=make()) for what, (_, reused, make) in _SMALL.items()},
        block_ns={size: timed(f"bytearray({size})") for size in sorted({*size_classes})},
        constructors=made,
    )


def _least_ns(timer: Timer) -> float:
    """Return the least that a call took, in repeats of some milliseconds each."""
    calls = 1
    while (took := timer.timeit(calls)) < REPEAT_SECONDS:
        calls = min(calls * 10, math.ceil(calls * 1.2 * REPEAT_SECONDS / max(took, 1e-9)))
    return min(took, *timer.repeat(REPEATS, calls)) / calls * 1e9
