"""Arguments and options that several commands have, each defined once."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from lowtide.errors import SettingsError
from lowtide.profile.formats.pprof import MAX_BYTES
from lowtide.units import format_bytes, parse_bytes

Command = TypeVar("Command", bound=Callable[..., Any])


def quantity(parse: Callable[[str], float]) -> Callable[[click.Context, click.Parameter, str | None], float | None]:
    """Make an option's callback of one of the functions that read a number with its unit."""

    def callback(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
        try:
            return None if value is None else parse(value)
        except SettingsError as error:
            raise click.BadParameter(str(error), ctx, param) from None

    return callback


files = click.argument("files", metavar="FILE...", nargs=-1, required=True)

sample_type = click.option(
    "--sample-type", metavar="TYPE", help="Column: inuse_space, alloc_objects, ... Default: the profile's own."
)
limit = click.option("-n", "limit", type=int, default=10, show_default=True, help="Rows at most.")
by = click.option(
    "--by", type=click.Choice(["line", "function", "file"]), default="line", show_default=True, help="What a row is."
)
output_format = click.option(
    "--format",
    "output_format",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="table for people, json for programs.",
)
focus = click.option("--focus", metavar="REGEX", help="Only stacks with a function or file name that matches.")
ignore = click.option("--ignore", metavar="REGEX", help="No stacks with a function or file name that matches.")
max_bytes = click.option(
    "--max-bytes",
    metavar="SIZE",
    default=format_bytes(MAX_BYTES),
    show_default=True,
    callback=quantity(parse_bytes),
    help="Refuse a profile that is larger than this once inflated.",
)


def ranking(command: Command) -> Command:
    """Add the options of a command that ranks."""
    for option in (max_bytes, ignore, focus, output_format, by, sample_type, limit):
        command = option(command)
    return command
