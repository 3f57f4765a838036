"""`lowtide convert`."""

import click

from lowtide.cli import inputs, options, outputs
from lowtide.profile.formats import pprof
from lowtide.profile.formats.folded import folded


@click.command(
    epilog="""\b
    Examples:
      lowtide convert --to folded heap.pb.gz -o heap.folded      for flamegraph.pl, speedscope, ...
      lowtide convert --to folded --sample-type alloc_space heap.pb.gz | grep json
    """
)
@click.argument("file", metavar="IN")
@click.option("--to", type=click.Choice(["folded", "pprof"]), required=True, help="Format to write.")
@click.option(
    "-o", "--output", "out", metavar="OUT", default="-", show_default=True, help="File to write; - for standard output."
)
@options.sample_type
@options.focus
@options.ignore
@options.max_bytes
def command(
    *,
    file: str,
    to: str,
    out: str,
    sample_type: str | None,
    focus: str | None,
    ignore: str | None,
    max_bytes: int,
) -> None:
    """Write a profile in another format.

    Folded stacks hold one column, --sample-type; pprof holds them all.
    """
    profile = inputs.read([file], max_bytes, focus, ignore)
    content = pprof.encode(profile) if to == "pprof" else folded(profile, sample_type).encode()
    outputs.write(out, content)
