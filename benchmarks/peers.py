"""What other memory profilers cost on the same workloads: the table for the README (`make bench ARGS=--peers`).

Each runs as its documentation recommends for low overhead, in an environment of its own under artifacts/, with the same
interpreter. Imports and start-up are not counted for anybody.
"""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import report
from benchmarks.bench import Bench, CannotMeasureError
from benchmarks.measure import ratio
from benchmarks.spawn import Interpreter, last_line
from benchmarks.workloads import run_interleaved

PACKAGES = ("ddtrace", "memray", "py-spy")
NAMES = ("async_tree", "deepcopy", "json_loads", "xml_etree")
SOURCES = Path(__file__).parents[1] / "src"


@dataclass(frozen=True, slots=True)
class Peer:
    name: str
    sees: str
    arm: str


def peers(environment: Path) -> list[Peer]:
    memray = "import memray\nmemray.Tracker(destination=memray.FileDestination('/dev/null', overwrite=True), "
    aggregated = "file_format=memray.FileFormat.AGGREGATED_ALLOCATIONS).__enter__()"
    ddtrace = (
        "from ddtrace.internal.datadog.profiling import ddup\n"
        "ddup.config(service='bench', output_filename='/dev/null')\nddup.start()\n"
        "from ddtrace.profiling.collector.memalloc import MemoryCollector\n"
    )
    return [
        Peer(
            "lowtide",
            "samples, every 512 KiB: obj, mem and raw",
            f"import sys; sys.path.append({str(SOURCES)!r}); import lowtide.heap; lowtide.heap.start()",
        ),
        Peer(
            "ddtrace memalloc",
            "samples, every 1 MiB: obj, and mem from 3.12 on",
            ddtrace + "MemoryCollector(heap_sample_size=2**20).start()",
        ),
        Peer(
            "ddtrace memalloc, 512 KiB",
            "the same, every 512 KiB",
            ddtrace + "MemoryCollector(heap_sample_size=2**19).start()",
        ),
        Peer("memray", "every malloc and mmap of the process", memray + aggregated),
        Peer(
            "memray, Python allocators",
            "the same, and every obj and mem block",
            memray + "trace_python_allocators=True, " + aggregated,
        ),
        Peer("tracemalloc", "every block, 1 frame", "import tracemalloc; tracemalloc.start(1)"),
        Peer("tracemalloc, 25 frames", "every block, 25 frames", "import tracemalloc; tracemalloc.start(25)"),
        Peer(
            "py-spy",
            "CPU only, from a process of its own, which is not counted here",
            "import os, subprocess, time\n"
            f"command = [{str(environment / 'bin' / 'py-spy')!r}, 'record', '--pid', str(os.getpid())]\n"
            "command += ['--format', 'raw', '--output', '/dev/null', '--duration', 'unlimited']\n"
            "spy = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n"
            "time.sleep(1)\nassert spy.poll() is None, 'py-spy may not attach'",
        ),
    ]


def main(bench: Bench) -> None:
    for interpreter in bench.interpreters:
        compare(bench, interpreter)


def compare(bench: Bench, interpreter: Interpreter) -> None:
    environment = bench.artifacts / f"peers-{interpreter.version}"
    versions = install(bench, interpreter, environment)
    python = Interpreter.probe(str(environment / "bin" / "python"), needs="ddtrace, memray")
    arms = {"plain": "", "again": "", **{peer.name: peer.arm for peer in peers(environment)}}
    scale, rounds = (0.05, 2) if bench.quick else (0.5, 7)
    times = run_interleaved(python, NAMES, arms, rounds=rounds, scale=scale, say=bench.say)
    null = ratio(times, "again", "plain")
    columns = ["profiler", "what it records", "CPU time", "spread", *NAMES]
    rows, figures = [], {}
    for peer in peers(environment):
        measured = ratio(times, peer.name, "plain")
        each = [f"{measured.by_subject[name]:.2f}" for name in NAMES]
        rows.append([peer.name, peer.sees, f"{measured.value / null.value:.3f}", f"±{measured.spread:.3f}", *each])
        figures[peer.name] = {"cpu": measured.value / null.value, "spread": measured.spread, **measured.by_subject}
    rows.append(
        [
            "none, measured twice",
            "",
            f"{null.value:.3f}",
            f"±{null.spread:.3f}",
            *[f"{null.by_subject[n]:.2f}" for n in NAMES],
        ]
    )

    table = Table(
        *columns, title=f"CPU time against the plain program, Python {python.version}; {versions}", title_justify="left"
    )
    for row in rows:
        table.add_row(*row)
    Console(width=None if bench.console.is_terminal else 180).print(table)
    name = f"peers-{interpreter.version}"
    (bench.artifacts / f"{name}.md").write_text(report.markdown(columns, rows) + f"\n{versions}\n")
    (bench.artifacts / f"{name}.json").write_text(
        json.dumps({"schema": 1, "versions": versions, "rounds": rounds, "null": null.value, "cpu": figures}, indent=2)
        + "\n"
    )


def install(bench: Bench, interpreter: Interpreter, environment: Path) -> str:
    """Make the peers' environment, once; return the versions that it holds."""
    python = environment / "bin" / "python"
    if not python.exists():
        bench.say(f"installing {', '.join(PACKAGES)} into {environment}")
        subprocess.run([interpreter.path, "-m", "venv", str(environment)], check=True)
    done = subprocess.run(
        [str(python), "-m", "pip", "install", "-q", *PACKAGES], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise CannotMeasureError(f"the peers cannot be installed: {last_line(done.stderr)}")
    code = f"from importlib.metadata import version; print(', '.join(f'{{n}} {{version(n)}}' for n in {PACKAGES!r}))"
    return subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True).stdout.strip()
