"""`lowtide top`."""

import click

from lowtide.cli import inputs, options, outputs
from lowtide.profile.ops import By
from lowtide.units import format_count

TITLE_FILES = 3


@click.command(
    epilog="""\b
    Examples:
      lowtide top lowtide-out                              what holds memory now, all processes together
      lowtide top --sample-type alloc_objects lowtide-out  where it churns
      lowtide top --by function --focus orders heap.pb.gz  in one corner of the code
      lowtide top --format json -n 3 heap.pb.gz            for a program

    \b
    flat is what a place allocated itself, cum adds what it called, ± is the standard error of flat.
    """
)
@options.files
@options.ranking
def command(
    *,
    files: tuple[str, ...],
    limit: int,
    sample_type: str | None,
    by: By,
    output_format: str,
    focus: str | None,
    ignore: str | None,
    max_bytes: int,
) -> None:
    """Rank places in the code by what they account for.

    Several FILEs, and the files of a folder, are added up; memory that forked processes share counts once.
    """
    profile = inputs.read(files, max_bytes, focus, ignore)
    title = " + ".join(files) if len(files) <= TITLE_FILES else f"{files[0]} + {len(files) - 1} more"
    processes = sum(comment.startswith("process ") for comment in profile.comments)
    if processes > 1:  # a folder may hold more of them than one thinks: those of earlier runs
        title += f" ({format_count(processes)} processes)"
    outputs.show_ranking(profile, title, limit=limit, sample_type=sample_type, by=by, output_format=output_format)
