"""`lowtide merge`."""

import click

from lowtide.cli import inputs, options, outputs
from lowtide.profile.formats import pprof


@click.command(
    epilog="""\b
    Example:
      lowtide merge lowtide-out/*.pb.gz -o service.pb.gz
    """
)
@options.files
@click.option("-o", "--output", "out", metavar="OUT", required=True, help="Profile to write; - for standard output.")
@options.max_bytes
def command(files: tuple[str, ...], out: str, max_bytes: int) -> None:
    """Add profiles up into one.

    Memory that forked processes share counts once.
    """
    outputs.write(out, pprof.encode(inputs.read(files, max_bytes)))
