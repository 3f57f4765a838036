"""The table that `make bench` prints, and its JSON and Markdown."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.budgets import Budget, Reading, Verdict, judge

COLUMNS = ("what", "Python", "budget", "measured", "null", "spread", "verdict", "remark")
COLOURS: dict[Verdict, str] = {"pass": "green", "miss": "bold red", "noisy": "yellow", "not measured": "yellow"}


def cells(budget: Budget, reading: Reading) -> tuple[str, ...]:
    """Return one row of the table as text, in the order of COLUMNS."""
    verdict = judge(budget, reading)
    remark = reading.note
    if verdict == "noisy":
        remark = "the null pair is off by more than the budget's margin: quieten the machine and repeat; " + remark
    return (
        budget.what,
        reading.subject,
        budget.limit,
        written(reading.measured),
        written(reading.null) + plus_minus(reading.null_spread),
        plus_minus(reading.spread).strip(),
        verdict,
        remark.removesuffix("; "),
    )


def written(value: float | None) -> str:
    if value is None:
        return ""
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.1f}"


def plus_minus(spread: float | None) -> str:
    return "" if spread is None else f" ±{spread:.4f}"


def as_table(title: str, budgets: Mapping[str, Budget], readings: Sequence[Reading]) -> Table:
    table = Table(*COLUMNS, title=title, title_justify="left", show_edge=False)
    for reading in readings:
        budget = budgets[reading.budget]
        colour = COLOURS[judge(budget, reading)]
        row = list(cells(budget, reading))
        row[6] = f"[{colour}]{row[6]}[/]"
        table.add_row(*row)
    return table


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def write(
    stem: Path, budgets: Mapping[str, Budget], readings: Sequence[Reading], conditions: Mapping[str, Any]
) -> tuple[Path, Path]:
    """Write `<stem>.json` and `<stem>.md`; return their paths."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    rows = [{**asdict(reading), "verdict": judge(budgets[reading.budget], reading)} for reading in readings]
    as_json, as_markdown = stem.with_suffix(".json"), stem.with_suffix(".md")
    as_json.write_text(json.dumps({"schema": 1, "conditions": conditions, "readings": rows}, indent=2) + "\n")
    table = markdown(COLUMNS, [cells(budgets[reading.budget], reading) for reading in readings])
    told = "".join(f"{key}: {value}  \n" for key, value in conditions.items())
    as_markdown.write_text(f"{table}\n{told}")
    return as_json, as_markdown
