"""`python -m benchmarks`: measure what lowtide promises, print the table, exit 1 when a promise is not kept."""

import importlib
import os
import platform
import sys
import time
from pathlib import Path

import click
from rich.console import Console

from benchmarks import budgets as budget_file
from benchmarks import report
from benchmarks.bench import Bench, CannotMeasureError
from benchmarks.budgets import Budget, Reading, judge
from benchmarks.spawn import Interpreter, ScriptFailedError

ROOT = Path(__file__).parents[1]

# Each measurement, the budgets that it reads, and what it takes in full.
ROWS = {
    "cpu_time": (("cpu_time",), "12 minutes a Python"),
    "instructions": (("instructions_mean", "instructions_worst"), "6 minutes a Python"),
    "pair_cost": (("pair_armed", "pair_stopped"), "seconds"),
    "filled_blocks": (("filled_blocks", "sample_cost"), "2 minutes"),
    "free_at_scale": (("free_at_scale",), "1 minute"),
    "table_memory": (("table_memory",), "1 minute"),
    "service_memory": (("service_memory",), "half a minute"),
    "snapshot": (("snapshot_lock", "snapshot_write", "snapshot_progress"), "seconds"),
    "import_cost": (("import_time", "import_foreign"), "seconds"),
    "sampling": (
        (
            "accuracy_mean",
            "accuracy_coverage_low",
            "accuracy_coverage_high",
            "accuracy_coverage_large",
            "accuracy_huge",
        ),
        "4 minutes",
    ),
    "pool_times": (
        (
            "pool_get_put",
            "pool_lease",
            "buffer_pool_4k",
            "buffer_pool_64k",
            "buffer_256k",
            "buffer_worst",
            "pool_rotation",
        ),
        "half a minute a Python",
    ),
    "pool_counts": (("pool_blocks", "pool_check_off"), "seconds"),
    "pacer_observing": (("pacer_observing",), "1 minute a Python"),
}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--only", "names", multiple=True, type=click.Choice([*ROWS]), help="Measure this row; may be repeated.")
@click.option("--quick", is_flag=True, help="Small sizes, to see that it works: the figures mean little.")
@click.option("--list", "list_rows", is_flag=True, help="List the rows and their budgets.")
@click.option(
    "--python",
    "pythons",
    multiple=True,
    metavar="PATH",
    help="An interpreter that has lowtide; may be repeated, the first one measures what is measured once. "
    "Default: this one and .venv-3.13's.",
)
@click.option("--peers", is_flag=True, help="Measure other memory profilers instead, into an environment of their own.")
@click.option(
    "--free-lists", is_flag=True, help="Count what free lists hide on the demo service instead; 3.13 or later."
)
@click.option(
    "--out", type=click.Path(path_type=Path), default=ROOT / "artifacts" / "bench", help="Folder for the results."
)
def main(
    *,
    names: tuple[str, ...],
    quick: bool,
    list_rows: bool,
    pythons: tuple[str, ...],
    peers: bool,
    free_lists: bool,
    out: Path,
) -> None:
    """Measure every promise in benchmarks/budgets.toml.

    Exit code: 0 when all are kept, 1 when one is missed, was too noisy to tell or could not be measured, 2 when nothing
    can be measured at all.
    """
    budgets = budget_file.load()
    if list_rows:
        print_rows(budgets)
        return
    console = Console(stderr=True)
    try:
        bench = Bench(find_interpreters(pythons), quick, out, console)
        if peers or free_lists:
            module = importlib.import_module("benchmarks.peers" if peers else "benchmarks.free_lists")
            module.main(bench)
            return
    except (CannotMeasureError, ScriptFailedError) as error:
        console.print(f"benchmarks: {error}", markup=False)
        sys.exit(2)
    readings = measure(bench, names or tuple(ROWS))
    Console(width=None if sys.stdout.isatty() else 200).print(report.as_table("", budgets, readings))
    # A part never takes the place of a whole run's results.
    stem = out / ("part" if names or quick else "bench")
    paths = report.write(stem, budgets, readings, conditions(bench))
    console.print("written: " + ", ".join(map(str, paths)), style="dim", highlight=False)
    sys.exit(0 if all(judge(budgets[reading.budget], reading) == "pass" for reading in readings) else 1)


def measure(bench: Bench, names: tuple[str, ...]) -> list[Reading]:
    readings: list[Reading] = []
    for name in names:
        start = time.monotonic()
        try:
            readings += importlib.import_module(f"benchmarks.rows.{name}").measure(bench)
        except (CannotMeasureError, ScriptFailedError, FileNotFoundError) as error:
            readings += [Reading(budget, note=str(error)) for budget in ROWS[name][0]]
        bench.say(f"{name}: {time.monotonic() - start:.0f} s")
    return readings


def find_interpreters(paths: tuple[str, ...]) -> list[Interpreter]:
    if not paths:
        other = ROOT / ".venv-3.13" / "bin" / "python"
        paths = (sys.executable, *([str(other)] if other.exists() and sys.version_info[:2] != (3, 13) else []))
    return [Interpreter.probe(path) for path in paths]


def print_rows(budgets: dict[str, Budget]) -> None:
    for name, (keys, takes) in ROWS.items():
        print(f"{name}  ({takes})")
        for key in keys:
            budget = budgets[key]
            print(f"    {budget.what}: {budget.limit}")


def conditions(bench: Bench) -> dict[str, str]:
    cpuinfo = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.partition(": ")[2] for line in cpuinfo if line.startswith("model name")), platform.machine())
    return {
        "machine": f"{cpu}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
        "pythons": ", ".join(interpreter.version for interpreter in bench.interpreters),
        "size": "quick" if bench.quick else "full",
        "date": time.strftime("%Y-%m-%d"),
    }


if __name__ == "__main__":
    main()
