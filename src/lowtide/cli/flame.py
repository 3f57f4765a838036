"""`lowtide flame`."""

from pathlib import Path

import click

from lowtide.cli import inputs, options, outputs
from lowtide.profile.formats.flame import render

_SUFFIXES = (".gz", ".pb", ".pprof")


@click.command(
    epilog="""\b
    Examples:
      lowtide flame lowtide-out                            writes lowtide-out.html
      lowtide flame heap.pb.gz -o - | ssh desk 'cat > heap.html'
    """
)
@click.argument("file")
@click.option(
    "-o", "--output", "out", metavar="OUT.html", help="Page to write; - for standard output. Default: FILE.html here."
)
@options.sample_type
@options.focus
@options.ignore
@options.max_bytes
def command(
    *, file: str, out: str | None, sample_type: str | None, focus: str | None, ignore: str | None, max_bytes: int
) -> None:
    """Draw a profile as a flame graph in one HTML page.

    The page needs no network and holds all columns; --sample-type is the one shown first.
    """
    profile = inputs.read([file], max_bytes, focus, ignore)
    name = _bare_name(file)
    out = out or f"{name}.html"
    outputs.write(out, render(profile, title=name, sample_type=sample_type).encode())
    if out != "-":
        click.echo(out)


def _bare_name(file: str) -> str:
    name = "flame" if file == "-" else Path(file).resolve().name
    for suffix in _SUFFIXES:
        name = name.removesuffix(suffix)
    return name
