"""Profiles in pprof format: read, write, rank, select, merge and compare them. Pure Python, on any platform."""

from lowtide.profile.merge import diff, merge
from lowtide.profile.model import Function, Label, Line, Location, Mapping, Row, Sample, ValueType
from lowtide.profile.profile import Profile

__all__ = [
    "Function",
    "Label",
    "Line",
    "Location",
    "Mapping",
    "Profile",
    "Row",
    "Sample",
    "ValueType",
    "diff",
    "merge",
]
