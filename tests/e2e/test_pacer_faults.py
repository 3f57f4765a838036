"""What befalls the pacer in a program's life: forks, finalizers that misbehave, signals, and the end in every state."""

import sys
import textwrap
from pathlib import Path

import pytest

from tests.e2e.hostile import run
from tests.e2e.programs import python

pytest.importorskip("lowtide._core", reason="the extension is not built")
if (3, 14) <= sys.version_info < (3, 14, 5):
    pytest.skip("the incremental collector is only observed", allow_module_level=True)


@pytest.fixture(autouse=True)
def _lease(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let no other test's program take the turn to collect."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


PROLOGUE = """
import atexit, gc, os, signal, sys, threading, time
from lowtide import pacer
STOCK = gc.get_threshold()
NEVER = 2**31 - 1
class Cycle:
    def __init__(self, finalizer=None):
        self.me, self.finalizer = self, finalizer
    def __del__(self):
        if self.finalizer is not None:
            self.finalizer()
def serve(seconds=0.0):
    end = time.monotonic() + seconds
    while True:
        with pacer.request():
            kept.append([[] for _ in range(100)])
            [Cycle() for _ in range(100)]
        if time.monotonic() >= end:
            return
def freeze():
    while not pacer.status().frozen:
        serve(0.02)
kept = []
"""


def program(source: str) -> str:
    return PROLOGUE + textwrap.dedent(source)


STATES = {
    "never started": "",
    "advising": "pacer.start('advise'); serve(0.1)",
    "stopped": "pacer.start(); serve(0.1); pacer.stop()",
    "just started": "pacer.start()",
    "acting": "pacer.start(); serve(0.1)",
    "frozen": "pacer.start(); freeze()",
    "released": "pacer.start(); gc.set_threshold(5, 5, 5); pacer.step()",
    "disabled by the program": "pacer.start(); serve(0.1); gc.disable()",
    "in a request": "pacer.start(); pacer.request().begin()",
    "without callbacks": "pacer.start(); serve(0.1); gc.callbacks.clear()",
    "with a trace": "trace = pacer.trace('/dev/null'); pacer.start(); serve(0.1)",
    "in another thread": "pacer.start(); t = threading.Thread(target=freeze); t.start(); t.join()",
    "beside threads that serve": """
        pacer.start()
        for _ in range(3):
            threading.Thread(target=serve, args=(3600,), daemon=True).start()
        time.sleep(0.2)
        """,
    "with garbage that asks at the end": """
        pacer.start()
        kept.append(Cycle(pacer.step))
        kept.append(Cycle(pacer.stop))
        """,
    "with exit handlers on both sides": """
        atexit.register(pacer.step)
        atexit.register(serve)
        pacer.start()
        atexit.register(serve)
        atexit.register(pacer.step)
        """,
    "by an exception": "pacer.start(); serve(0.1); sys.exit(0)",
}


@pytest.mark.parametrize("state", STATES)
def test_the_interpreter_ends_in_silence(state: str) -> None:
    done = python("-X", "faulthandler", "-c", program(STATES[state]))

    problems = [
        line
        for line in done.stderr.splitlines()
        if not line.startswith(("lowtide: pacer: somebody else", "lowtide: the pacer hands back"))
    ]
    assert (done.returncode, done.stdout, problems) == (0, "", [])


def test_exit_handlers_of_the_program_see_the_collector_as_it_was() -> None:
    done = python("-c", program("atexit.register(lambda: print(gc.get_threshold() == STOCK)); pacer.start(); freeze()"))

    assert done.stdout == "True\n"


def test_a_forked_child_goes_on_and_hands_back_on_its_own() -> None:
    run(
        program(
            """
            pacer.start()
            freeze()
            pid = os.fork()
            if pid == 0:
                assert gc.get_threshold()[2] == NEVER
                assert pacer.status().collections == {}
                assert gc.get_freeze_count() > 2000, "nothing is unfrozen for a fork"
                end = time.monotonic() + 10
                while not pacer.status().collections and time.monotonic() < end:
                    serve(0.02)
                assert pacer.status().collections, "it acts"
                pacer.stop()
                assert gc.get_threshold() == STOCK
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
            assert gc.get_threshold()[2] == NEVER and pacer.status().frozen
            """
        )
    )


def test_what_a_child_shares_is_frozen_before_the_first_fork() -> None:
    run(
        program(
            """
            pacer.start()
            base = [[] for _ in range(50_000)]
            if os.fork() == 0:
                os._exit(gc.get_freeze_count() < 50_000)
            assert os.wait()[1] == 0
            pacer.stop()
            assert gc.get_freeze_count() < 50_000
            """
        )
    )


@pytest.mark.parametrize("how", ["gc.collect()", "serve(0.02)"])
def test_a_fork_in_the_middle_of_a_collection(how: str) -> None:
    run(
        program(
            f"""
            children = []
            def fork():
                pid = os.fork()
                children.append(pid)
            pacer.start()
            Cycle(fork)
            while not children:
                {how}
            if children[0] == 0:
                serve(0.2)
                assert gc.get_threshold()[2] == NEVER, gc.get_threshold()
                assert pacer.status().released == "", pacer.status()
                pacer.stop()
                assert gc.get_threshold() == STOCK
                os._exit(0)
            assert os.waitpid(children[0], 0)[1] == 0
            serve(0.1)
            assert pacer.status().released == ""
            pacer.stop()
            assert gc.get_threshold() == STOCK
            """
        )
    )


def test_many_generations_of_forks() -> None:
    run(
        program(
            """
            pacer.start()
            for depth in range(5):
                serve(0.05)
                pid = os.fork()
                if pid:
                    status = os.waitpid(pid, 0)[1]
                    pacer.stop()
                    assert gc.get_threshold() == STOCK
                    os._exit(status >> 8)
            pacer.stop()
            assert gc.get_threshold() == STOCK
            os._exit(0)
            """
        )
    )


@pytest.mark.parametrize(
    "finalizer",
    [
        "lambda: time.sleep(0.3)",
        "lambda: kept.extend([] for _ in range(50_000))",
        "lambda: 1 / 0",
        "lambda: gc.collect()",
        "lambda: serve(0.01)",
        "lambda: (pacer.stop(), pacer.start())",
        "lambda: (gc.unfreeze(), gc.set_threshold(900, 10, 10))",
        "lambda: [t.join() for t in [threading.Thread(target=serve)] if not t.start()]",
        "lambda: [t.join() for t in [threading.Thread(target=pacer.stop)] if not t.start()]",
    ],
)
def test_finalizers_that_misbehave_within_a_collection_of_the_pacer(finalizer: str) -> None:
    run(
        program(
            f"""
            sys.unraisablehook = lambda problem: None
            pacer.start()
            for _ in range(3):
                Cycle({finalizer})
                serve(0.2)
            pacer.stop()
            assert gc.get_threshold()[1:] == STOCK[1:], gc.get_threshold()
            assert gc.get_freeze_count() < 1000
            """
        )
    )


def test_no_interrupt_is_lost() -> None:
    run(
        program(
            """
            pacer.start()
            caught = 0
            for _ in range(50):
                try:
                    threading.Timer(0.002, os.kill, (os.getpid(), signal.SIGINT)).start()
                    while True:
                        with pacer.request():
                            cycle = []
                            cycle.append(cycle)
                except KeyboardInterrupt:
                    caught += 1
            assert caught == 50
            pacer.stop()
            assert gc.get_threshold() == STOCK
            """
        )
    )


def test_a_storm_of_explicit_collections() -> None:
    run(
        program(
            """
            pacer.start()
            def storm():
                for _ in range(300):
                    gc.collect(0), gc.collect(1)
            threads = [threading.Thread(target=storm) for _ in range(3)]
            [t.start() for t in threads]
            serve(0.3)
            [t.join() for t in threads]
            assert pacer.status().released == ""
            assert pacer.status().collections.get("growth", 0) < 10
            pacer.stop()
            assert gc.get_threshold() == STOCK
            """
        )
    )


def test_without_a_tick_and_without_anybody_who_asks_cpython_takes_over_again() -> None:
    run(
        program(
            """
            from lowtide import _core
            from lowtide.pacer import controller
            controller.WATCHDOG_SECONDS = 0.05
            pacer.start()
            _core.gc_set_tick(None)
            end = time.monotonic() + 10
            while gc.get_threshold() != STOCK and time.monotonic() < end:
                kept.append([[] for _ in range(1000)])
            assert gc.get_threshold() == STOCK
            """
        )
    )


SUB_INTERPRETER = """
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
other = interpreters.create()
interpreters.run_string(other, '''
from lowtide import pacer
try:
    pacer.start()
except RuntimeError as error:
    print(error)
''')
interpreters.destroy(other)
"""


def test_a_sub_interpreter_is_refused_in_words_and_passed_over_at_its_start() -> None:
    done = python("-c", program("pacer.start()\n") + SUB_INTERPRETER)
    assert (done.returncode, done.stderr) == (0, "")
    assert "main interpreter" in done.stdout
