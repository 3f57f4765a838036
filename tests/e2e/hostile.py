"""Run programs that try to break the profiler, each in a process of its own; one that hangs shows its stacks."""

import functools
import os
import signal
import subprocess
import sys
import sysconfig
import tempfile
import textwrap
from pathlib import Path

from tests.e2e.programs import environment

SOURCE = Path(__file__).with_name("hostile_native.c")
SECONDS = 60


@functools.cache
def native() -> "tempfile.TemporaryDirectory[str]":
    """Compile `hostile_native`, once a test process; its folder goes on PYTHONPATH."""
    folder = tempfile.TemporaryDirectory(prefix="lowtide-hostile-")
    target = Path(folder.name) / f"hostile_native{sysconfig.get_config_var('EXT_SUFFIX')}"
    include = sysconfig.get_path("include")
    command = ["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-pthread", f"-I{include}", "-o"]
    subprocess.run([*command, str(target), str(SOURCE)], check=True)
    return folder


def joined(*sources: str) -> str:
    """Make one program of parts that are indented each in its own way."""
    return "\n".join(map(textwrap.dedent, sources))


def run(
    source: str, *args: object, options: tuple[str, ...] = (), seconds: float = SECONDS, wrap: bool = False, **env: str
) -> str:
    """Run a program to its end and return what it printed.

    Args:
        source: may import `hostile_native`.
        args: become `sys.argv[1:]`.
        options: of the interpreter.
        seconds: after which it counts as hung.
        wrap: under `lowtide run`.
        env: variables to add.

    Raises: AssertionError with stderr when it crashes, hangs or exits with anything but 0.
    """
    with tempfile.TemporaryDirectory(prefix="lowtide-hostile-") as folder:
        script = Path(folder) / "program.py"
        script.write_text(textwrap.dedent(source))
        path = os.pathsep.join(filter(None, [env.pop("PYTHONPATH", ""), native().name]))
        wrapper = ["-m", "lowtide", "run", "--out", folder] if wrap else []
        process = subprocess.Popen(
            [sys.executable, *options, *wrapper, script, *map(str, args)],
            env=environment(PYTHONFAULTHANDLER="1", PYTHONPATH=path, **env),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        hung = ""
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            hung = f"hung for {seconds} s; all stacks:\n"
            process.send_signal(signal.SIGABRT)  # faulthandler writes the stack of every thread
            try:
                out, err = process.communicate(timeout=5)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                out, err = process.communicate()
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        assert process.returncode == 0, (
            f"{hung}exit code {process.returncode}\n{err[-8000:]}\n--- stdout:\n{out[-2000:]}"
        )
        assert not hung, hung
        return out
