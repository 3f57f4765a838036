"""Programs whose every block is counted: what Python code does to its allocators, one habit each.

`at(n, site_n)` marks a call site for the truth; the profile knows it by the function's name. A site's own variables
must not be cells: CPython makes those before the function's frame counts as entered.
"""

import array
import asyncio
import contextlib
import copy
import dataclasses
import decimal
import enum
import fractions
import functools
import gc
import hashlib
import importlib
import io
import itertools
import json
import os
import pickle
import re
import struct
import sys
import threading
import traceback
import weakref
import zlib
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from lowtide import _core
from tests.oracle import allocation_driver as driver
from tests.oracle.allocator_truth import at, unseen

Work = Callable[[], object]


def lists() -> object:
    def site_1() -> list[object]:
        grown: list[object] = []
        for _ in range(1000):
            grown.append(None)  # noqa: PERF401 - growing step by step is the point
        return grown

    def site_2() -> list[object]:
        return [None] * 100_000

    grown, large = at(1, site_1), at(2, site_2)
    return grown, large[:5000], grown + [0] * 77, sorted(range(3000), key=lambda n: -n), [*grown, *large[:9]]


def dictionaries_and_sets() -> object:
    def site_1() -> dict[int, str]:
        return {n: str(n) for n in range(2000)}

    def site_2() -> set[str]:
        return {str(n) for n in range(3000)}

    numbers, texts = at(1, site_1), at(2, site_2)
    for n in range(0, 2000, 3):
        del numbers[n]
    numbers.update({-n: "x" for n in range(500)})
    return numbers, texts | {"a"}, frozenset(texts), Counter("mississippi" * 9), OrderedDict(a=1), defaultdict(list)


def bytes_and_strings() -> object:
    def site_1() -> list[bytes]:
        return [bytes(n * 7) for n in range(600)]

    def site_2() -> str:
        text = ""
        for n in range(500):
            text += f"{n}, "
        return text

    blocks, text = at(1, site_1), at(2, site_2)
    buffer = bytearray()
    for block in blocks:
        buffer += block[:50]
    del buffer[1000:]
    return blocks, text.split(","), text.encode("utf-16"), "".join(reversed(text)), "\u20ac\U0001f40d" * 999, buffer


def big_integers() -> object:
    def site_1() -> list[int]:
        return [3**n for n in range(0, 4000, 13)]

    powers = at(1, site_1)
    return sum(powers), powers[-1] // powers[9], str(powers[40]), [float(n) for n in range(500)], 1 << 100_000


def exceptions() -> object:
    def fail(depth: int) -> None:
        if depth == 0:
            raise ValueError("x" * 700)
        try:
            fail(depth - 1)
        except ValueError as error:
            raise KeyError(depth) from error

    texts = []
    for depth in range(12):
        try:
            fail(depth)
        except (KeyError, ValueError):
            texts.append(traceback.format_exc())
    with contextlib.suppress(MemoryError):
        bytes(sys.maxsize - 100)
    return texts


def json_there_and_back() -> object:
    def site_1() -> str:
        return json.dumps([{"name": "n" * n, "tags": ["a", "b"], "price": n / 7, "deep": {"e": n}} for n in range(300)])

    def site_2() -> object:
        return json.loads('{"a": [1, 2, {"b": "c\\u00e9"}], "d": 1e300, "e": "' + "x" * 9000 + '"}')

    return at(1, site_1), at(2, site_2)


def generators_and_coroutines() -> object:
    def numbers(n: int) -> Iterator[int]:
        for i in range(n):
            yield i << 70

    def chained(n: int) -> Iterator[int]:
        yield from numbers(n)

    async def item(n: int) -> bytes:
        await asyncio.sleep(0)
        return bytes(n)

    async def items() -> list[bytes]:
        return [await item(n) for n in range(50)] + await asyncio.gather(*map(item, range(50)))

    return list(chained(500)), [chained(n) for n in range(20)], asyncio.run(items())


def classes() -> object:
    @dataclasses.dataclass(order=True)
    class Point:
        x: int
        y: float = 0.5
        tags: list[str] = dataclasses.field(default_factory=list)

    class Slotted:
        __slots__ = ("a", "b")

    pair: Any = namedtuple("pair", "left right")
    colour = enum.Enum("colour", ["RED", "GREEN"])
    points, slotted = [Point(n) for n in range(300)], [Slotted() for _ in range(300)]
    for n, point in enumerate(points):
        setattr(point, f"more_{n % 40}", "attribute")
    return points, slotted, pair(1, 2), colour, weakref.ref(points[0]), type("Made", (Point,), {"z": 3})


def cycles() -> object:
    class Node:
        def __init__(self) -> None:
            self.me = self
            self.payload = bytes(900)

        def __del__(self) -> None:
            seen.append(len(self.payload) << 80)

    seen: list[int] = []
    for _ in range(2000):
        Node()
    gc.collect()
    return seen


def deep_recursion() -> object:
    def down(depth: int) -> list[bytes]:
        block = bytes(100 + depth)
        return [block] if depth == 0 else [*down(depth - 1), block]

    return down(400)


def generated_code() -> object:
    results = []
    for n in range(60):
        names: dict[str, Any] = {}
        exec(f"def made_{n}(a, b={n}):\n    c = [a] * b\n    return c, {{'k': c}}", names)  # noqa: S102 - the code is the test's own
        results.append(names[f"made_{n}"](n))
    re.purge()
    return results, [eval(f"[{n}] * {n}") for n in range(30)], re.compile("(a|b)*c{2,9}(d)" * 5)


def imports() -> object:
    names = ["colorsys", "sched", "tabnanny"]
    return [sys.modules.pop(name, None) for name in names], [importlib.import_module(name) for name in names]


def without_the_gil() -> object:
    data = bytes(range(256)) * 4000
    return hashlib.sha256(data).hexdigest(), zlib.decompress(zlib.compress(data, 9)), zlib.crc32(data)


def copies_and_buffers() -> object:
    value = {"a": [1, 2, (3, [4] * 50)], "b": decimal.Decimal(2).sqrt(), "c": fractions.Fraction(1, 3)}
    text, raw = io.StringIO(), io.BytesIO()
    for n in range(300):
        text.write(str(n) * 9)
        raw.write(struct.pack("<Q", n))
    numbers = array.array("q", range(1000))
    numbers.extend(range(5000))
    cached = functools.lru_cache(maxsize=64)(bytes)
    recent = deque(map(cached, range(200)), maxlen=30)
    copies = copy.deepcopy(value), pickle.loads(pickle.dumps(value)), list(itertools.product("abc", repeat=5))
    return copies, text.getvalue(), raw.getvalue(), numbers, recent


def reallocations() -> object:
    """Up, down, in place, to and from nothing, zero bytes, calloc, and requests that fail."""
    for domain in range(3):
        for size in (0, 1, 16, 17, 510, 512, 513, 600, 0x4000 | 5000, 0x8000 | 9999, 0xC000, 700, 100, 513, 511, 3, 0):
            for what in (2, 2, 1, 2):
                driver.run(bytes([what + 5 * domain, domain, size & 255, size >> 8]))
        driver.run(bytes([5 * domain, 7, 9, 0, 3 + 5 * domain, 7, 0, 0, 3 + 5 * domain, 7, 0, 0]))
        driver.run(bytes([5 * domain, 8 + domain, 99, 0, 2, 8 + domain, 0, 0xC0]))  # a failed one leaves its block
    return None


def threads() -> object:
    def worker(n: int) -> None:
        for i in range(200):
            results.append(bytes(n * 10 + i))
            results.pop(0) if i % 3 else None
        local.value = [n] * 1000

    results: list[bytes] = []
    local = threading.local()
    started = [threading.Thread(target=worker, args=(n,)) for n in range(6)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    return results, started


def native_threads() -> object:
    driver.malloc_in_native_thread(1234)
    driver.malloc_in_attached_thread(4321)
    driver.malloc_detached(777)
    made: list[bytes] = []
    driver.call_in_native_thread(lambda: made.append(bytes(5000)))
    return made


def a_thread_that_does_not_count() -> object:
    def hidden() -> list[bytes]:
        kept[:5] = []
        kept[3] += b"now it is another block"
        return [bytes(n) for n in range(100, 200)]

    kept = [bytes(n) for n in range(300, 400)]
    made = unseen(_core.bypass, hidden)
    made += [bytes(50)]
    return kept, made


def sub_interpreters() -> object:
    """One after the other, then several at once, which since 3.12 do not even wait for one another."""
    for name in ("_xxsubinterpreters", "_interpreters"):
        with contextlib.suppress(ImportError):
            interpreters: Any = importlib.import_module(name)

    def live(n: int) -> None:
        interpreter = interpreters.create()
        interpreters.run_string(interpreter, f"import json; kept = [bytes(n) for n in range({n})]; json.dumps(['a'])")
        interpreters.destroy(interpreter)

    live(700)
    started = [threading.Thread(target=live, args=(n,)) for n in (300, 600, 900)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    return started


def settings_that_change() -> object:
    """Also the tables that move for it, and a snapshot on the way."""
    kept, null = [bytes(n) for n in range(300)], os.open(os.devnull, os.O_WRONLY)
    for frames, megabytes in ((64, 300), (1, 600), (128, 256), (200, 128)):
        unseen(_core.bypass, lambda f=frames, m=megabytes: _core.start(1, f, m * 2**20))  # type: ignore[misc] # the defaults hide its type
        kept += [bytes(n + frames) for n in range(0, 900, 3)]
        unseen(_core.bypass, _core.stats)
        unseen(_core.bypass, lambda: _core.encode(null, (), b"", (), 0))
        del kept[::5]
    os.close(null)
    return kept


@contextmanager
def threads_that_were_there_before() -> Iterator[Work]:
    """They wait where no instruction of theirs allocates, before the counters are on and after they are off."""
    count, rounds = 4, 3
    results: list[bytes] = []

    def worker() -> None:
        for _ in range(rounds):
            driver.park()
            results.extend(bytes(n) for n in range(500, 600))
        driver.park()

    def work() -> object:
        for _ in range(rounds):
            driver.open_gate()
            driver.wait_for_parked(count)
        return results

    started = [threading.Thread(target=worker) for _ in range(count)]
    for thread in started:
        thread.start()
    driver.wait_for_parked(count)
    yield work
    driver.open_gate()
    for thread in started:
        thread.join()


@contextmanager
def blocks_from_before_the_start() -> Iterator[Work]:
    """Freed and grown after it: never counted as freed, counted as new where they move."""
    old = [bytearray(n) for n in range(100, 900)]

    def work() -> object:
        del old[::2]
        for block in old:
            block.extend(b"more" * 10)
        return old

    yield work


PREPARED: list[Callable[[], AbstractContextManager[Work]]] = [
    threads_that_were_there_before,
    blocks_from_before_the_start,
]
