"""A ranking as a plain text table, with sizes and times in units a person reads."""

from collections.abc import Sequence

from lowtide.profile.model import Row
from lowtide.units import format_bytes, format_count, format_duration

HEADER = ("flat", "±", "flat%", "cum", "cum%", "site")
_ERROR = HEADER.index("±")


def table(rows: Sequence[Row], unit: str, total: int) -> str:
    """Lay out a ranking.

    Args:
        rows: as `Profile.top` returns them.
        unit: the unit of the sample type.
        total: what the percentages relate to, as `Profile.total` returns it.

    Returns: lines, each ended; numbers flush right, the site last, so that a long name breaks no column.
    """
    lines = [HEADER, *((*format_numbers(row, unit, total), format_site(row)) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)][:-1]
    # A profile without a standard error has no column for it.
    shown = [column for column in range(len(widths)) if column != _ERROR or any(line[_ERROR] for line in lines[1:])]
    return "".join(
        "  ".join([*(line[column].rjust(widths[column]) for column in shown), line[-1]]) + "\n" for line in lines
    )


def format_numbers(row: Row, unit: str, total: int) -> tuple[str, ...]:
    """Write the numbers of a row, in the order of `HEADER`; nothing where the standard error is 0 or not known."""
    return (
        format_value(row.flat, unit),
        format_value(row.stderr, unit) if row.stderr else "",
        format_share(row.flat, total),
        format_value(row.cum, unit),
        format_share(row.cum, total),
    )


def format_value(value: float, unit: str) -> str:
    """Write a value of a sample type in units a person reads."""
    if unit == "bytes":
        return format_bytes(value)
    if unit == "nanoseconds":
        return format_duration(value * 1e-9)
    return format_count(value) if unit in ("count", "") else f"{format_count(value)} {printable(unit)}"


def format_share(value: int, total: int) -> str:
    """Write a value as a percentage of the total."""
    return f"{100 * value / total:.1f}%" if total else "0.0%"


def format_site(row: Row) -> str:
    """Write where a row is, as `module.qualname file:line`, without what is not known."""
    return " ".join(filter(None, (printable(row.name), format_place(row))))


def format_place(row: Row) -> str:
    """Write where a row is, as `file:line`, without what is not known or stands in its name."""
    place = f"{row.file}:{row.line}" if row.file and row.line else row.file
    return printable(place) if place != row.name else ""


def printable(text: str) -> str:
    """Escape what would move the cursor, break the line or not encode: a profile may come from anywhere."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)
