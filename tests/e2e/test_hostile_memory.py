"""Memory runs out, allocators refuse, code comes and goes: the profiler loses samples at most, and keeps its budget."""

import pytest

from tests.e2e.hostile import run

pytest.importorskip("lowtide._core", reason="the extension is not built")


def test_an_allocator_that_refuses_everything_now_and_then_is_survived() -> None:
    run(
        """
        import hostile_native as native
        from lowtide import heap
        native.install_failing()
        heap.start(1024)
        def work(i):
            return [str(n) * 10 for n in range(50)], bytes(5000 * i), {n: [n] for n in range(50)}
        refused = 0
        for every in (97, 331, 1009):  # more often, and CPython itself gives up
            kept = []
            native.fail(every)
            for i in range(300):
                try:
                    kept.append(work(i % 20))
                except MemoryError:
                    refused += 1
            native.fail(0)
        assert refused > 100, refused
        assert heap.is_active() and len(heap.snapshot().samples) > 0
        """
    )


@pytest.mark.parametrize("above", [False, True], ids=["below ours", "above ours"])
def test_a_start_that_an_allocator_interferes_with_never_makes_a_ring_of_hooks(above: bool) -> None:
    """A probe that gets no memory proves nothing about the chain; installed twice, the hooks would call each other."""
    run(
        """
        import sys
        import hostile_native as native
        from lowtide import heap
        from lowtide._core import is_active, start
        if sys.argv[1] == "below":
            native.install_failing()
        heap.start(1024)
        if sys.argv[1] == "above":
            native.install_failing()
        for every in range(1, 60):
            for call in (lambda: start(1024, 64, 4 << 20), is_active):
                native.fail(every)
                try:
                    call()
                except (MemoryError, RuntimeError):
                    pass
                finally:
                    native.fail(0)
                bytes(100), bytes(100_000), [0] * 100_000
        assert heap.is_active()
        """,
        "above" if above else "below",
    )


def test_an_allocator_on_top_that_keeps_small_blocks_to_itself_displaces_nobody() -> None:
    run(
        """
        import hostile_native as native
        from lowtide import heap
        heap.start(1)
        native.install_pooling()
        for _ in range(3):
            assert heap.is_active()
            heap.start(1)
            kept = [[n] * n for n in range(300)], [str(n) for n in range(300)]
        """
    )


@pytest.mark.parametrize("size", [40, 400, 4000, 400_000])
def test_a_block_whose_realloc_fails_stays_tracked(size: int) -> None:
    run(
        """
        import sys
        import hostile_native as native
        from lowtide import heap
        size = int(sys.argv[1])
        native.install_failing()
        heap.start(1)
        def held():
            return sum(
                sample.values[2] for sample in heap.snapshot().samples
                if any(label.key == "bytes" and label.num == size for label in sample.labels)
            )
        before = held()
        failed, blocks = native.realloc_fails(size)
        assert failed
        assert held() == before + 3, (before, held())
        native.free_blocks(blocks)
        assert held() == before, (before, held())
        """,
        size,
    )


def test_huge_requests_fail_as_without() -> None:
    run(
        """
        from lowtide import heap
        heap.start(1)
        huge = 2**50
        for make in (lambda: bytes(huge), lambda: bytearray(huge), lambda: [0] * huge, lambda: "x" * huge * 256):
            try:
                make()
            except (MemoryError, OverflowError):
                pass
            else:
                raise SystemExit("no error")
        block = bytearray(1000)
        try:
            block.extend(bytes(1)) , block.__imul__(2**50)
        except MemoryError:
            pass
        assert len(block) == 1001
        assert all(sample.values[3] < 2**40 for sample in heap.snapshot().samples)
        """
    )


def test_errno_is_what_it_was_after_every_allocator_call() -> None:
    run(
        """
        import threading
        import hostile_native as native
        from lowtide import heap
        heap.start(200, 64, 2 << 20)
        stop = threading.Event()
        native.start_churning(2)  # contends for the tables' lock
        try:
            assert native.keeps_errno(100_000)
        finally:
            native.stop_churning()
        assert heap.stats().samples > 1000
        """
    )


CHURN = """
    import random, sys
    from lowtide import heap, _core
    codes, max_bytes = int(sys.argv[1]), 2 << 20
    heap.start(512, 64, max_bytes)
    kept, bytes_kept, allocated = [], 0, 0
    for i in range(codes):
        names = {}
        size = 200 + i % 7 * 300
        source = f"def function_{i}():\\n" + "\\n" * (i % 50) + f"    return bytearray({size})\\n"
        exec(compile(source, f"/generated/module_{i}.py", "exec"), names)
        for _ in range(4):
            block = names[f"function_{i}"]()
            allocated += sys.getsizeof(block)
        if i % 10 == 0:
            kept.append(block)
            bytes_kept += sys.getsizeof(block)
        if i % 100 == 0:
            stats = heap.stats()
            assert stats.table_bytes <= max_bytes, stats
    del block, names
    stats = heap.stats()
    assert stats.thinned > 0, stats
    profile = heap.snapshot()
    for sample in profile.samples:
        frames = [line.function for location in sample.locations for line in location.lines]
        leaf = frames[0]
        if leaf.filename.startswith("/generated/"):
            number = leaf.filename.removeprefix("/generated/module_").removesuffix(".py")
            if "function_" in leaf.name:
                assert leaf.name.endswith(f"function_{number}"), leaf
                assert sample.locations[0].lines[0].line == 2 + int(number) % 50, sample.locations[0]
    totals = {}
    for column, truth in (("alloc_space", allocated), ("inuse_space", bytes_kept)):
        rows = [row for row in profile.top(10**6, column, "function") if "function_" in row.name and row.flat]
        estimate, error = sum(row.flat for row in rows), sum(row.stderr**2 for row in rows) ** 0.5
        assert abs(estimate - truth) <= 5 * max(error, truth / 100), (column, estimate, truth, error)
    print(stats)
    """


@pytest.mark.parametrize("codes", [5_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_code_that_comes_and_goes_stays_inside_the_budget_without_bias(codes: int) -> None:
    run(CHURN, codes, seconds=300)


def test_an_address_space_that_is_full_costs_samples_and_nothing_else() -> None:
    run(
        """
        import resource, sys
        from lowtide import heap
        def used():
            return int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        heap.start(256)
        def work(i):
            names = {}
            exec(compile(f"def function_{i}(): return [bytes(n) for n in range(50)]", f"module_{i}", "exec"), names)
            return names[f"function_{i}"]()
        room = int(sys.argv[1])
        resource.setrlimit(resource.RLIMIT_AS, (used() + room, resource.RLIM_INFINITY))
        kept, refused = [], 0
        for i in range(6000):
            try:
                kept.append(work(i))
            except (MemoryError, SystemError):  # CPython's compiler forgets to say which
                refused += 1
                kept.clear()
        kept.clear()
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        stats = heap.stats()
        print(refused, stats)
        assert stats.interval_bytes <= 1 << 20, stats
        assert heap.snapshot().samples
        """,
        4 << 20,
    )


def test_where_the_tables_cannot_be_mapped_start_says_so_and_leaves_nothing() -> None:
    run(
        """
        import resource
        from lowtide import heap
        def used():
            return int(open("/proc/self/statm").read().split()[0])
        before = used()
        resource.setrlimit(resource.RLIMIT_AS, (before * resource.getpagesize() + (300 << 20), resource.RLIM_INFINITY))
        for _ in range(3):
            try:
                heap.start(max_bytes=1 << 30)
            except MemoryError as error:
                assert "address space" in str(error), error
            else:
                raise SystemExit("started")
        assert not heap.is_active()
        assert used() - before < 2000, used() - before
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        heap.start(1024)
        [bytes(1000) for _ in range(1000)]
        assert heap.snapshot().samples
        """
    )


def test_without_descriptors_a_snapshot_fails_cleanly_and_the_next_one_works() -> None:
    run(
        """
        import os, resource
        from lowtide import heap
        heap.start(1024)
        heap.snapshot()
        kept = [bytes(1000) for _ in range(1000)]
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        opened = []
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
        try:
            while True:
                opened.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            pass
        for call in (heap.snapshot, lambda: heap.write("/tmp/never.pb.gz")):
            try:
                call()
            except OSError as error:
                assert error.errno == 24, error
            else:
                raise SystemExit("no error")
        for descriptor in opened:
            os.close(descriptor)
        assert heap.snapshot().samples
        """
    )


def test_snapshots_into_a_closed_descriptor_or_a_full_pipe_raise_and_leave_no_reader_behind() -> None:
    run(
        """
        import errno, fcntl, os, resource
        from lowtide import heap, _core
        heap.start(64, 64, 8 << 20)
        kept = [[bytes(n) for n in range(500)] for _ in range(10)]
        def expect(code, fd):
            try:
                _core.encode(fd, (), b"", (), 0)
            except OSError as error:
                assert error.errno == code, error
            else:
                raise SystemExit(f"no error {code}")
        closed = os.open("/dev/null", os.O_WRONLY)
        os.close(closed)
        expect(errno.EBADF, closed)
        read, write = os.pipe()
        fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
        os.set_blocking(write, False)
        expect(errno.EAGAIN, write)
        os.close(read)
        expect(errno.EPIPE, write)
        expect(errno.ENOSPC, os.open("/dev/full", os.O_WRONLY))
        expect(errno.EBADF, os.open("/dev/null", os.O_RDONLY))
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
        try:
            heap.snapshot()
        except OSError as error:
            assert error.errno == errno.EFBIG, error
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        heap.start(128, 64, 4 << 20)  # would wait for a reader
        assert heap.snapshot().samples
        """
    )


LEAKS = """
    import gc, os, sys
    from lowtide import heap
    rounds = int(sys.argv[1])
    def held():
        gc.collect()
        with open("/proc/self/statm") as statm, open("/proc/self/maps") as maps:
            pages = statm.read().split()
            return int(pages[0]), int(pages[1]), len(maps.readlines()), len(os.listdir("/proc/self/fd"))
    def repeat(call, times):
        for i in range(times):
            call(i)
        before = held()
        for i in range(times):
            call(i)
        grown = [b - a for a, b in zip(before, held())]
        assert grown[0] < 600 and grown[1] < 600 and grown[2] < times // 20 and grown[3] == 0, (call, grown)
    def start_and_stop(i):
        heap.start(1024 << i % 4, 16 + i % 2, (2 << 20) << i % 2)
        bytes(10_000)
        heap.stop()
    def restart(i):
        heap.start(1024 << i % 4, 16 + i % 2, (2 << 20) << i % 2)
    repeat(start_and_stop, rounds)
    repeat(restart, rounds)
    kept = [str(n) * 100 for n in range(1000)]
    repeat(lambda i: heap.snapshot(), rounds // 10)
    repeat(lambda i: heap.write("/dev/null"), rounds // 10)
    """


@pytest.mark.parametrize("rounds", [2_000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_starting_stopping_and_snapshots_leave_nothing_behind(rounds: int) -> None:
    run(LEAKS, rounds, seconds=200)
