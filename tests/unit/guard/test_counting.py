"""allocs_per_run: exact, of the calling thread alone, and the same every time."""

import gc
import itertools
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from fractions import Fraction

import pytest

from lowtide import Buffer, BufferPool, Pool, _core, _events, guard
from lowtide.errors import CountError, PoolMisuseError, SettingsError


class Item:
    __slots__ = ("value",)


def test_the_loop_of_the_count_allocates_nothing() -> None:
    assert _core.guard_count(10_000, bool) == (0, 0)


@pytest.mark.parametrize("nothing", [lambda: None, bool, [].clear], ids=["def", "type", "C"])
def test_a_call_that_does_nothing_counts_nothing(nothing: Callable[[], object]) -> None:
    result = guard.allocs_per_run(nothing)

    assert result.blocks == result.bytes == 0
    assert result.by_site == ()
    assert result.settled


def test_blocks_and_bytes_are_exact() -> None:
    result = guard.allocs_per_run(bytes, 1000)

    assert (int(result.blocks), int(result.bytes), result.runs) == (1, sys.getsizeof(bytes(1000)), 100)
    assert result.settled


def test_a_call_that_allocates_now_and_then_counts_as_a_fraction() -> None:
    turns = itertools.cycle([True, False, False, False])

    def one_in_four() -> None:
        if next(turns):
            bytes(1000)

    assert guard.allocs_per_run(one_in_four).blocks == Fraction(1, 4)


def test_sites_name_the_line_and_sum_to_the_whole() -> None:
    def work() -> None:
        bytes(1000)

    result = guard.allocs_per_run(work)

    (site,) = result.by_site
    assert site.function.endswith("test_sites_name_the_line_and_sum_to_the_whole.<locals>.work")
    assert (site.file, site.line) == (__file__, work.__code__.co_firstlineno + 1)
    assert (site.blocks, site.bytes) == (result.blocks, result.bytes)
    assert result.profile.total("alloc_objects") == 100


def test_caches_that_fill_in_the_first_calls_are_not_counted() -> None:
    class Lazy:
        value: bytes | None = None

        def get(self) -> bytes:
            if self.value is None:
                self.value = bytes(100)
            return self.value

    result = guard.allocs_per_run(Lazy().get)

    assert result.settled
    assert result.blocks == 0


def test_what_never_settles_says_so() -> None:
    sizes = iter(range(1, 10_000))

    result = guard.allocs_per_run(lambda: bytes(next(sizes)), runs=3)

    assert not result.settled


def test_other_threads_do_not_count() -> None:
    stop = threading.Event()

    def allocate() -> None:
        while not stop.is_set():
            bytearray(1000)

    thread = threading.Thread(target=allocate)
    thread.start()
    try:
        result = guard.allocs_per_run(sum, range(100), runs=2000)
    finally:
        stop.set()
        thread.join()

    assert [site for site in result.by_site if "allocate" in site.function] == []


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_off_meanwhile_and_then_as_before(enabled: bool) -> None:
    seen = set()
    (gc.enable if enabled else gc.disable)()
    try:
        guard.allocs_per_run(lambda: seen.add(gc.isenabled()))
        with pytest.raises(ZeroDivisionError):
            guard.allocs_per_run(lambda: 1 // 0)

        assert seen == {False}
        assert gc.isenabled() == enabled
    finally:
        gc.enable()


def test_an_error_of_the_function_is_the_callers() -> None:
    def fails() -> None:
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        guard.allocs_per_run(fails)
    assert guard.allocs_per_run(bool).blocks == 0


def test_an_interrupt_while_a_count_begins_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(_events.counting_begins, "_subscribers", [interrupt])
        with pytest.raises(KeyboardInterrupt):
            guard.allocs_per_run(bool)

    assert gc.isenabled()
    assert guard.allocs_per_run(bool).blocks == 0


def test_a_count_inside_a_count_is_refused() -> None:
    with pytest.raises(CountError, match="one count at a time"):
        guard.allocs_per_run(guard.allocs_per_run, bool)
    assert guard.allocs_per_run(bool).blocks == 0


def test_under_a_tracer_it_refuses() -> None:
    before = sys.gettrace()
    sys.settrace(lambda *_: None)
    try:
        with pytest.raises(CountError, match="cannot be counted under a trace function"):
            guard.allocs_per_run(bool)
    finally:
        sys.settrace(before)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring came with 3.12")
def test_under_a_monitoring_tool_it_refuses() -> None:
    if sys.version_info >= (3, 12):
        sys.monitoring.use_tool_id(3, "coverage")
        try:
            with pytest.raises(CountError, match=r"monitoring \(coverage\)"):
                guard.allocs_per_run(bool)
        finally:
            sys.monitoring.free_tool_id(3)


@pytest.mark.parametrize("runs", [0, -1])
def test_runs_must_be_a_number_of_calls(runs: int) -> None:
    with pytest.raises(SettingsError, match="runs must be >= 1, got"):
        guard.allocs_per_run(bool, runs=runs)


def test_what_cannot_be_called_is_refused() -> None:
    with pytest.raises(TypeError, match="f must be callable, got 5"):
        guard.allocs_per_run(5)  # type: ignore[arg-type]  # the error is the point


# -- what lowtide itself promises: a hit allocates nothing ------------------------------------------------------------


def test_pool_get_and_put_allocate_nothing() -> None:
    pool = Pool(Item, name="items", check=False)
    pool.put(pool.get())

    assert guard.allocs_per_run(lambda: pool.put(pool.get())).blocks == 0


def test_pool_get_and_put_with_a_reset_by_name_allocate_nothing() -> None:
    pool: Pool[list[int]] = Pool(list, reset="clear", check=False)
    pool.put(pool.get())

    assert guard.allocs_per_run(lambda: pool.put(pool.get())).blocks == 0


def test_a_lease_allocates_what_the_with_statement_does() -> None:
    pool, lock = Pool(Item, check=False), threading.Lock()

    def use(manager: Callable[[], AbstractContextManager[object]]) -> None:
        with manager():
            pass

    assert guard.allocs_per_run(use, pool.lease).blocks == guard.allocs_per_run(use, lambda: lock).blocks


def test_buffer_pool_get_and_put_allocate_nothing() -> None:
    pool = BufferPool(check=False)
    pool.put(pool.get(65_536))

    assert guard.allocs_per_run(lambda: pool.put(pool.get(65_536))).blocks == 0


def test_buffer_write_and_reset_allocate_nothing() -> None:
    buffer = Buffer(65_536)
    piece = bytes(200)  # write returns an int, and those up to 256 are there already

    def use() -> None:
        buffer.reset()
        buffer.write(piece)
        buffer.write_str("text")

    assert guard.allocs_per_run(use).blocks == 0


def test_pools_in_check_mode_count_as_in_production() -> None:
    pool, buffers = Pool(Item, reset=bool, check=True), BufferPool(check=True)
    pool.put(pool.get())

    def use() -> None:
        pool.put(pool.get())
        buffers.put(buffers.get(100))

    assert guard.allocs_per_run(use).blocks == 0
    assert pool.stats().puts > 100
    item = pool.get()
    pool.put(item)
    with pytest.raises(PoolMisuseError):
        pool.put(item)


def test_a_lease_in_check_mode_counts_as_in_production() -> None:
    def use(pool: BufferPool) -> None:
        with pool.lease(65_536):
            pass

    checked, production = (guard.allocs_per_run(use, BufferPool(check=check)) for check in (True, False))
    assert (checked.blocks, checked.bytes) == (production.blocks, production.bytes)


def test_check_mode_that_is_first_needed_during_a_count_checks_afterwards() -> None:
    program = """
import lowtide
from lowtide.guard import allocs_per_run

allocs_per_run(lambda: lowtide.Pool(list, check=True))
pool = lowtide.Pool(list, check=True)
item = pool.get()
pool.put(item)
try:
    pool.put(item)
except lowtide.errors.PoolMisuseError:
    print("caught")
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LOWTIDE")}
    command = [sys.executable, "-c", program.replace("import lowtide\n", "import lowtide, lowtide.errors\n", 1)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert (done.stdout, done.stderr) == ("caught\n", "")
