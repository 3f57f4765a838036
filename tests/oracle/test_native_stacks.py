"""What allocates outside of Python code: native threads, threads without the GIL, interpreters that run no code."""

import threading
import types
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

pytest.importorskip("lowtide._core", reason="the extension is not built")

from lowtide import _core
from tests.oracle.recording import Frame, Recorded, record

pytestmark = [pytest.mark.oracle, pytest.mark.xdist_group("native stacks")]


@pytest.fixture(autouse=True)
def _blocks_are_freed(driver: ModuleType) -> Iterator[None]:
    yield
    driver.clear()


def only(samples: list[Recorded], size: int) -> Recorded:
    (sample,) = [sample for sample in samples if sample.size == size]
    return sample


def test_a_native_thread_is_called_so(driver: ModuleType) -> None:
    sample = only(record(lambda: driver.malloc_in_native_thread(70_001)), 70_001)
    assert sample == Recorded([Frame("<native thread>", "", 0)], "raw", 70_001, 1, 1)


def test_a_native_thread_that_runs_no_python_code_shows_no_code(driver: ModuleType) -> None:
    samples = record(lambda: driver.malloc_in_attached_thread(70_002))
    found = sorted((sample for sample in samples if sample.size == 70_002), key=lambda sample: sample.domain)
    assert [(sample.domain, sample.allocs) for sample in found] == [("mem", 1), ("raw", 1)]
    assert [sample.frames for sample in found] == [[Frame("<interpreter>", "", 0)]] * 2


def test_python_code_called_by_a_native_thread_begins_there(driver: ModuleType) -> None:
    def called() -> None:
        made.append(bytes(70_003))

    made: list[bytes] = []
    sample = only(record(lambda: driver.call_in_native_thread(called)), made[0].__sizeof__())
    assert [frame.name for frame in sample.frames] == [
        f"test_native_stacks.{test_python_code_called_by_a_native_thread_begins_there.__name__}.<locals>.called"
    ]


def test_without_the_gil_a_thread_sees_its_own_stack(driver: ModuleType) -> None:
    """While others hold the GIL: on 3.11 "the current thread" is then another one."""

    def busy() -> None:
        while not done:
            [[None] * 10 for _ in range(100)]

    def mine(size: int) -> None:
        driver.malloc_detached(size)

    def work() -> None:
        for size in range(80_000, 80_500):
            mine(size)
        done.append(True)

    done: list[bool] = []
    others = [threading.Thread(target=busy) for _ in range(2)]
    for other in others:
        other.start()
    try:
        samples = record(work)
    finally:
        done.append(True)
        for other in others:
            other.join()
    for size in range(80_000, 80_500):
        names = [frame.name.rpartition(".")[2] for frame in only(samples, size).frames]
        assert names[:2] == ["mine", "work"]
        assert "busy" not in names


def test_native_threads_that_allocate_at_once_are_all_seen(driver: ModuleType) -> None:
    # Instructions of four bytes: malloc, slot, size.
    program = b"".join(bytes([0, n % 16, n % 256, 0]) for n in range(1, 400))
    samples = record(lambda: driver.run_in_threads((program,) * 4))
    native = [sample for sample in samples if sample.frames[0].name == "<native thread>"]
    assert sum(sample.allocs for sample in native) == 4 * 399
    assert {sample.domain for sample in native} == {"raw"}


def renamed(function: Callable[..., object], name: str) -> Callable[..., object]:
    """Copy a function under a name and a file that no table has seen yet."""
    code = function.__code__.replace(co_name=name, co_qualname=name, co_filename=name)
    return types.FunctionType(code, {})


def test_a_guard_in_another_thread_lends_no_names(driver: ModuleType) -> None:
    """Both read names that need encoding: one with the GIL into its own tables, one without it into the profile."""

    def allocate() -> list[None]:
        return [None] * 100

    def allocate_detached(malloc: Callable[[int], None]) -> None:
        malloc(5000)

    def guard() -> None:
        while not done:
            functions = [renamed(allocate, "ö" * 300 + str(n)) for n in range(200)]
            _core.guard_count(1, lambda: [function() for function in functions])  # noqa: B023 - called at once

    def work() -> None:
        other = threading.Thread(target=guard)
        other.start()
        for n in range(16_000):
            renamed(allocate_detached, "é" * 300 + str(n))(driver.malloc_detached)
            if n % 4000 == 0:
                driver.clear()
        done.append(True)
        other.join()

    done: list[bool] = []
    detached = [sample for sample in record(work) if (sample.domain, sample.size) == ("raw", 5000)]
    assert len(detached) == 16_000
    assert {sample.frames[0].file.rstrip("0123456789") for sample in detached} == {"é" * 300}
