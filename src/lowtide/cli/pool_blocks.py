"""From a heap profile to the blocks that `lowtide.pool.advise` judges."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lowtide.errors import ProfileFormatError
from lowtide.pool.advise import Blocks, Place
from lowtide.pool.constructors import Constructor, known_by_function, known_by_source
from lowtide.profile import Profile, Sample
from lowtide.profile.ops import by_line, frames, variance

COLUMNS = ("alloc_objects", "inuse_objects")
IMPORT_MODULES = ("importlib._bootstrap.", "importlib._bootstrap_external.")
MAX_SOURCE_BYTES = 4 * 1024**2


@dataclass(slots=True)
class _Sum:
    allocs: int = 0
    held: int = 0
    variance: float | None = 0.0


def blocks(profile: Profile, file: str) -> list[Blocks]:
    """Add up the samples of each place, size and domain.

    Args:
        profile: with the labels and columns of a heap profile.
        file: what it was read from.

    Raises: ProfileFormatError where it does not say what is needed.
    """
    allocs, held = _columns(profile, file)
    sums: defaultdict[tuple[Place, str, Constructor | None, bool, int, str], _Sum] = defaultdict(_Sum)
    source_of = _Sources()
    for sample in profile.samples:
        labels = {label.key: label for label in sample.labels}
        size, domain = labels.get("bytes"), labels.get("domain")
        if size is None or size.num < 1 or not sample.locations:
            continue
        found = sums[*_place(sample, source_of), size.num, domain.str if domain else ""]
        found.allocs += sample.values[allocs]
        found.held += sample.values[held]
        estimate = variance(profile, sample, allocs)
        found.variance = None if found.variance is None or estimate is None else found.variance + estimate
    return [
        Blocks(*key, allocs=found.allocs, held=found.held, variance=found.variance)
        for key, found in sums.items()
        if found.allocs > 0
    ]


def _columns(profile: Profile, file: str) -> tuple[int, int]:
    known = [kind.type for kind in profile.sample_types]
    missing = [column for column in COLUMNS if column not in known]
    if missing:
        raise ProfileFormatError(
            f"{file}: expected a heap profile with {' and '.join(COLUMNS)}, got {', '.join(known) or 'no columns'}; "
            "take one with `lowtide run`"
        )
    if profile.samples and not any(label.key == "bytes" for sample in profile.samples for label in sample.labels):
        raise ProfileFormatError(
            f"{file}: the samples have no label `bytes`, the size of a block, which lowtide writes; "
            "take a profile with `lowtide run`, and do not convert it"
        )
    return known.index(COLUMNS[0]), known.index(COLUMNS[1])


def _place(sample: Sample, source_of: "_Sources") -> tuple[Place, str, Constructor | None, bool]:
    """Find which place a sample counts for: the leaf, or what called a known constructor that is written in Python."""
    stack = [by_line(location, frame) for location in sample.locations for frame in frames(location)]
    is_import = any(name.startswith(IMPORT_MODULES) for name, _, _ in stack)
    for index in range(len(stack) - 2, -1, -1):
        if known := known_by_function(stack[index][0]):
            place = stack[index + 1]
            return place, source_of[place], known, is_import
    source = source_of[stack[0]]
    return stack[0], source, known_by_source(source), is_import


class _Sources(dict[Place, str]):
    """Lines of code, by place: empty where the file is not here, or no Python."""

    def __init__(self) -> None:
        self._lines: dict[str, list[str]] = {}

    def __missing__(self, place: Place) -> str:
        _, file, line = place
        if file not in self._lines:
            self._lines[file] = list(_read_lines(Path(file)))
        lines = self._lines[file]
        self[place] = source = lines[line - 1].strip() if 0 < line <= len(lines) else ""
        return source


def _read_lines(path: Path) -> Iterator[str]:
    try:
        # A profile may come from anywhere, and name any file.
        if path.suffix == ".py" and path.is_file() and path.stat().st_size <= MAX_SOURCE_BYTES:
            yield from path.read_text(errors="replace").splitlines()
    except (OSError, ValueError):
        return
