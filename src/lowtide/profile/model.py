"""The records of a profile: pprof's messages with every id and string index resolved.

Equal parts of one profile are shared objects, so code that walks stacks may key its caches by `id()`.
"""

import builtins
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ValueType:
    """What a column counts, and in which unit."""

    type: str
    unit: str


@dataclass(frozen=True, slots=True)
class Function:
    """A function; `name` is `module.qualname`.

    `system_name` stays empty for Python: where both are equal, pprof demangles the name and eats `<lambda>`.
    """

    name: str
    system_name: str = ""
    filename: str = ""
    start_line: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a function; 0 where the line or the column is not known."""

    function: Function
    line: int = 0
    column: int = 0


@dataclass(frozen=True, slots=True)
class Mapping:
    """A binary (or the program) that addresses belong to, and what is already known about its locations."""

    start: int = 0
    limit: int = 0
    offset: int = 0
    filename: str = ""
    build_id: str = ""
    has_functions: bool = False
    has_filenames: bool = False
    has_line_numbers: bool = False
    has_inline_frames: bool = False


@dataclass(frozen=True, slots=True)
class Location:
    """One place in the code: the lines that are inlined there, innermost first, or a bare address."""

    lines: tuple[Line, ...] = ()
    address: int = 0
    mapping: Mapping | None = None
    is_folded: bool = False


@dataclass(frozen=True, slots=True)
class Label:
    """A key with either a string or a number; a number needs its unit."""

    key: builtins.str
    str: builtins.str = ""
    num: int = 0
    num_unit: builtins.str = ""


@dataclass(frozen=True, slots=True)
class Sample:
    """A stack, leaf first, with one value for each of the profile's sample types."""

    locations: tuple[Location, ...]
    values: tuple[int, ...]
    labels: tuple[Label, ...] = ()


@dataclass(frozen=True, slots=True)
class ProfileData:
    """All that a profile says; `Profile` adds the verbs."""

    sample_types: tuple[ValueType, ...]
    samples: tuple[Sample, ...] = ()
    period_type: ValueType | None = None
    period: int = 0
    time_nanos: int = 0
    duration_nanos: int = 0
    default_sample_type: str = ""
    comments: tuple[str, ...] = ()
    mappings: tuple[Mapping, ...] = ()
    drop_frames: str = ""
    keep_frames: str = ""
    doc_url: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a ranking.

    Args:
        name: `module.qualname`, or the file's name in a ranking by file.
        file: file name, empty where not known.
        line: line (by line), first line of the function (by function), or 0.
        flat: what the frame itself accounts for.
        cum: what it and all it called account for; a recursive stack counts once.
        stderr: standard error of `flat`, 0 where exact, None where the profile does not say how it was sampled.
    """

    name: str
    file: str
    line: int
    flat: int
    cum: int
    stderr: float | None
