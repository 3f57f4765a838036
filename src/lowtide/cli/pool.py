"""`lowtide pool`."""

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict

import click

from lowtide.cli import inputs, options, pool_blocks
from lowtide.errors import CoreUnavailableError, CountError, SettingsError
from lowtide.guard import allocs_per_run
from lowtide.pool import advise, constructors, measure
from lowtide.profile.formats.table import printable
from lowtide.units import format_bytes, format_count, format_duration

TITLES = {"pool": "worth pooling", "share": "make one and share it, no pool needed", "leave": "not worth pooling"}
VERDICT_COLOURS = {"pool": "green", "share": "cyan", "leave": "yellow"}


@click.group(invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Find what is worth pooling."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@command.command(
    "advise",
    short_help="Rank places by what pooling would save; say why not.",
    epilog="""\b
    Examples:
      lowtide run -m uvicorn app:app           take a profile under load, then
      lowtide pool advise lowtide-out          where a pool would pay, and where not
      lowtide pool advise --focus orders heap.pb.gz
      lowtide pool advise --format json heap.pb.gz

    \b
    What making and reusing costs is measured here and now, in a second or two: run it where the program runs.
    Making a block is timed without writing to it, so that savings are on the low side. Lines of code are read
    from the files that the profile names, where they exist, to tell what is made there.
    Pool a place, then prove it: lowtide.guard.allocs_per_run counts what the call allocates, before and after.
    """,
)
@click.argument("file", metavar="PROFILE")
@options.limit
@options.output_format
@options.focus
@options.ignore
@options.max_bytes
def advise_command(
    *, file: str, limit: int, output_format: str, focus: str | None, ignore: str | None, max_bytes: int
) -> None:
    """Rank places in the code by what pooling would save, and say why not for the rest.

    PROFILE is a heap profile, or a folder with some. Worth pooling is what is made often, dies soon and is expensive to
    make: blocks of 4 KiB and more, and constructors known to be heavy. -n limits each part of the answer.
    """
    if limit < 1:
        raise SettingsError(f"n must be >= 1, got {limit}")
    profile = inputs.read([file], max_bytes, focus, ignore)
    blocks = pool_blocks.blocks(profile, file)
    start = time.monotonic()
    costs = _measured(blocks)
    took_seconds = time.monotonic() - start
    advices = advise.advise(blocks, costs)
    duration_seconds = profile.duration_nanos / 1e9
    if output_format == "json":
        _print_json(advices, costs, duration_seconds, limit)
    else:
        _print_text(advices, file, duration_seconds, limit)
        _print_costs(costs, took_seconds)


def _measured(blocks: Sequence[advise.Blocks]) -> measure.Costs:
    classes = advise.classes_to_measure(blocks)
    known = list({block.known.name: block.known for block in blocks if block.known}.values())
    length = measure.figures(classes, known)
    with click.progressbar(length=length, label="measuring", file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
        return measure.measure(classes, known, _count_bytes, lambda: bar.update(1))


def _count_bytes(known: constructors.Constructor, make: Callable[[], object]) -> float | None:
    try:
        counted = allocs_per_run(make, runs=10)
    except (CoreUnavailableError, CountError):
        return None
    if known.functions:
        return float(counted.bytes)
    # What a constructor in C has Python code do is no place's own in a profile either.
    return float(sum(site.bytes for site in counted.by_site if site.file == constructors.__file__))


def _print_json(advices: Sequence[advise.Advice], costs: measure.Costs, duration_seconds: float, limit: int) -> None:
    record = {
        "schema": 1,
        "duration_seconds": duration_seconds or None,
        "measured": asdict(costs),
        "rows": [
            {**asdict(advice), "saved_ns_per_1000": _saved_per_1000(advice)}
            for verdict in TITLES
            for advice in _of(advices, verdict)[:limit]
        ],
    }
    click.echo(json.dumps(record, indent=2))


def _print_text(advices: Sequence[advise.Advice], file: str, duration_seconds: float, limit: int) -> None:
    allocated = sum(advice.allocated_bytes for advice in advices)
    per = f" in {format_duration(duration_seconds)}" if duration_seconds else ""
    click.echo(f"{file}: {format_bytes(allocated)} allocated{per}, by {format_count(len(advices))} places")
    for verdict, title in TITLES.items():
        part = _of(advices, verdict)
        click.secho(f"\n{title}", fg=VERDICT_COLOURS[verdict], bold=True)
        for advice in part[:limit]:
            place = f" {advice.file}:{advice.line}" if advice.file and advice.line else ""
            click.echo(f"  {printable(advice.name)}{printable(place)}")
            click.echo(f"      {_figures(advice, duration_seconds)}")
            click.echo(f"      {'why not' if verdict == 'leave' else 'instead'}: {advice.text}")
        if not part:
            click.echo("  nothing")
        elif len(part) > limit:
            click.echo(f"  and {format_count(len(part) - limit)} more; -n shows them")


def _figures(advice: advise.Advice, duration_seconds: float) -> str:
    error = f" ± {format_count(advice.stderr)}" if advice.stderr else ""
    text = f"{advice.what}: {format_count(advice.makes)}{error} of {format_bytes(advice.each_bytes)}"
    if advice.make_ns is None or not advice.saved_ns:
        return text
    reuse = f" to make, {format_duration(advice.reuse_ns * 1e-9)} to get and put" if advice.reuse_ns else " to make"
    saved = f"saves {format_duration(_saved_per_1000(advice) * 1e-9)} per 1,000"
    if duration_seconds:
        saved += f", {format_duration(advice.saved_ns * 1e-9 / duration_seconds)} a second"
    else:
        saved += f", {format_duration(advice.saved_ns * 1e-9)} in all"
    return f"{text}, {format_duration(advice.make_ns * 1e-9)}{reuse}: {saved}"


def _print_costs(costs: measure.Costs, took_seconds: float) -> None:
    figures = {
        "Pool get + put": costs.pool_ns,
        "BufferPool get + put": costs.buffer_pool_ns,
        **{f"{what} made and filled": ns for what, ns in costs.small_made_ns.items()},
        **{f"{what} pooled": ns for what, ns in costs.small_reused_ns.items()},
        **{f"a block of {format_bytes(size)}": ns for size, ns in costs.block_ns.items()},
        **{name: cost.ns for name, cost in costs.constructors.items()},
    }
    told = ", ".join(f"{what} {format_duration(ns * 1e-9)}" for what, ns in figures.items())
    click.echo(f"\nmeasured here in {format_duration(took_seconds)}: {told}")


def _of(advices: Sequence[advise.Advice], verdict: str) -> list[advise.Advice]:
    return [advice for advice in advices if advice.verdict == verdict]


def _saved_per_1000(advice: advise.Advice) -> float:
    return 1000 * advice.saved_ns / advice.makes if advice.makes else 0.0
