"""BufferPool: capacity that comes back, bounds that hold, and buffers that nobody uses after their put."""

import asyncio
import contextlib
import gc
import random
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lowtide import Buffer, BufferPool, _pool

USES: list[Callable[[Buffer], object]] = [
    lambda buffer: buffer.write(b"x"),
    lambda buffer: buffer.write(b""),
    lambda buffer: buffer.write_str(""),
    lambda buffer: buffer.writelines([]),
    lambda buffer: buffer.text,
    lambda buffer: buffer.getvalue(),
    lambda buffer: buffer.view(),
    lambda buffer: buffer.reserve(1),
    lambda buffer: buffer.advance(0),
    lambda buffer: buffer.reset(),
    lambda buffer: buffer.read(),
    lambda buffer: buffer.readline(),
    lambda buffer: buffer.readinto(bytearray(1)),
    lambda buffer: buffer.seek(0),
    lambda buffer: buffer.tell(),
    lambda buffer: buffer.truncate(),
    lambda buffer: buffer.flush(),
    lambda buffer: buffer.close(),
    lambda buffer: buffer.writable(),
    lambda buffer: buffer.__enter__(),
    len,
    next,
    memoryview,
]


def make(**settings: int) -> BufferPool:
    return BufferPool(**settings, name="responses", check=False)


@pytest.mark.parametrize(
    ("nbytes", "capacity"),
    [(0, 4096), (1, 4096), (4096, 4096), (4097, 8192), (65536, 65536), (2**20, 2**20), (2**20 + 1, 2**20 + 1)],
)
def test_a_new_buffer_has_the_size_of_its_class_or_what_was_asked_beyond_the_largest(
    nbytes: int, capacity: int
) -> None:
    assert make().get(nbytes).capacity == capacity


def test_a_buffer_comes_back_empty_and_as_large_as_it_grew() -> None:
    pool = make()
    buffer = pool.get(100)
    buffer.write(bytes(50_000))
    capacity = buffer.capacity
    pool.put(buffer)

    assert pool.get(32_768) is buffer
    assert (len(buffer), buffer.tell(), buffer.capacity) == (0, 0, capacity)


def test_a_get_is_served_by_larger_buffers_too_smallest_first() -> None:
    pool = make()
    small, large = pool.get(8192), pool.get(65_536)
    pool.put(large)
    pool.put(small)

    assert pool.get(4096) is small
    assert pool.get(4096) is large
    assert pool.get(4096).capacity == 4096


def test_who_asks_for_less_than_is_written_gets_the_same_buffer_again() -> None:
    pool = make()
    for _ in range(50):
        with pool.lease(4096) as buffer:
            buffer.write(bytes(100_000))
    stats = pool.stats()

    assert (stats.misses, stats.idle_items) == (1, 1)


def test_one_huge_response_does_not_pin_its_memory() -> None:
    pool = make()
    with pool.lease(4096) as buffer:
        buffer.write(bytes(1_000_000))
    for _ in range(4):
        with pool.lease(4096) as buffer:
            buffer.write(bytes(1000))
    stats = pool.stats()

    assert (stats.drops_large, stats.idle_bytes) == (1, 0)


def test_a_large_buffer_that_is_put_to_use_now_and_then_stays() -> None:
    pool = make()
    for _ in range(20):
        for size in (1_000_000, 1000, 1000, 1000):
            with pool.lease(4096) as buffer:
                buffer.write(bytes(size))

    assert pool.stats().misses == 1


@pytest.mark.parametrize("nbytes", [0, 4096, 2**20])
def test_a_buffer_is_never_too_large_for_what_was_asked(nbytes: int) -> None:
    pool = make()
    for _ in range(20):
        pool.put(pool.get(nbytes))

    assert pool.stats().misses == 1


@pytest.mark.parametrize(
    ("capacity", "cause"),
    [(0, "drops_small"), (4095, "drops_small"), (2**20 + 1, "drops_large"), (2**24, "drops_large")],
)
def test_buffers_of_no_class_are_dropped_with_their_memory(capacity: int, cause: str) -> None:
    pool = make()
    buffer = Buffer(capacity)
    pool.put(buffer)
    stats = pool.stats()

    assert (getattr(stats, cause), stats.idle_items, buffer.capacity) == (1, 0, 0)


def test_idle_bytes_stay_within_max_total() -> None:
    pool = make(max_total=3 * 4096)
    buffers = [pool.get(4096) for _ in range(5)]
    for buffer in buffers:
        pool.put(buffer)
    stats = pool.stats()

    assert (stats.idle_items, stats.idle_bytes, stats.drops_full) == (3, 3 * 4096, 2)


def test_bounds_are_rounded_up_to_powers_of_two() -> None:
    pool = make(min_bytes=1000, max_bytes=100_000)
    buffers = [pool.get(1), pool.get(100_000)]
    for buffer in buffers:
        pool.put(buffer)

    assert pool.stats().idle_bytes == 1024 + 131_072


@pytest.mark.parametrize("use", USES)
def test_a_buffer_that_was_put_back_refuses_every_use(use: Callable[[Buffer], object]) -> None:
    pool = make()
    kept, dropped = pool.get(4096), Buffer()
    pool.put(kept)
    pool.put(dropped)
    for buffer in (kept, dropped):
        with pytest.raises(ValueError, match=r"^buffer was put back to pool 'responses'$"):
            use(buffer)

    assert kept.closed
    assert "put back" in repr(kept)


def test_a_buffer_is_put_back_once() -> None:
    pool, other = make(), BufferPool(check=False)
    buffer = pool.get(4096)
    pool.put(buffer)
    for again in (pool, other):
        with pytest.raises(ValueError, match="was put back to pool 'responses'"):
            again.put(buffer)

    assert (pool.stats().idle_items, other.stats().idle_items) == (1, 0)
    assert pool.get(4096) is buffer
    assert pool.get(4096) is not buffer


def test_a_pool_without_a_name_is_not_named() -> None:
    pool = BufferPool(check=False)
    buffer = pool.get(1)
    pool.put(buffer)
    with pytest.raises(ValueError, match=r"^buffer was put back to its pool$"):
        buffer.read()


def test_a_buffer_with_live_views_stays_with_its_user() -> None:
    pool = make()
    buffer = pool.get(4096)
    buffer.write(b"abc")
    with buffer.view() as view:
        with pytest.raises(BufferError, match="live views"):
            pool.put(buffer)

        assert bytes(view) == b"abc"
    assert pool.stats().puts == 0
    pool.put(buffer)
    assert pool.stats().idle_items == 1


def test_a_closed_buffer_is_as_good_as_any() -> None:
    pool = make()
    buffer = pool.get(4096)
    buffer.close()
    pool.put(buffer)

    assert pool.get(4096).write(b"x") == 1


@pytest.mark.parametrize("wrong", [None, bytearray(4096), b"", "text", object()])
def test_nothing_but_a_buffer_can_be_put(wrong: object) -> None:
    pool = make()
    with pytest.raises(TypeError, match=f"buffer must be a lowtide.Buffer, got {type(wrong).__name__}"):
        pool.put(wrong)  # type: ignore[arg-type] # on purpose

    assert pool.stats().idle_items == 0


@pytest.mark.parametrize(
    ("make_or_get", "error", "message"),
    [
        (lambda: make(min_bytes=0), ValueError, "min_bytes must be >= 1, got 0"),
        (lambda: make(min_bytes=10, max_bytes=9), ValueError, r"max_bytes must be min_bytes \(10\) to 2\*\*62, got 9"),
        (lambda: make(max_bytes=2**63 - 1), ValueError, "max_bytes must be"),
        (lambda: make(max_total=-1), ValueError, "max_total must be >= 0 bytes, got -1"),
        (lambda: BufferPool(name=1), TypeError, "name must be a str or None, got 1"),  # type: ignore[arg-type] # wrong on purpose
        (lambda: BufferPool("4096"), TypeError, "integer"),  # type: ignore[arg-type] # wrong on purpose
        (lambda: make().get(-1), ValueError, "nbytes must be >= 0, got -1"),
        (lambda: make().get(1.5), TypeError, "integer"),  # type: ignore[arg-type] # wrong on purpose
        (lambda: make().get(2**70), OverflowError, None),
        (lambda: make().get(2**62), MemoryError, None),
        (lambda: make().lease(-1), ValueError, "nbytes must be >= 0, got -1"),
    ],
)
def test_bad_input_is_named(make_or_get: Callable[[], object], error: type[Exception], message: str | None) -> None:
    with pytest.raises(error, match=message):
        make_or_get()


def test_a_lease_puts_the_buffer_back_after_an_exception_too() -> None:
    pool = make()
    with contextlib.suppress(LookupError), pool.lease(5000) as buffer:
        assert buffer.capacity == 8192
        raise LookupError

    assert pool.stats().idle_items == 1
    assert buffer.closed


def test_a_lease_serves_coroutines_and_survives_their_cancellation() -> None:
    pool = make()

    async def handle(started: asyncio.Event) -> None:
        async with pool.lease(4096) as buffer:
            buffer.write(b"half")
            started.set()
            await asyncio.sleep(3600)

    async def main() -> None:
        started = asyncio.Event()
        task = asyncio.create_task(handle(started))
        await started.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())

    assert pool.stats().idle_items == 1
    assert pool.get(4096).getvalue() == b""


def test_idle_buffers_live_through_one_epoch_and_not_two() -> None:
    pool = make()
    buffer = pool.get(4096)
    pool.put(buffer)
    _pool.rotate()

    assert pool.get(4096) is buffer
    pool.put(buffer)
    _pool.rotate()
    _pool.rotate()
    stats = pool.stats()
    assert (stats.idle_items, stats.idle_bytes, stats.drops_aged) == (0, 0, 1)


def test_after_two_full_collections_a_pool_that_nobody_uses_holds_nothing() -> None:
    pool = make()
    buffer = pool.get(4096)
    reference = weakref.ref(buffer)
    pool.put(buffer)
    del buffer
    gc.collect()
    gc.collect()
    for _ in range(100):  # pending calls run between bytecodes
        if reference() is None:
            break

    assert reference() is None


def test_a_pool_that_is_called_while_it_drops_buffers_stays_whole() -> None:
    pool = make()
    served: list[Buffer] = []
    buffers = [pool.get(size) for size in (4096, 8192, 16384, 32768)]
    references = [weakref.ref(buffer, lambda _: served.append(pool.get(32768))) for buffer in buffers]
    while buffers:
        pool.put(buffers.pop())
    pool.clear()
    stats = pool.stats()

    # The first callback was served with the one that was idle still.
    assert (len(references), len(served), stats.hits) == (4, 3, 1)
    assert len({id(buffer) for buffer in served}) == 3
    assert (stats.idle_items, stats.idle_bytes) == (0, 0)
    assert stats.puts == stats.hits + stats.drops_cleared


def test_a_pool_that_dies_lets_its_buffers_go_and_leaves_those_that_are_out() -> None:
    pool = make()
    idle, out = pool.get(4096), pool.get(4096)
    reference = weakref.ref(idle)
    pool.put(idle)
    del idle, pool

    assert reference() is None
    assert out.write(b"x") == 1


def test_sealing_fills_the_memory_and_unsealing_sees_a_late_write() -> None:
    pool = make()
    buffer = pool.get(4096)
    view = buffer.view()
    with pytest.raises(BufferError):
        pool._seal(buffer)
    view.release()
    pool._seal(buffer)
    with pytest.raises(ValueError, match="'responses'"):
        buffer.read()

    assert pool._unseal(buffer) is True
    assert pool.stats().puts == 0
    with pytest.raises(TypeError, match="sealed"):
        pool._unseal(buffer)
    with buffer.reserve(4096) as memory:
        assert bytes(memory) == b"\xdb" * 4096


def test_no_buffer_is_in_two_hands_at_once() -> None:
    pool = make(max_total=6 * 4096)
    torn = []

    def work(number: int) -> None:
        chance = random.Random(number)
        for _ in range(3000):
            held = [pool.get(chance.choice((1, 4096, 5000))) for _ in range(chance.randrange(1, 4))]
            for buffer in held:
                buffer.write_str(f"{number} {id(buffer)}")
            for buffer in held:
                if buffer.getvalue() != f"{number} {id(buffer)}".encode():
                    torn.append(number)
                pool.put(buffer)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    previous = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(previous)

    assert torn == []
    assert pool.stats().idle_bytes <= 6 * 4096


WITHOUT_ALLOCATION = """
import _testcapi
from lowtide import BufferPool

pool = BufferPool(check=False)
get, put = pool.get, pool.put
buffer = pool.get(65536)
write, write_str, writelines, reset = buffer.write, buffer.write_str, buffer.writelines, buffer.reset
lines, length = [b"0123456789" * 20, b"", b"x" * 5000], 4096

def work():
    rounds = 100
    while rounds:
        rounds -= 1
        put(get(length))
        write(b"0123456789")
        write_str("some text")
        write_str("größe €")
        writelines(lines)
        reset()

work()
_testcapi.set_nomemory(0, 0)
try:
    work()
finally:
    _testcapi.remove_mem_hooks()
print("done")
"""


def test_get_and_put_and_writes_and_reset_work_where_no_block_can_be_had() -> None:
    pytest.importorskip("_testcapi")
    result = subprocess.run([sys.executable, "-c", WITHOUT_ALLOCATION], capture_output=True, text=True, check=False)

    assert (result.stdout, result.stderr) == ("done\n", "")


class BufferPoolMachine(RuleBasedStateMachine):
    """Users that get, write and put, while epochs begin: what they hold is theirs, and the sums hold."""

    MAX_TOTAL = 40_000

    def __init__(self) -> None:
        super().__init__()
        self.pool = BufferPool(1024, 16_384, self.MAX_TOTAL, check=False)
        self.held: list[tuple[Buffer, bytes]] = []

    @rule(nbytes=st.sampled_from([0, 1, 1024, 1025, 5000, 16_384, 16_385, 40_000]))
    def get(self, nbytes: int) -> None:
        buffer = self.pool.get(nbytes)

        assert all(buffer is not other for other, _ in self.held)
        assert (buffer.getvalue(), buffer.tell(), buffer.closed) == (b"", 0, False)
        assert nbytes <= buffer.capacity <= max(nbytes, 16_384)
        self.held.append((buffer, b""))

    @precondition(lambda self: self.held)
    @rule(piece=st.binary(max_size=3), times=st.sampled_from([1, 2000]), which=st.integers(0))
    def write(self, piece: bytes, times: int, which: int) -> None:
        buffer, content = self.held[which % len(self.held)]
        buffer.write(piece * times)
        self.held[which % len(self.held)] = (buffer, content + piece * times)

    @precondition(lambda self: self.held)
    @rule(which=st.integers(0))
    def put(self, which: int) -> None:
        buffer, content = self.held.pop(which % len(self.held))

        assert buffer.getvalue() == content
        self.pool.put(buffer)
        assert buffer.closed

    @rule()
    def begin_an_epoch(self) -> None:
        _pool.rotate()

    @rule()
    def clear(self) -> None:
        self.pool.clear()

        assert self.pool.stats().idle_items == 0

    @invariant()
    def sums_hold(self) -> None:
        stats = self.pool.stats()
        drops = (stats.drops_small, stats.drops_large, stats.drops_full, stats.drops_aged, stats.drops_cleared)

        assert stats.gets == stats.hits + stats.misses
        assert stats.puts == stats.hits + sum(drops) + stats.idle_items
        assert stats.idle_items * 1024 <= stats.idle_bytes <= self.MAX_TOTAL
        assert all(buffer.getvalue() == content for buffer, content in self.held)


TestBufferPool = BufferPoolMachine.TestCase
TestBufferPool.settings = settings(max_examples=60, stateful_step_count=40)
