"""Every way that Python code runs, and every way that the interpreter is set up: the same answers, and a profile."""

import importlib.util

import pytest

from tests.e2e.hostile import joined, run

pytest.importorskip("lowtide._core", reason="the extension is not built")

START = """
    import gc, sys, threading
    from lowtide import heap
    heap.start(int(sys.argv[1]), 1024, 8 << 20)
    """

PROGRAMS = {
    "generators": """
        def leaf(n):
            for i in range(n):
                yield [str(i)] * i
        def middle(n):
            yield from (x for x in leaf(n))
        def top(n):
            return [len(x) for x in middle(n)]
        suspended = [middle(50) for _ in range(100)]
        for generator in suspended:
            next(generator), next(generator)
        assert sum(top(100)) == 4950
        for generator in suspended[:50]:
            generator.close()
        def finish(part):
            return [list(generator) for generator in part]
        threads = [threading.Thread(target=finish, args=(suspended[50 + i::4],)) for i in range(4)]
        [t.start() for t in threads], [t.join() for t in threads]
        """,
    "coroutines": """
        import asyncio
        async def leaf(n):
            await asyncio.sleep(0)
            return {i: bytes(i) for i in range(n)}
        async def stream(n):
            for i in range(n):
                yield await leaf(i)
        async def main():
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(leaf(100)) for _ in range(100)]
            await asyncio.to_thread(lambda: [bytes(1000) for _ in range(1000)])
            assert [len(x) async for x in stream(20)] == list(range(20))
            return sum(len(task.result()) for task in tasks)
        assert asyncio.run(main()) == 10_000
        """,
    "deep recursion": """
        def down(n):
            return [bytes(100), down(n + 1)]
        class Deep:
            def __init__(self, n):
                self.n = [Deep(n + 1)]
            def __repr__(self):
                return repr(self.n) + str(self)
        def measure():
            depth = 0
            def count():
                nonlocal depth
                depth += 1
                count()
            try:
                count()
            except RecursionError:
                return depth
        before = (heap.stop(), measure())[1]
        heap.start(int(sys.argv[1]), 1024, 8 << 20)
        for _ in range(4):
            for work in (down, Deep, lambda n: repr(Deep.__new__(Deep))):
                try:
                    work(0)
                except (RecursionError, AttributeError):
                    pass
        assert measure() == before, (measure(), before)
        import json
        try:
            json.loads("[" * 100_000)
        except RecursionError:
            pass
        try:
            eval("-" * 3000 + "1")
        except (RecursionError, MemoryError):
            pass
        """,
    "a snapshot at the end of the stack": """
        heap.snapshot()
        outcomes = set()
        def down(work):
            try:
                down(work)
            except RecursionError:
                pass
            try:
                outcomes.add(type(work()).__name__)
            except RecursionError:
                outcomes.add("RecursionError")
        for work in (heap.snapshot, heap.stats, heap.is_active, lambda: heap.start(1024)):
            down(lambda: work() if len(outcomes) < 2 else None)
        before = heap.stats().samples
        kept = [bytes(1000) for _ in range(5000)]
        assert heap.stats().samples > before + 1000, "left in bypass"
        """,
    "trace and profile functions": """
        events = 0
        def watch(frame, event, argument):
            global events
            events += 1
            assert "lowtide self-test" not in frame.f_code.co_filename
            return watch
        sys.settrace(watch), sys.setprofile(watch)
        def work():
            heap.start(900)
            return [str(i) for i in range(1000)]
        work()
        sys.settrace(None), sys.setprofile(None)
        assert events > 10
        """,
    "garbage collection in every allocation": """
        class Node:
            def __init__(self):
                self.other, self.data = self, [bytes(50)]
            def __del__(self):
                self.data.append(str(self.data))
        gc.set_threshold(1, 1, 1)
        kept = [[Node() for _ in range(50)] for _ in range(30)]
        del kept
        gc.set_threshold(700, 10, 10)
        gc.collect()
        """,
    "threads that come and go": """
        for _ in range(300):
            threads = [threading.Thread(target=lambda: [bytes(n) for n in range(200)]) for _ in range(4)]
            [thread.start() for thread in threads], [thread.join() for thread in threads]
        """,
}

LIBRARIES = {
    "greenlet": """
        import greenlet
        def work(n):
            kept = []
            for i in range(n):
                kept.append([str(i)] * 20)
                greenlet.getcurrent().parent.switch(i)
            return len(kept)
        def nested(depth):
            if depth == 0:
                return work(20)
            child = greenlet.greenlet(nested)
            result = child.switch(depth - 1)
            while not child.dead:
                greenlet.getcurrent().parent.switch(0)
                result = child.switch()
            return result
        for _ in range(20):
            crowd = [greenlet.greenlet(nested) for _ in range(20)]
            for i, g in enumerate(crowd):
                g.switch(i % 5)
            while any(crowd):
                for g in crowd:
                    if not g.dead:
                        g.switch()
                crowd = [g for g in crowd[: len(crowd) - 1]]  # some die suspended
        """,
    "gevent": """
        import gevent, gevent.pool, time, queue, subprocess
        def work(n):
            kept = []
            for i in range(20):
                kept.append([str(i)] * n)
                time.sleep(0.0001)
            heap.write("/dev/null")
            return len(kept)
        pool = gevent.pool.Pool(20)
        assert pool.map(work, range(30)) == [20] * 30
        thread = threading.Thread(target=work, args=(5,))
        thread.start()
        thread.join()
        assert subprocess.run([sys.executable, "-S", "-c", "print(1)"], capture_output=True).stdout == b"1\\n"
        """,
    "uvloop": """
        import asyncio, uvloop
        async def serve(reader, writer):
            while line := await reader.readline():
                writer.write(line * 50)
            writer.close()
        async def client(port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for i in range(20):
                writer.write(b"x" * 100 + b"\\n")
                assert len(await reader.readexactly(5050)) == 5050
            writer.close()
        async def main():
            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            await asyncio.gather(*(client(port) for _ in range(20)))
            server.close()
        uvloop.run(main())
        """,
}

END = """
    heap.start(int(sys.argv[1]), 1024, 8 << 20)
    def last():
        return [bytearray(300) for _ in range(2000)]
    kept = last()
    assert heap.is_active()
    names = {row.name.rpartition(".")[2] for row in heap.snapshot().top(10**6, "inuse_space", "function")}
    assert "last" in names, names
    """

SET_UPS = {
    "default": {},
    "PYTHONMALLOC=debug": {"PYTHONMALLOC": "debug"},
    "PYTHONMALLOC=malloc": {"PYTHONMALLOC": "malloc"},
    "PYTHONMALLOC=malloc_debug": {"PYTHONMALLOC": "malloc_debug"},
    "PYTHONMALLOC=pymalloc_debug": {"PYTHONMALLOC": "pymalloc_debug"},
    "-X dev": {"options": ("-X", "dev")},
    "-X tracemalloc": {"options": ("-X", "tracemalloc")},
    "-X importtime -v": {"options": ("-X", "importtime", "-v")},
    "-OO": {"options": ("-OO",)},
    "MALLOC_PERTURB_": {"MALLOC_PERTURB_": "165", "PYTHONMALLOC": "malloc"},
}


def program(source: str) -> str:
    return joined(START, source, END)


@pytest.mark.parametrize("interval", [1, 1000])
@pytest.mark.parametrize("source", PROGRAMS.values(), ids=PROGRAMS)
def test_code_of_every_kind_runs_as_without(source: str, interval: int) -> None:
    run(program(source), interval)


@pytest.mark.parametrize("set_up", SET_UPS.values(), ids=SET_UPS)
def test_every_set_up_of_the_allocators_works(set_up: dict[str, object]) -> None:
    names = ("generators", "coroutines", "garbage collection in every allocation")
    source = joined(*(PROGRAMS[name] for name in names))
    run(program(source), 100, **set_up)  # type: ignore[arg-type]  # a table of keyword arguments


@pytest.mark.parametrize("library", LIBRARIES)
def test_frameworks_that_switch_stacks_work(library: str) -> None:
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed for this Python")
    for interval in (1, 1000):
        run(program(LIBRARIES[library]), interval)


@pytest.mark.parametrize("when", ["before", "after"])
def test_gevent_may_patch_before_and_after_the_start(when: str) -> None:
    if importlib.util.find_spec("gevent") is None:
        pytest.skip("gevent is not installed for this Python")
    patch = "import gevent.monkey; gevent.monkey.patch_all()"
    order = (patch, START) if when == "before" else (START, patch)
    run(joined(*order, LIBRARIES["gevent"], END), 1000)
