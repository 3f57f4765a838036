"""Threads, native ones too, allocate while others start, stop, fork, raise signals and take snapshots."""

import sys

import pytest

from tests.e2e.hostile import run

pytest.importorskip("lowtide._core", reason="the extension is not built")


@pytest.mark.parametrize("seconds", [2, pytest.param(60, marks=pytest.mark.slow)])
def test_threads_allocate_while_others_start_stop_change_and_read(seconds: float) -> None:
    run(
        """
        import sys, threading, time
        import hostile_native as native
        from lowtide import heap
        end = time.monotonic() + float(sys.argv[1])
        errors = []
        def repeat(work):
            def loop():
                n = 0
                while time.monotonic() < end:
                    try:
                        work(n)
                    except Exception as error:
                        errors.append(error)
                        raise
                    n += 1
                done[work.__name__] = done.get(work.__name__, 0) + n
            return threading.Thread(target=loop)
        done = {}
        def allocate(n):
            return [str(i) * (n % 100) for i in range(100)], bytes(n % 100_000)
        def restart(n):
            heap.start(1 << n % 20, 1 + n % 1024, (2 << 20) + (n % 5 << 20))
            time.sleep(0.002)
        def stop(n):
            heap.stop()
            time.sleep(0.01)
        def read(n):
            assert heap.snapshot().sample_types
        def ask(n):
            heap.stats(), heap.is_active()
            time.sleep(0.001)
        heap.start(1024)
        native.start_churning(2)
        threads = [repeat(work) for work in (allocate, allocate, restart, stop, read, read, ask)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        native.stop_churning()
        assert not errors, errors
        assert min(done.values()) > 10, done
        heap.start(1024)
        kept = [bytes(1000) for _ in range(1000)]
        assert heap.is_active() and heap.snapshot().samples
        """,
        seconds,
        seconds=seconds + 40,
    )


@pytest.mark.parametrize("frames", [1, 1024])
@pytest.mark.parametrize("interval", [1, 700])
def test_threads_with_the_smallest_stacks_have_room_for_a_sample(frames: int, interval: int) -> None:
    run(
        """
        import os, sys, threading
        import hostile_native as native
        from lowtide import heap
        heap.start(int(sys.argv[1]), int(sys.argv[2]), 8 << 20)
        def deep(n):
            return [bytes(600)] if n == 0 else deep(n - 1) + ["é" * n]
        def work():
            for _ in range(20):
                deep(100)
            names = {}
            exec("class Größe:\\n def __init__(self): self.ø = [str(n) for n in range(9)]\\n", names)
            names["Größe"]()
        # 3.12 and 3.13 need more for exec itself, 3.14 keeps a margin of its own.
        kib = {(3, 11): 32, (3, 12): 64, (3, 13): 64}.get(sys.version_info[:2], 256)
        threading.stack_size(kib * 1024)
        for _ in range(5):
            threads = [threading.Thread(target=work) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        native.start_churning(2, os.sysconf("SC_THREAD_STACK_MIN"))
        before = heap.stats().samples
        while heap.stats().samples < before + 1000:
            bytes(100)
        native.stop_churning()
        """,
        interval,
        frames,
    )


def test_a_thread_with_a_small_stack_may_write_a_snapshot() -> None:
    run(
        """
        import sys, threading
        from lowtide import heap
        heap.start(1024)
        kept = [bytes(1000) for _ in range(1000)]
        heap.write("/dev/null")
        threading.stack_size((64 if sys.version_info < (3, 14) else 256) * 1024)
        thread = threading.Thread(target=heap.write, args=("/dev/null",))
        thread.start()
        thread.join()
        """
    )


def test_other_libraries_may_allocate_in_their_fork_handlers() -> None:
    run(
        """
        import os
        import hostile_native as native
        from lowtide import heap
        native.allocate_at_fork()  # before ours: their handlers run between ours
        heap.start(100)
        native.allocate_at_fork()
        for _ in range(20):
            child = os.fork()
            if child == 0:
                kept = [bytes(500) for _ in range(100)]
                os._exit(0 if heap.snapshot().samples else 1)
            assert os.waitpid(child, 0)[1] == 0
        """
    )


def test_signal_handlers_that_allocate_every_millisecond() -> None:
    run(
        """
        import signal, threading, time
        from lowtide import heap
        handled = []
        def handler(number, frame):
            handled.append([bytes(2000), {1: str(frame.f_lineno)}])
            del handled[:-50]
            handler.count += 1
        handler.count = 0
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        heap.start(64, 128, 4 << 20)
        threads = [threading.Thread(target=lambda: [heap.write("/dev/null") for _ in range(30)]) for _ in range(2)]
        for thread in threads:
            thread.start()
        end = time.monotonic() + 1.5
        while time.monotonic() < end or any(thread.is_alive() for thread in threads):
            heap.start(64 + handler.count % 2, 128, 4 << 20)
            [str(n) for n in range(500)]
            heap.snapshot() if handler.count % 50 == 0 else heap.stats()
        signal.setitimer(signal.ITIMER_REAL, 0)
        assert handler.count > 100, handler.count
        assert heap.is_active()
        """
    )


def test_an_exception_that_a_signal_handler_raises_reaches_the_program() -> None:
    run(
        """
        import signal
        from lowtide import heap
        class Timeout(Exception):
            pass
        def handler(number, frame):
            raise Timeout
        signal.signal(signal.SIGALRM, handler)
        heap.start(64)
        kept = [bytes(100) for _ in range(5000)]
        heap.snapshot()  # nothing is left to import
        caught = 0
        for i in range(60):
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0005 + i * 0.0001)
                while True:
                    heap.snapshot()
            except Timeout:
                caught += 1
        assert caught == 60
        blocks = heap.stats().samples
        kept.extend(bytes(1000) for _ in range(1000))
        assert heap.stats().samples > blocks + 500, "left in bypass"
        """
    )


def test_snapshots_at_the_same_time_wait_for_each_other_and_nobody_for_them() -> None:
    """Full tables leave room for the copies of one or two; a change of the interval needs none."""
    run(
        """
        import os, threading, time
        from lowtide import heap, _core
        heap.start(64, 64, 2 << 20)
        kept = [bytes(i % 5000) for i in range(20_000)]
        end, errors, waits = time.monotonic() + 1.5, [], []
        def read():
            null = os.open("/dev/null", os.O_WRONLY)
            while time.monotonic() < end:
                try:
                    _core.encode(null, (), b"", (), 0)
                except OSError as error:
                    errors.append(error)
        threads = [threading.Thread(target=read) for _ in range(8)]
        for thread in threads:
            thread.start()
        restarts = 0
        while time.monotonic() < end:
            heap.start(64 + restarts % 2, 64, 2 << 20)
            restarts += 1
        for thread in threads:
            thread.join()
        assert not errors, (len(errors), errors[0])
        assert restarts > 20, restarts
        """
    )


def test_a_pending_call_at_the_end_of_the_stack_is_not_felt() -> None:
    run(
        """
        import sys
        from lowtide import _core
        def callback():
            def down():
                down()
            down()
        def late(error):
            raise error
        def wait():
            for _ in range(1000):
                pass
        _core.call_soon(callback)
        wait()
        _core.call_soon(lambda: late(MemoryError()))
        wait()
        try:
            _core.call_soon(lambda: late(TimeoutError()))  # as a signal handler of the program may
            wait()
        except TimeoutError:
            pass
        else:
            raise SystemExit("the program's own error was lost")
        """
    )


CHILDREN = """
    import concurrent.futures, os, subprocess, sys, threading, time
    from lowtide import heap
    heap.start(512, 64, 4 << 20)
    stop = threading.Event()
    def churn():
        while not stop.is_set():
            [str(i) * 50 for i in range(200)]
    def snapshots():
        while not stop.is_set():
            heap.snapshot()
    background = [threading.Thread(target=work) for work in (churn, churn, snapshots)]
    for thread in background:
        thread.start()
    def vfork(_):
        subprocess.run([sys.executable, "-S", "-c", ""], check=True)
    def spawn(_):
        pid = os.posix_spawn(sys.executable, [sys.executable, "-S", "-c", ""], os.environ)
        assert os.waitpid(pid, 0)[1] == 0
    def plain(_):
        churn = lambda: [bytes(1000) for _ in range(100)]
        subprocess.run([sys.executable, "-S", "-c", ""], check=True, preexec_fn=churn)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for work in (vfork, spawn, plain):
            list(pool.map(work, range(int(sys.argv[1]))))
    stop.set()
    for thread in background:
        thread.join()
    assert heap.is_active()
    """


@pytest.mark.parametrize("children", [10, pytest.param(300, marks=pytest.mark.slow)])
def test_children_of_every_kind_start_under_load(children: int) -> None:
    run(CHILDREN, children, options=("-W", "ignore"), seconds=200)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="interpreters had no GIL of their own")
@pytest.mark.parametrize("wrap", [False, True], ids=["started", "lowtide run"])
def test_interpreters_with_a_gil_of_their_own_allocate_in_parallel(wrap: bool) -> None:
    run(
        """
        import os, sys, threading
        from lowtide import heap
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        started = "started" in sys.argv
        if started:
            heap.start(512, 64, 4 << 20)
        source = '''
        kept = []
        for i in range(3000):
            kept.append([str(n) * 20 for n in range(20)])
            if i % 10 == 0:
                kept.clear()
                exec(f"def f_{i}(): return [bytes(300) for _ in range(20)]")
        '''.replace("\\n        ", "\\n")
        def work():
            if sys.version_info >= (3, 13):
                interpreter = interpreters.create("isolated")
            else:
                interpreter = interpreters.create(isolated=True)
            failure = interpreters.run_string(interpreter, source)
            assert failure is None, failure
            interpreters.destroy(interpreter)
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            heap.snapshot()
            if started:
                heap.start(512 + heap.stats().samples % 2, 64, 4 << 20)
        assert heap.is_active()
        """,
        "run" if wrap else "started",
        wrap=wrap,
        seconds=90,
    )


def test_interpreters_that_share_the_gil_are_profiled_too() -> None:
    run(
        """
        import sys
        from lowtide import heap
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        heap.start(1)
        for _ in range(5):
            if sys.version_info >= (3, 13):
                interpreter = interpreters.create("legacy")
            else:
                interpreter = interpreters.create(isolated=False)
            interpreters.run_string(interpreter, '''if True:
                from lowtide import heap
                assert heap.is_active()
                def inside():
                    return [bytes(1000) for _ in range(100)]
                kept = inside()
                heap.start(1)
                assert any(row.name.endswith("inside") for row in heap.snapshot().top(10**6, by="function"))
            ''')
            interpreters.destroy(interpreter)
        names = {row.name.rpartition(".")[2] for row in heap.snapshot().top(10**6, "alloc_space", "function")}
        assert "inside" in names or "<listcomp>" in names, names
        """
    )
