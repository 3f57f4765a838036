"""Other profilers around ours, in every order: nobody crashes, and ours says when it is out of the chain."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.hostile import run

ROOT = Path(__file__).resolve().parents[2]

pytest.importorskip("lowtide._core", reason="the extension is not built")

# What each step does to a stack of hooks; `above` is what the last to start leaves on top.
STEPS = """
    import gc, itertools, os, sys, traceback
    from lowtide import heap
    def allocate():
        return [bytearray(n * 50) for n in range(50)], {n: str(n) for n in range(50)}
    kept = []
    def churn():
        kept.append(allocate())
        del kept[:-4:2]
        for blocks, _ in kept:
            for block in blocks:
                block.extend(b"more")
        gc.collect()
    """


TRACEMALLOC = """
    import tracemalloc
    def start_peer():
        tracemalloc.start(5)
    def stop_peer():
        tracemalloc.stop()
    def use_peer():
        if tracemalloc.is_tracing():
            assert tracemalloc.get_traced_memory()[0] > 0
            tracemalloc.take_snapshot()
    """

# `hooks` names who is in the chain, from the bottom: a peer that stops puts back what it found when it started.
ORDERS = """
    def follow(order):
        hooks, armed = [], False
        for step in order:
            churn()
            if step == "+ours":
                heap.start(700, 64, 4 << 20)
                armed = True
                if "ours" not in hooks:
                    hooks.append("ours")
            elif step == "-ours":
                heap.stop()
                armed = False
            elif step == "+peer" and "peer" not in hooks:
                start_peer()
                hooks.append("peer")
            elif step == "-peer" and "peer" in hooks:
                stop_peer()
                del hooks[hooks.index("peer"):]
            churn()
            use_peer()
            stats = heap.stats()
            assert heap.is_active() == (armed and "ours" in hooks), (order, step, hooks, stats)
            assert stats.displaced == (armed and "ours" not in hooks), (order, step, hooks, stats)
            if stats.interval_bytes:
                remarks = [comment for comment in heap.snapshot().comments if "displaced" in comment]
                assert bool(remarks) == stats.displaced, (order, step, remarks, stats)
        heap.start(700, 64, 4 << 20)
        before = heap.stats().samples
        churn()
        assert heap.is_active() and heap.stats().samples > before, order
    def run_orders(length):
        running = failed = 0
        def wait():
            nonlocal running, failed
            running -= 1
            failed += os.wait()[1] != 0
        for order in itertools.product(["+ours", "-ours", "+peer", "-peer"], repeat=length):
            if running == 4:
                wait()
            running += 1
            if os.fork() == 0:
                try:
                    follow(order)
                    os._exit(0)
                finally:
                    traceback.print_exc()
                    os._exit(1)
        while running:
            wait()
        assert failed == 0, f"{failed} orders failed"
    """


@pytest.mark.parametrize("length", [3, pytest.param(4, marks=pytest.mark.slow)])
def test_tracemalloc_starts_and_stops_around_ours_in_every_order(length: int) -> None:
    run(
        STEPS + TRACEMALLOC + ORDERS + "\n    run_orders(int(sys.argv[1]))",
        length,
        options=("-W", "ignore"),
        seconds=300,
    )


MEMRAY = """
    import memray, tempfile
    tracker = None
    def start_peer():
        global tracker
        tracker = memray.Tracker(tempfile.mktemp(), trace_python_allocators=True)
        tracker.__enter__()
    def stop_peer():
        tracker.__exit__(None, None, None)
    def use_peer():
        pass
    """

DDTRACE = """
    from ddtrace.profiling.collector import _memalloc
    def start_peer():
        _memalloc.start(64, 1000, sys.version_info >= (3, 12))
    def stop_peer():
        _memalloc.stop()
    def use_peer():
        pass
    """


@pytest.fixture(scope="session")
def peers() -> Path:
    """Install the peers into a folder of their own: ddtrace brings a plugin that pytest would load."""
    folder = ROOT / "artifacts" / "peers" / sys.implementation.cache_tag
    command = [sys.executable, "-m", "pip", "install", "-q", "--upgrade", "--only-binary", ":all:", "--target"]
    if (
        not (folder / "ddtrace").exists()
        and subprocess.run([*command, str(folder), "memray", "ddtrace"]).returncode != 0
    ):
        pytest.skip("memray and ddtrace cannot be installed for this Python")
    return folder


@pytest.mark.slow
@pytest.mark.xdist_group("peers")
@pytest.mark.parametrize("peer", [MEMRAY, DDTRACE], ids=["memray", "ddtrace"])
def test_peers_start_and_stop_around_ours_in_every_order(peer: str, peers: Path, tmp_path: Path) -> None:
    run(
        STEPS + peer + ORDERS + "\n    run_orders(3)",
        options=("-W", "ignore"),
        seconds=300,
        PYTHONPATH=str(peers),
        TMPDIR=str(tmp_path),
    )
