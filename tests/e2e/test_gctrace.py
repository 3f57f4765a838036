"""A program under LOWTIDE_GCTRACE: every collection has its line, to the very end, and the program is as it was."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lowtide.pacer import record
from lowtide.pacer.record import Collection
from tests.e2e.programs import environment, python, script

pytest.importorskip("lowtide._core", reason="the extension is not built")

IS_INCREMENTAL = (3, 14) <= sys.version_info < (3, 14, 5)

EVERYTHING = """
    import atexit, gc

    def at_exit():
        gc.collect(1)  # line 5

    atexit.register(at_exit)
    old = [[i] for i in range(50_000)]
    gc.collect()  # line 9
    older = []
    for i in range(400_000):
        older.append([i])
    gc.collect(0)  # line 13
    print("done")
"""


def traced(folder: Path, source: str, **extra: str) -> tuple[str, list[Collection]]:
    """Run a program; return its output and its collections."""
    log = folder / "gc.log"
    result = python(script(folder, source), env=environment(LOWTIDE_GCTRACE=str(log), **extra))
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout, list(record.parse(log.read_text()).collections)


@pytest.mark.skipif(IS_INCREMENTAL, reason="the incremental collector runs no full collection of its own accord")
def test_every_kind_of_collection_has_its_line_and_its_cause(tmp_path: Path) -> None:
    out, collections = traced(tmp_path, EVERYTHING)

    assert out == "done\n"
    explicit = [(c.generation, c.caller.rpartition("/")[2]) for c in collections if c.cause == "explicit"]
    assert explicit == [(2, "program.py:9"), (0, "program.py:13"), (1, "program.py:5")]
    assert {c.generation for c in collections if c.cause == "young"} == {0, 1}
    assert {c.generation for c in collections if c.cause == "full"} == {2}
    assert [c.number for c in collections] == list(range(1, len(collections) + 1))


def test_the_last_line_is_the_collection_of_the_interpreter_s_end(tmp_path: Path) -> None:
    _, collections = traced(tmp_path, EVERYTHING)

    assert [c.cause for c in collections].index("shutdown") == len(collections) - 1
    assert collections[-1].generation == 2


def test_a_program_that_does_nothing_has_a_trace_that_can_be_read(tmp_path: Path) -> None:
    _, collections = traced(tmp_path, "import gc; gc.disable()")
    assert collections == []


def test_finalizers_of_the_very_end_that_collect_and_raise_do_no_harm(tmp_path: Path) -> None:
    source = """
        import gc, sys, threading, time

        class Late:
            def __init__(self):
                self.itself = self
            def __del__(self):
                gc.collect()
                kept.append([[] for _ in range(10_000)])
                raise ValueError

        def for_ever():
            while True:
                [[[]] for _ in range(1000)]

        kept = []
        sys.unraisablehook = lambda args: None
        threading.Thread(target=for_ever, daemon=True).start()
        late = Late()
        del late
        module_level = Late()
        print("done")
    """
    out, collections = traced(tmp_path, source)
    assert out == "done\n"
    assert collections[-1].cause == "shutdown"


@pytest.mark.parametrize("end", ["os._exit(3)", "sys.exit(3)", "os.kill(os.getpid(), 15)", "raise KeyboardInterrupt"])
def test_the_program_ends_as_it_would_and_nothing_is_left_out_but_the_last_moment(end: str, tmp_path: Path) -> None:
    source = f"import gc, os, sys, time\\ngc.collect()\\ntime.sleep(0.15)\\ngc.collect(0)\\nx = 1\\n{end}"
    program = script(tmp_path, source.replace("\\n", "\n"))
    log = tmp_path / "gc.log"
    plain = python(program)
    result = python(program, env=environment(LOWTIDE_GCTRACE=str(log)))

    assert (result.returncode, result.stdout, result.stderr) == (plain.returncode, plain.stdout, plain.stderr)
    collections = record.parse(log.read_text()).collections
    assert "explicit" in [c.cause for c in collections]


def test_stderr_has_lines_among_those_of_the_program(tmp_path: Path) -> None:
    source = "import gc, sys\ngc.collect()\nprint('mine', file=sys.stderr)\ngc.collect(0)"
    result = python(script(tmp_path, source), env=environment(LOWTIDE_GCTRACE="1"))

    assert "mine\n" in result.stderr
    assert re.search(r"^gc \d+ @[\d.]+s [\d.]+%: gen2 explicit .* by .*program.py:2$", result.stderr, re.MULTILINE)
    assert "explicit" in [c.cause for c in record.parse(result.stderr).collections]


@pytest.mark.parametrize("how", ["closed", "replaced"])
def test_a_program_without_a_stderr_is_as_it_was(how: str, tmp_path: Path) -> None:
    act = (
        "os.close(2)"
        if how == "closed"
        else f"os.dup2(os.open({str(tmp_path / 'own')!r}, os.O_CREAT | os.O_WRONLY), 2)"
    )
    program = script(tmp_path, f"import gc, os, sys\nsys.stderr = None\n{act}\ngc.collect()\nprint('done')")

    result = python(program, env=environment(LOWTIDE_GCTRACE="1"))

    assert (result.returncode, result.stdout) == (0, "done\n")
    assert how == "closed" or (tmp_path / "own").read_text() == ""


def test_a_reader_that_goes_away_is_no_broken_pipe_of_the_program(tmp_path: Path) -> None:
    source = """
        import gc, signal, sys, time
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # as tools do that want to die of it
        sys.stdin.readline()
        for _ in range(3):
            gc.collect()
            time.sleep(0.12)
        sys.stdout.write("done")
    """
    program = script(tmp_path, source)
    with subprocess.Popen(
        [sys.executable, program],
        env=environment(LOWTIDE_GCTRACE="1"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stderr.close()
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.read() == "done"
    assert process.returncode == 0


def test_forked_workers_and_a_parent_each_have_a_whole_trace(tmp_path: Path) -> None:
    source = """
        import gc, os, sys
        gc.collect()
        pids = []
        for worker in range(3):
            pid = os.fork()
            if pid == 0:
                for _ in range(worker + 1):
                    gc.collect(1)
                sys.exit(0)
            pids.append(pid)
        assert [os.waitpid(pid, 0)[1] for pid in pids] == [0, 0, 0]
        print(*pids)
    """
    out, parents = traced(tmp_path, source)

    assert [c.generation for c in parents if c.cause == "explicit"] == [2]
    for worker, pid in enumerate(out.split()):
        trace = record.parse((tmp_path / f"gc.log.{pid}").read_text())
        assert trace.header.pid == int(pid)
        assert [c.generation for c in trace.collections if c.cause == "explicit"] == [1] * (worker + 1)
        assert trace.collections[0].number == 1


def test_a_python_that_the_program_starts_does_not_write_into_its_trace(tmp_path: Path) -> None:
    source = """
        import gc, subprocess, sys
        subprocess.run([sys.executable, "-c", "import gc; gc.collect(1)"], check=True)
        gc.collect()
    """
    _, collections = traced(tmp_path, source)

    assert [c.generation for c in collections if c.cause == "explicit"] == [2]
    (other,) = tmp_path.glob("gc.log.*")
    assert [c.generation for c in record.parse(other.read_text()).collections if c.cause == "explicit"] == [1]


def test_a_killed_program_leaves_a_trace_that_can_be_read(tmp_path: Path) -> None:
    source = """
        import gc, time
        print("ready", flush=True)
        while True:
            kept = [[i] for i in range(3000)]
            gc.collect(0)
    """
    log = tmp_path / "gc.log"
    with subprocess.Popen(
        [sys.executable, script(tmp_path, source)],
        env=environment(LOWTIDE_GCTRACE=str(log)),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            process.stdout.readline()
            patience = time.monotonic() + 20
            while log.stat().st_size < 20_000 and time.monotonic() < patience:
                time.sleep(0.01)
        finally:
            process.kill()

    collections = record.parse(log.read_text()).collections
    assert [c.number for c in collections] == list(range(1, len(collections) + 1))
    assert len(collections) > 50


def test_a_variable_that_means_nothing_is_one_line_and_the_program_runs(tmp_path: Path) -> None:
    result = python(script(tmp_path, "print('done')"), env=environment(LOWTIDE_GCTRACE="json:"))

    assert (result.returncode, result.stdout) == (0, "done\n")
    (line,) = result.stderr.splitlines()
    assert line.startswith("lowtide: LOWTIDE_GCTRACE: expected 1 (stderr), a file or json:FILE, got 'json:'")


def test_a_sub_interpreter_is_not_watched_and_may_not_watch(tmp_path: Path) -> None:
    source = """
        import gc
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        interpreter = interpreters.create()
        failure = interpreters.run_string(interpreter, '''if True:
            import gc
            gc.collect()
            try:
                from lowtide.pacer import watch
                watch.subscribe(print)
            except RuntimeError as error:
                print(error)
        ''')
        assert failure is None, failure
        interpreters.destroy(interpreter)
        gc.collect(1)
    """
    out, collections = traced(tmp_path, source)

    assert "main interpreter" in out
    assert [c.generation for c in collections if c.cause == "explicit"] == [1]
