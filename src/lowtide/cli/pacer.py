"""`lowtide pacer`."""

import glob
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from lowtide.cli import options, outputs
from lowtide.errors import TraceFormatError
from lowtide.pacer import record
from lowtide.pacer.explain import Explanation, explain, figures_since
from lowtide.pacer.explain_page import render
from lowtide.pacer.explain_text import sections
from lowtide.pacer.replay_policy import parse_policy
from lowtide.pacer.simulate import Prediction, measured, simulate
from lowtide.profile.formats.table import printable
from lowtide.units import format_count, format_duration

DEFAULT_POLICIES = ("stock", "freeze", "threshold=50000", "act")
LONG = 5_000  # collections: more take seconds
OTHERS = 4  # traces of other processes that are named
HEADER = (
    "policy",
    "GC",
    "±",
    "in requests",
    "young",
    "middle",
    "full",
    "full p50",
    "±",
    "full max",
    "peak blocks",
    "±",
)


@click.group(invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Read what the garbage collector did, and what it would do otherwise."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@command.command(
    "explain",
    epilog="""\b
    Examples:
      lowtide run --gctrace=gc.log -m uvicorn app:app     record, under load, then
      lowtide pacer explain gc.log                        each line, what hurts, what to try
      lowtide pacer explain gc.log --format html -o gc.html

    \b
    Each process has a trace: LOG is that of the first, LOG.<pid> those of its children, as of gunicorn's workers.

    \b
    A trace should hold some full collections (gen2), and say which pauses fell into requests: mark those with
    lowtide's middleware or `with lowtide.pacer.request():`. Effects of settings are predicted from the trace itself;
    `lowtide pacer simulate` says more of them.
    """,
)
@click.argument("file", metavar="LOG")
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "html", "json"]),
    default="text",
    show_default=True,
    help="text for people, html with a picture of pauses and heap, json for programs.",
)
@click.option("-o", "--output", "out", metavar="OUT", default="-", help="File to write. Default: standard output.")
def explain_command(*, file: str, output_format: str, out: str) -> None:
    """Annotate a gctrace: what each line means, which pauses hurt, what was scanned for nothing, what to try.

    LOG is what `lowtide run --gctrace=LOG` or LOWTIDE_GCTRACE wrote, as lines or as JSON; - for standard input.
    """
    trace = _read(file)
    with _working(trace):
        explanation = explain(trace)
    name = "standard input" if file == "-" else Path(file).name
    if output_format == "html":
        outputs.write(out, render(explanation, trace, title=name).encode())
    elif output_format == "json":
        outputs.write(out, (json.dumps(explanation.as_json(), indent=2) + "\n").encode())
    else:
        outputs.write(out, _text(explanation, is_terminal=out == "-" and sys.stdout.isatty()).encode())
    if out != "-":
        click.echo(out)


def _text(explanation: Explanation, *, is_terminal: bool) -> str:
    parts: list[str] = []
    for title, lines in sections(explanation):
        heading = click.style(title, bold=True) if is_terminal else title
        parts += ["", heading, *(f"  {printable(line)}" for line in lines)] if title else map(printable, lines)
    return "".join(f"{part}\n" for part in parts)


@command.command(
    "simulate",
    epilog="""\b
    Examples:
      lowtide pacer simulate gc.log
      lowtide pacer simulate gc.log --policy freeze --policy freeze+threshold=20000
      lowtide pacer simulate gc.log --policy act --policy percent=50 --format json

    \b
    Policies, in force once the program has started:
      stock          CPython's own thresholds
      freeze         gc.collect(); gc.freeze()
      threshold=N    gc.set_threshold(N)
      disable        gc.disable()
      act            the pacer acts; percent=N: with that percent
    freeze, threshold=N and disable can be joined, as in freeze+threshold=50000.

    \b
    ± is the relative error of a figure in the trace's own cross-check: the second half predicted from the first, under
    the recorded policy. Under another policy it is the least error to expect, and the true one may be several times it.
    ? means that the trace cannot tell. A policy's own trace is always the better witness: record one before deciding.
    """,
)
@click.argument("file", metavar="LOG")
@click.option(
    "--policy",
    "policies",
    metavar="POLICY",
    multiple=True,
    default=DEFAULT_POLICIES,
    help=f"Policy to predict; may be given several times. Default: {', '.join(DEFAULT_POLICIES)}.",
)
@options.output_format
def simulate_command(*, file: str, policies: Sequence[str], output_format: str) -> None:
    """Predict what collecting would have cost under other policies.

    LOG is a gctrace. What it says of allocations and survivors is replayed under each policy.
    """
    trace = _read(file)
    settings = [parse_policy(text, trace.header.python) for text in policies]
    recorded, since = measured(trace), figures_since(trace)
    with _working(trace):
        predictions = simulate(trace, settings)
    if output_format == "json":
        found = {
            "schema": 1,
            "since": since,
            "recorded": recorded.as_json(),
            "predictions": [prediction.as_json() for prediction in predictions],
        }
        click.echo(json.dumps(found, indent=2))
        return
    rows = [HEADER, _row(recorded), *map(_row, predictions)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        click.echo("  ".join([row[0].ljust(widths[0]), *cells]).rstrip())
    click.echo(f"recorded and predicted: since {since}")
    for prediction in predictions:
        for remark in prediction.remarks:
            click.echo(f"{prediction.policy}: {remark}")


def _row(p: Prediction) -> tuple[str, ...]:
    full = p.pauses[2]
    return (
        p.policy,
        format_duration(p.gc_seconds),
        _error(p, "gc_seconds"),
        "?" if p.request_seconds is None else format_duration(p.request_seconds),
        *map(format_count, p.collections),
        format_duration(full.p50) if full else "-",
        _error(p, "gen2_p50") if full else "",
        format_duration(full.max) if full else "-",
        "-" if p.peak_blocks is None else format_count(p.peak_blocks),
        _error(p, "peak_blocks"),
    )


def _error(p: Prediction, figure: str) -> str:
    if not p.errors:
        return ""
    error = p.errors[figure]
    return "?" if error is None else f"{error:.0%}"


@contextmanager
def _working(trace: record.Trace) -> Iterator[None]:
    """Tell who waits at a terminal that a long trace takes its time."""
    if len(trace.collections) < LONG or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(f"replaying {format_count(len(trace.collections))} collections"):
        yield


def _read(file: str) -> record.Trace:
    """Read a trace; what is wrong with it names the file."""
    name = "standard input" if file == "-" else file
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        trace = record.parse(content.decode())
    except OSError as error:
        error.filename = error.filename or name
        raise
    except UnicodeDecodeError:
        raise TraceFormatError(f"{name}: expected a gctrace, got bytes that are no text") from None
    except TraceFormatError as error:
        raise TraceFormatError(f"{name}: {error}") from None
    _tell_of_others(Path(file), trace.header.pid)
    return trace


def _tell_of_others(file: Path, pid: int) -> None:
    others = sorted(other.name for other in file.parent.glob(f"{glob.escape(file.name)}.[0-9]*"))
    if others:
        more = f" and {format_count(len(others) - OTHERS)} more" if len(others) > OTHERS else ""
        named = ", ".join(map(printable, others[:OTHERS]))
        click.echo(f"lowtide: this is the trace of process {pid}; other processes wrote {named}{more}", err=True)
