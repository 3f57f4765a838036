"""`lowtide diff`."""

import click

from lowtide.cli import inputs, options, outputs
from lowtide.profile import diff
from lowtide.profile.ops import By


@click.command(
    epilog="""\b
    Examples:
      lowtide diff before.pb.gz after.pb.gz       what grew between two snapshots: the leak is on top
      lowtide diff old-release/ new-release/      two releases under the same load, all processes of each
    """
)
@click.argument("base")
@click.argument("new")
@options.ranking
def command(
    *,
    base: str,
    new: str,
    limit: int,
    sample_type: str | None,
    by: By,
    output_format: str,
    focus: str | None,
    ignore: str | None,
    max_bytes: int,
) -> None:
    """Rank places in the code by the difference of two profiles.

    What grew from BASE to NEW is positive, what shrank negative.
    """
    profile = diff(*(inputs.read([file], max_bytes, focus, ignore) for file in (base, new)))
    outputs.show_ranking(
        profile, f"{new} - {base}", limit=limit, sample_type=sample_type, by=by, output_format=output_format
    )
