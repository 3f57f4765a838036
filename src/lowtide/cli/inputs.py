"""From the FILE arguments to one profile."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import click

from lowtide.errors import SettingsError
from lowtide.profile import Profile, merge

PATTERN = "heap.*.pb.gz"
LONG_BYTES = 4 * 1024**2  # of compressed profiles: more takes longer than anybody likes to wait in the dark


def read(files: Sequence[str], max_bytes: int, focus: str | None = None, ignore: str | None = None) -> Profile:
    """Read profiles and add them up.

    Args:
        files: paths; a folder stands for the profiles in it, `-` for standard input.
        max_bytes: inflated size beyond which one of them is refused, bytes.
        focus: regular expression of the stacks to keep.
        ignore: regular expression of the stacks to drop.

    Raises: OSError, ProfileFormatError, SettingsError.
    """
    sources = [source for file in files for source in _sources(file)]
    profiles = [_read(source, max_bytes) for source in _shown(sources)]
    profile = profiles[0] if len(profiles) == 1 else merge(profiles)
    if focus is not None:
        profile = profile.focus(focus)
    return profile if ignore is None else profile.ignore(ignore)


def _read(source: Path | BinaryIO, max_bytes: int) -> Profile:
    try:
        return Profile.read(source, max_bytes=max_bytes)
    except OSError as error:
        # A read that fails does not say what it was reading, as an open does.
        error.filename = error.filename or (str(source) if isinstance(source, Path) else "standard input")
        raise


def _sources(file: str) -> list[Path | BinaryIO]:
    if file == "-":
        return [sys.stdin.buffer]
    path = Path(file)
    if not path.is_dir():
        return [path]
    found = sorted(path.glob(PATTERN))
    if not found:
        raise SettingsError(f"no profiles in {file}: expected {PATTERN}, as `lowtide run --out {file}` writes them")
    return [*found]


def _shown(sources: list[Path | BinaryIO]) -> Iterator[Path | BinaryIO]:
    """Pass the sources on, with a progress bar where there is much to read and somebody to see it."""
    size_bytes = sum(source.stat().st_size for source in sources if isinstance(source, Path))
    if size_bytes < LONG_BYTES or not sys.stderr.isatty():
        yield from sources
    else:
        with click.progressbar(sources, label="reading", file=sys.stderr) as bar:
            yield from bar
