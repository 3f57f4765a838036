"""Under `lowtide run` a program is what it is without: streams, exit code, modules, path, threads."""

import re
import signal
import subprocess
import sys
import time
import zipapp
from pathlib import Path
from typing import Any

import pytest

from lowtide.cli.run import BOOTSTRAP
from tests.e2e.programs import (
    BARE_PYTHON,
    PACKAGES,
    environment,
    lowtide,
    profiles,
    python,
    script,
    sites,
    without_announcement,
)

pytest.importorskip("lowtide._core", reason="the extension is not built")

ADDRESS = re.compile(r"0x[0-9a-f]+|started \d+")  # of an object, of a thread

PROGRAMS = {
    "arguments": "import sys; print(sys.argv)",
    "exit code": "raise SystemExit(3)",
    "exit with a text": "raise SystemExit('no such order')",
    "traceback": "def fail():\n    raise ValueError('é')\nfail()",
    "syntax error": "def fail(:",
    "standard input": "import sys; print(sys.stdin.read()[::-1])",
    "killed by a signal": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "killed by os.abort": "import os; os.abort()",
    "os._exit": "import os; print('lost?', flush=True); os._exit(7)",
    "closed stderr": "import os, sys; os.close(2); sys.stderr = None; print('fine')",
    "daemon threads at exit": """
        import threading, time
        def churn():
            while True:
                [bytes(1000) for _ in range(100)]
        for _ in range(3):
            threading.Thread(target=churn, daemon=True).start()
        time.sleep(0.05)
        print('done')
        """,
    "failing exit handler": "import atexit; atexit.register(lambda: 1 / 0)",
    "import path": "import sys; print(sys.path, 'sitecustomize' in sys.modules, 'usercustomize' in sys.modules)",
    "threads": "import threading; print(threading.enumerate(), threading.active_count())",
    "modules that change a program": """
        import sys
        print({'threading', 'multiprocessing', 'logging', 'random', 'asyncio', 'gc'} & set(sys.modules))
        """,
    "signal handlers": "import signal; print([signal.getsignal(n) for n in sorted(signal.valid_signals())])",
    "signal mask": "import signal; print(signal.pthread_sigmask(signal.SIG_BLOCK, []))",
    "open files": "import os; print(sorted(os.listdir('/proc/self/fd')))",
    "collector settings": "import gc; print(gc.isenabled(), gc.get_threshold(), gc.callbacks, gc.get_freeze_count())",
}


def same(program: list[str | Path], tmp_path: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run with and without lowtide and see no difference."""
    plain = python(*program, **options)
    profiled = lowtide("run", "--out", tmp_path / "out", *program, **options)
    assert ADDRESS.sub("", profiled.stdout) == ADDRESS.sub("", plain.stdout)
    assert ADDRESS.sub("", without_announcement(profiled.stderr)) == ADDRESS.sub("", plain.stderr)
    assert profiled.returncode == plain.returncode
    return plain


@pytest.mark.parametrize("source", PROGRAMS.values(), ids=PROGRAMS)
def test_a_program_behaves_as_without(source: str, tmp_path: Path) -> None:
    same([script(tmp_path, source), "--out", "x", "-m", "--", "ä b"], tmp_path, input="to be reversed")


def test_a_module_behaves_as_without(tmp_path: Path) -> None:
    script(tmp_path, "import sys; print(__name__, sys.argv[1:], sys.path[0])", "package/__main__.py")

    assert "__main__ ['-h', '--out']" in same(["-m", "package", "-h", "--out"], tmp_path, cwd=tmp_path).stdout


def test_a_missing_module_is_reported_by_python(tmp_path: Path) -> None:
    assert same(["-m", "no_such_module"], tmp_path).returncode == 1


def test_code_on_the_command_line_behaves_as_without(tmp_path: Path) -> None:
    same(["-c", "import sys; print(sys.argv)", "-c", "x"], tmp_path)


def test_a_script_on_standard_input_behaves_as_without(tmp_path: Path) -> None:
    same(["-", "argument"], tmp_path, input="import sys; print(sys.argv, __name__)")


def test_a_folder_and_a_zip_archive_behave_as_without(tmp_path: Path) -> None:
    script(tmp_path, "import sys, helper; print(sys.argv[1:], helper.__name__)", "app/__main__.py")
    script(tmp_path, "", "app/helper.py")
    zipapp.create_archive(tmp_path / "app", tmp_path / "app.pyz")

    same([tmp_path / "app", "one"], tmp_path)
    same([tmp_path / "app.pyz", "two"], tmp_path)


@pytest.mark.parametrize("name", ["sitecustomize", "usercustomize"])
@pytest.mark.parametrize("source", ["print('mine', __file__)", "raise RuntimeError('mine')"], ids=["works", "fails"])
def test_the_users_start_up_modules_keep_working(name: str, source: str, tmp_path: Path) -> None:
    script(tmp_path, source, f"{name}.py")
    program = script(tmp_path, f"import sys; print(sys.modules.get('{name}'), sys.path)")
    variable = f"interval=1,out={tmp_path}/out"

    paths = f"{tmp_path}:{PACKAGES}"
    plain = python(program, executable=BARE_PYTHON, env=environment(PYTHONPATH=paths))
    profiled = python(
        program, executable=BARE_PYTHON, env=environment(PYTHONPATH=f"{BOOTSTRAP}:{paths}", LOWTIDE_HEAP=variable)
    )

    assert "mine" in plain.stdout + plain.stderr
    assert (profiled.stdout, profiled.stderr) == (plain.stdout, plain.stderr)
    (profile,) = profiles(tmp_path / "out").values()
    assert "__main__.<module>" in sites(profile)


def test_an_interactive_session_runs_its_start_up_file(tmp_path: Path) -> None:
    start_up = script(tmp_path, "print('started')", "start_up.py")

    plain = python("-i", "-c", "", env=environment(PYTHONSTARTUP=str(start_up)), input="print(1 + 1)\n")
    profiled = python(
        "-i",
        "-c",
        "",
        env=environment(PYTHONSTARTUP=str(start_up), LOWTIDE_HEAP=f"out={tmp_path}/out"),
        input="print(1 + 1)\n",
    )

    assert (profiled.stdout, profiled.stderr) == (plain.stdout, plain.stderr)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_signals_reach_the_main_thread_at_once(number: signal.Signals, tmp_path: Path) -> None:
    program = script(
        tmp_path,
        f"""
        import signal, time, sys
        signal.signal({int(number)}, lambda number, frame: sys.exit(number))
        print("ready", flush=True)
        time.sleep(30)
        """,
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "lowtide", "run", "--out", str(tmp_path / "out"), str(program)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        begin = time.monotonic()
        process.send_signal(number)
        assert process.wait(20) == number
        assert time.monotonic() - begin < 20


def test_a_signal_that_the_program_waits_for_is_not_taken_by_our_thread(tmp_path: Path) -> None:
    """Unblocked in any thread, it would kill the process."""
    program = """
        import os, signal
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        for _ in range(50):
            os.kill(os.getpid(), signal.SIGUSR1)
            print(signal.sigwait([signal.SIGUSR1]))
        """
    assert same([script(tmp_path, program)], tmp_path).returncode == 0


def test_forking_raises_no_warning_about_threads(tmp_path: Path) -> None:
    """CPython >= 3.12 counts the process's threads at each fork; hooks written in Python are among ours."""
    program = """
        import os, time, warnings
        warnings.simplefilter("error")
        def hook():
            return sum(range(100))
        os.register_at_fork(before=hook, after_in_parent=hook, after_in_child=hook)
        for _ in range(20):
            child = os.fork()
            if not child:
                os._exit(0)
            os.waitpid(child, 0)
            time.sleep(0.002)
        print("quiet")
        """
    assert same([script(tmp_path, program)], tmp_path).stdout == "quiet\n"
