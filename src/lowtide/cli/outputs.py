"""From a result to the terminal, a pipe or a file."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

import click

from lowtide.errors import SettingsError
from lowtide.profile import Profile, Row, ValueType
from lowtide.profile.files import write_bytes
from lowtide.profile.formats.table import HEADER, format_numbers, format_place, format_value, printable, table
from lowtide.profile.ops import By, sample_type_index
from lowtide.units import format_bytes

_GZIP_MAGIC = b"\x1f\x8b"

# Comments for programs; what else a profile says of itself is for whoever reads a ranking.
_FOR_PROGRAMS = ("lowtide ", "process ", "ancestor ", "tables ", "#")


def show_ranking(
    profile: Profile, title: str, *, limit: int, sample_type: str | None, by: By, output_format: str
) -> None:
    """Print the ranking of one column.

    Args:
        profile: what to rank.
        title: what it was read from.
        limit: rows at most, >= 1.
        sample_type: the column; None for the profile's own default.
        by: what a row is.
        output_format: table or json.

    Raises: SettingsError for an unknown sample type or a limit out of range.
    """
    rows = profile.top(limit, sample_type, by)
    column = sample_type_index(profile, sample_type)
    kind = profile.sample_types[column]
    if output_format == "json":
        record = {"schema": 1, "sample_type": kind.type, "unit": kind.unit, "rows": [asdict(row) for row in rows]}
        click.echo(json.dumps(record, indent=2))
        return
    net = sum(sample.values[column] for sample in profile.samples)
    click.echo(f"{title}: {printable(kind.type)} {format_value(net, kind.unit)}{_sampling(profile)}\n")
    total = profile.total(sample_type)
    if sys.stdout.isatty():
        _print_terminal_table(rows, kind, total)
    else:
        click.echo(table(rows, kind.unit, total), nl=False)
    remarks = [printable(comment) for comment in profile.comments if not comment.startswith(_FOR_PROGRAMS)]
    if remarks:
        click.echo("\n" + "\n".join(remarks))


def write(out: str, content: bytes) -> None:
    """Write a file in one step, or to standard output for `-`.

    Raises: OSError; SettingsError rather than filling a terminal with what nobody can read.
    """
    if out != "-":
        write_bytes(out, content)
    elif sys.stdout.isatty() and content.startswith(_GZIP_MAGIC):
        raise SettingsError("output must be a file or a pipe, got a terminal; add -o FILE")
    else:
        sys.stdout.buffer.write(content)


def _sampling(profile: Profile) -> str:
    if profile.period_type != ValueType("space", "bytes"):
        return ""
    return f", one sample per {format_bytes(profile.period)}" if profile.period > 1 else ", every block counted"


def _print_terminal_table(rows: Sequence[Row], kind: ValueType, total: int) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False, header_style="bold")
    for heading in HEADER[:-1]:
        shown.add_column(heading, justify="right", no_wrap=True)
    shown.add_column(HEADER[-1], overflow="fold")
    for row in rows:
        site = Text.assemble((printable(row.name), "bold"), " ", (format_place(row), "dim"))
        shown.add_row(*format_numbers(row, kind.unit, total), site)
    Console().print(shown)
