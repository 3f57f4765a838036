"""The lab's parts, one after the other: each leaves its runs as JSON lines, the tables and plots are made of those."""

import json
import os
import platform
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from gc_lab import Plan, Say, buffers, cgroup, latency, leak, pairs, plots, prefork, tables, traces
from gc_lab.figures import Cells, read_runs

RUNS = ("latency", "leak", "prefork", "buffers")
PARTS = (*RUNS, "pairs")
RECORDED = "traces"
PAIRED = ("static", "cycles")


def run(parts: Iterable[str], plan: Plan, out: Path, say: Say) -> None:
    """Run parts, leave their results in `out`, and show the tables."""
    out.mkdir(parents=True, exist_ok=True)
    about = {"python": platform.python_version(), "machine": platform.machine(), "cpus": os.cpu_count()}
    (out / "about.json").write_text(json.dumps(about) + "\n")
    for part in parts:
        if part in ("leak", "prefork") and (reason := cgroup.unavailable()):
            say(f"{part} is left out: {reason}")
        elif part == RECORDED:
            traces.record(traces.NAMES, out / "traces", plan.scale, min(traces.SECONDS, 6 * plan.seconds), say)
        else:
            with (out / f"{part}.jsonl").open("w") as file:
                for record in _records(part, plan, out, say):
                    file.write(json.dumps(record) + "\n")
                    file.flush()  # an hour's runs outlive an interrupt
    for text in made_tables(out).values():
        click.echo(f"\n{text}")
    write_plots(out)
    say(f"results in {out}")


def _records(part: str, plan: Plan, out: Path, say: Say) -> Iterator[dict[str, Any]]:
    few = max(1, plan.repeats // 5)  # of what is counted rather than timed
    if part == "latency":
        yield from latency.measure(plan, say)
    elif part == "leak":
        yield from leak.measure(replace(plan, repeats=few), say)
    elif part == "prefork":
        yield from prefork.measure(replace(plan, repeats=few), say)
    elif part == "buffers":
        yield from buffers.measure(plan, say)
    else:
        paired = tuple(name for name in PAIRED if name in plan.workloads)
        yield from pairs.measure(replace(plan, workloads=paired, repeats=few), out / "pairs", say)


def made_tables(folder: Path) -> dict[str, str]:
    """Return every table that the results in a folder make, by name."""
    cells = Cells(run for part in RUNS for run in read_runs(folder / f"{part}.jsonl"))
    return tables.all_tables(cells, read_runs(folder / "pairs.jsonl"))


def write_plots(folder: Path) -> None:
    cells = Cells(read_runs(folder / "latency.jsonl"))
    for name, svg in plots.all_plots(cells).items():
        (folder / name).write_text(svg)


def write_report(results: Path, readme: Path) -> None:
    """Write the README's tables and the plots anew, from committed results."""
    readme.write_text(tables.fill_in(readme.read_text(), made_tables(results)))
    write_plots(results)
