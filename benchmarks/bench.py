"""What every measurement is handed: the interpreters, the size of the run, and a way to show progress."""

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from rich.console import Console

from benchmarks.spawn import Interpreter, ScriptFailedError, last_line

Job = TypeVar("Job")
Result = TypeVar("Result")

# Statements that put a side of a comparison into the state it is named after.
ARM = {
    "plain": "",
    "again": "",
    "imported": "import lowtide.heap",
    "armed": "import lowtide.heap; lowtide.heap.start()",
    "hooks that pass through": "import lowtide_probe; lowtide_probe.pass_through()",
}

PROBE_SOURCE = Path(__file__).with_name("probe") / "lowtide_probe.c"


class CannotMeasureError(RuntimeError):
    """Something that a measurement needs is missing; the message says what and how to get it."""


@dataclass(slots=True)
class Bench:
    interpreters: Sequence[Interpreter]
    quick: bool
    artifacts: Path
    console: Console
    probes: dict[str, str] = field(default_factory=dict)  # by interpreter: the folder that holds its probe

    @property
    def main(self) -> Interpreter:
        return self.interpreters[0]

    def say(self, text: str) -> None:
        self.console.print(text, style="dim", highlight=False)

    def probe_folder(self, interpreter: Interpreter) -> str:
        """Build the probe extension for an interpreter, once a run; needs a C compiler and valgrind's headers."""
        if interpreter.path not in self.probes:
            for tool, package in (("valgrind", "valgrind"), ("cc", "gcc")):
                if shutil.which(tool) is None:
                    raise CannotMeasureError(f"{tool} is not installed: apt-get install {package}")
            folder = self.artifacts / "build" / interpreter.version
            folder.mkdir(parents=True, exist_ok=True)
            build_extension(interpreter, PROBE_SOURCE, folder / "lowtide_probe.so")
            self.probes[interpreter.path] = str(folder)
        return self.probes[interpreter.path]

    def in_parallel(self, what: str, call: Callable[[Job], Result], jobs: Iterable[Job]) -> list[Result]:
        """Run counting jobs on all cores; counts, unlike times, do not mind the company."""
        jobs = list(jobs)
        results: list[Result] = []
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for result in pool.map(call, jobs):
                results.append(result)
                self.say(f"{what}: {len(results)}/{len(jobs)}")
        return results


def build_extension(interpreter: Interpreter, source: Path, target: Path) -> None:
    include = subprocess.run(
        [interpreter.path, "-c", "import sysconfig; print(sysconfig.get_path('include'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    compiler = shutil.which("cc") or sysconfig.get_config_var("CC") or "cc"
    done = subprocess.run(
        [compiler, "-O2", "-shared", "-fPIC", f"-I{include}", str(source), "-o", str(target)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise CannotMeasureError(f"{source.name} does not compile: {last_line(done.stderr)}")


__all__ = ["ARM", "Bench", "CannotMeasureError", "Interpreter", "ScriptFailedError", "build_extension"]
