"""Run a script of `scripts/` in an interpreter of its own and read back its result."""

import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).with_name("scripts")


class ScriptFailedError(RuntimeError):
    """A script ended without a result; the message is the last line that it wrote."""


@dataclass(frozen=True, slots=True)
class Interpreter:
    path: str
    version: str  # "3.11"

    @classmethod
    def probe(cls, path: str, needs: str = "lowtide._core") -> "Interpreter":
        """Ask an interpreter who it is, and whether the module that a run needs is there."""
        code = f"import sys, {needs}; print('%d.%d' % sys.version_info[:2])"
        try:
            done = subprocess.run([path, "-c", code], capture_output=True, text=True, check=False)
        except OSError as error:
            raise ScriptFailedError(f"{path}: {error.strerror}") from None
        if done.returncode:
            raise ScriptFailedError(f"{path}: {last_line(done.stderr)}")
        return cls(path, done.stdout.strip())

    def run(self, script: str, /, *, seed: int = 0, **params: Any) -> dict[str, Any]:
        """Run `scripts/<script>.py` with its parameters as JSON.

        Args:
            seed: of str hashes; two runs with the same seed lay their dicts out alike.
        """
        with tempfile.TemporaryDirectory() as folder:
            return self._run([], script, seed, {**params, "result": f"{folder}/result"})

    def count(
        self, script: str, /, *, seed: int = 0, inside: str = "", **params: Any
    ) -> tuple[dict[str, Any], dict[str, int]]:
        """Run a script under callgrind; return its result and the instructions of each region that it named.

        Args:
            inside: count only what objects with this in their file's name execute themselves.
        """
        with tempfile.TemporaryDirectory() as folder:
            valgrind = ["valgrind", "-q", "--tool=callgrind", "--instr-atstart=no", "--combine-dumps=yes"]
            out = Path(folder, "callgrind.out")
            prefix = [*valgrind, f"--callgrind-out-file={out}"]
            result = self._run(prefix, script, seed, {**params, "result": f"{folder}/result"})
            return result, read_regions(out.read_text(), inside)

    def _run(self, prefix: list[str], script: str, seed: int, params: dict[str, Any]) -> dict[str, Any]:
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "LOWTIDE"))}
        done = subprocess.run(
            [*prefix, self.path, str(SCRIPTS / f"{script}.py"), json.dumps(params)],
            env={**environment, "PYTHONHASHSEED": str(seed)},
            check=False,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        if done.returncode:
            raise ScriptFailedError(f"{script} under {self.path} exited {done.returncode}: {last_line(done.stderr)}")
        answer: dict[str, Any] = json.loads(Path(params["result"]).read_text())
        return answer


def read_regions(text: str, inside: str = "") -> dict[str, int]:
    """Read callgrind's dumps: instructions by the name of the region, summed where a name came more than once."""
    regions: dict[str, int] = {}
    objects: dict[str, str] = {}
    name, here, is_of_callee = "", "", False
    for line in text.splitlines():
        if line.startswith("desc: Trigger: "):
            name = line.removeprefix("desc: Trigger: ").removeprefix("Client Request: ")
        elif line.startswith("totals: ") and not inside:
            regions[name] = regions.get(name, 0) + int(line.split()[1])
        elif line.startswith("ob="):
            number, _, file = line.removeprefix("ob=").partition(" ")
            here = objects.setdefault(number, file)
        elif line.startswith("cob="):
            number, _, file = line.removeprefix("cob=").partition(" ")
            objects.setdefault(number, file)
        elif line.startswith("calls="):
            is_of_callee = True
        elif line[:1] in tuple("0123456789+-*"):
            if inside and inside in here and not is_of_callee:
                regions[name] = regions.get(name, 0) + int(line.split()[1])
            is_of_callee = False
    return regions


def last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it wrote nothing"])[-1]
