"""What a program can measure of itself is the same with and without the profiler."""

import sys

import pytest

from tests.e2e.hostile import joined, run

pytest.importorskip("lowtide._core", reason="the extension is not built")

# Each prints what it sees; the first argument says whether the profiler is started.
PROLOGUE = """
    import sys
    import lowtide.heap
    if sys.argv[1] == "started":
        lowtide.heap.start(int(sys.argv[2]), 128, 4 << 20)
        lowtide.heap.snapshot()
        lowtide.heap.snapshot()
    """

OBSERVATIONS = {
    "allocated blocks": """
        import gc
        def work():
            return [str(n) * n for n in range(500)], {n: [n] for n in range(500)}
        work()
        gc.collect()
        gc.disable()
        before = sys.getallocatedblocks()
        kept = work()
        during = sys.getallocatedblocks() - before
        kept = None
        print(during, sys.getallocatedblocks() - before)
        """,
    "tracemalloc's numbers": """
        import tracemalloc
        def work():
            return [str(n) * n for n in range(300)], {n: [bytes(n)] for n in range(300)}
        work()
        tracemalloc.start(8)
        base = tracemalloc.take_snapshot()
        kept = work()
        after = tracemalloc.take_snapshot()
        here = [tracemalloc.Filter(True, __file__)]
        for difference in after.filter_traces(here).compare_to(base.filter_traces(here), "lineno"):
            if difference.size > 1000:
                print(difference.size_diff, difference.count_diff)
        """,
    "sizes of objects": """
        class Slotted:
            __slots__ = ("a",)
        things = [1, "x", b"x" * 100, [1] * 10, {1: 2}, {1}, Slotted(), object(), bytearray(10), 2**100, print, type]
        print([sys.getsizeof(thing) for thing in things])
        growing, sizes = [], []
        for i in range(100):
            growing.append(i)
            sizes.append(sys.getsizeof(growing))
        print(sizes)
        """,
    "garbage collector": """
        import gc
        seen = []
        gc.callbacks.append(lambda phase, info: seen.append(phase))
        gc.collect()
        seen.clear()
        before = [s["collections"] for s in gc.get_stats()]
        kept = [[] for _ in range(5000)]
        print(len(seen), [s["collections"] - b for s, b in zip(gc.get_stats(), before)])
        print(gc.isenabled(), gc.get_threshold(), gc.get_debug(), gc.get_freeze_count(), len(gc.callbacks))
        """,
    "recursion": """
        depth = 0
        def down():
            global depth
            depth += 1
            down()
        try:
            down()
        except RecursionError as error:
            print(error)
        print(depth, sys.getrecursionlimit())
        """,
    "threads, signals, descriptors": """
        import os, signal, threading, warnings
        print([thread.name for thread in threading.enumerate()], len(os.listdir("/proc/self/task")))
        print([signal.getsignal(number) for number in signal.valid_signals()], signal.getitimer(signal.ITIMER_REAL))
        print(sorted(os.listdir("/proc/self/fd")), warnings.filters)
        print(sys.gettrace(), sys.getprofile(), sys.getswitchinterval(), sys.excepthook, sys.unraisablehook)
        """,
    "forks under warnings as errors": """
        import os, warnings
        warnings.simplefilter("error")
        for _ in range(5):
            if os.fork() == 0:
                os._exit(3)
            print(os.waitstatus_to_exitcode(os.wait()[1]))
        """,
    "reference counts": """
        thing = object()
        counts = []
        for _ in range(100):
            kept = [thing] * 100, {"x": thing}
            counts.append(sys.getrefcount(thing))
        print(set(counts))
        """,
    "the errors of a full memory": """
        try:
            bytes(2**62)
        except MemoryError as error:
            print(repr(error), error.__context__)
        try:
            "x" * (sys.maxsize // 2) * 2
        except MemoryError as error:
            print(repr(error))
        """,
}


@pytest.mark.parametrize("interval", [1, 5000])
@pytest.mark.parametrize("source", OBSERVATIONS.values(), ids=OBSERVATIONS)
def test_a_program_sees_no_difference(source: str, interval: int) -> None:
    source = joined(PROLOGUE, source)
    started, imported = (run(source, how, interval, PYTHONHASHSEED="1") for how in ("started", "imported"))
    assert started == imported


@pytest.mark.skipif(sys.version_info < (3, 12), reason="interpreters had no GIL of their own")
def test_an_interpreter_with_a_gil_of_its_own_says_nothing_of_the_profiler() -> None:
    source = """
        import os, sys
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        os.dup2(1, 2)  # what is written to stderr counts
        isolated = ("isolated",) if sys.version_info >= (3, 13) else ()
        interpreter = interpreters.create(*isolated)
        interpreters.run_string(interpreter, "print('inside', flush=True)")
        interpreters.destroy(interpreter)
        """
    assert run(source, wrap=True) == run(source) == "inside\n"
