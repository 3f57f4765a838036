"""The interpreter goes down while threads, finalizers and exit handlers still allocate."""

import pytest

from tests.e2e.hostile import run

pytest.importorskip("lowtide._core", reason="the extension is not built")

# One process starts many and waits for each: starting pytest's machinery for each would take longer than they do.
REPEAT = """
    import os, subprocess, sys
    program, times, parallel = sys.argv[1], int(sys.argv[2]), 2
    running = []
    def wait():
        child = running.pop(0)
        try:
            out, err = child.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            child.send_signal(6)  # faulthandler shows the stacks
            raise SystemExit("hung:\\n" + child.communicate()[1])
        assert child.returncode == 0 and not err, f"exit code {child.returncode}:\\n{err}"
    for _ in range(times):
        if len(running) == parallel:
            wait()
        running.append(
            subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )
    while running:
        wait()
    """

START = "from lowtide import heap; heap.start({interval}, 128, 4 << 20)\n"

DAEMONS = """
import threading, time, zlib
def churn():
    data = bytes(range(256)) * 20
    while True:
        kept = [str(n) * n for n in range(100)]
        zlib.compress(data)  # lets go of the GIL
def snapshots():
    while True:
        heap.snapshot()
        heap.write("/dev/null")
for work in (churn, churn, snapshots):
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.02)
"""

FINALIZERS = """
import atexit, builtins, gc, sys, weakref
class Cycle:
    def __init__(self):
        self.me = self
        self.blocks = [bytes(1000) for _ in range(10)]
    def __del__(self):
        self.more = [str(n) for n in range(100)]
        if heap is not None:
            heap.is_active()
kept = [Cycle() for _ in range(20)]
class Key: pass
keys = [Key() for _ in range(20)]
references = [weakref.ref(key, lambda _: [bytes(500) for _ in range(50)]) for key in keys]
weakref.finalize(kept[0], lambda: [bytes(100) for _ in range(1000)])
def at_exit():
    assert heap.snapshot().samples
    [bytes(1000) for _ in range(1000)]
atexit.register(at_exit)
builtins.kept_beyond_modules = Cycle()
sys.kept_too = [Cycle() for _ in range(5)]
"""

NATIVE = """
import hostile_native as native
native.start_churning(3)
while native.churned_blocks() < 5000:
    bytes(1000)
"""

RESTARTS = """
import atexit
atexit.register(lambda: heap.start(256, 64, 8 << 20))
atexit.register(heap.stop)
class Last:
    def __del__(self):
        try:
            heap.start(300, 64, 4 << 20)
            heap.snapshot()
        except (ImportError, AttributeError, TypeError, RuntimeError):
            pass  # what Python code needs may be gone; the core may not mind
import sys
sys.last_of_all = Last()
"""

GOODBYES = {"daemon threads": DAEMONS, "finalizers": FINALIZERS, "native threads": NATIVE, "late starts": RESTARTS}


@pytest.mark.parametrize("times", [6, pytest.param(150, marks=pytest.mark.slow)])
@pytest.mark.parametrize("interval", [1, 3000])
@pytest.mark.parametrize("goodbye", GOODBYES.values(), ids=GOODBYES)
def test_the_interpreter_ends_in_peace(goodbye: str, interval: int, times: int) -> None:
    run(REPEAT, START.format(interval=interval) + goodbye, times, seconds=400)


@pytest.mark.parametrize(
    "goodbye", ["raise SystemExit(0)", "import os; os._exit(0)", "import os, sys; os.execv('/bin/true', ['true'])"]
)
def test_other_ways_out_while_threads_allocate(goodbye: str) -> None:
    run(REPEAT, START.format(interval=100) + DAEMONS + NATIVE + goodbye, 4)


@pytest.mark.parametrize("times", [4, pytest.param(100, marks=pytest.mark.slow)])
def test_under_lowtide_run_daemon_threads_end_with_the_program(
    times: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    out = tmp_path_factory.mktemp("profiles")
    run(
        REPEAT,
        "from lowtide import heap\n" + DAEMONS + NATIVE,
        times,
        LOWTIDE_HEAP=f"interval=1000,every=0.1,out={out}",
    )
    assert len(list(out.glob("heap.*.pb.gz"))) >= times
    assert not list(out.glob(".*.tmp"))
