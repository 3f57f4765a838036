"""A decoded profile against the model's rows."""

import math
from collections.abc import Sequence

from lowtide.profile.model import ProfileData
from tests.models.heap_tables import INT64_MAX, HeapTables, Key, function_name

TYPES = [("alloc_objects", "count"), ("alloc_space", "bytes"), ("inuse_objects", "count"), ("inuse_space", "bytes")]


def visible(key: Key, model: HeapTables, roots: Sequence[str], script: str) -> tuple[object, ...]:
    """Return what of a key can be told from a sample: its interval only where it is not the period."""
    stack = tuple((function_name(frame, list(roots), script), *frame[1:]) for frame in key.stack)
    inherited = key.generation != model.generation
    interval = key.interval if key.interval != model.interval else None
    return stack, max(key.size, 1), key.domain, inherited, interval


def check_profile(profile: ProfileData, model: HeapTables, roots: Sequence[str] = (), script: str = "") -> None:
    """Check that the profile says what the model holds, each estimate rounded to one of its two neighbours.

    Raises: AssertionError.
    """
    assert [(kind.type, kind.unit) for kind in profile.sample_types] == TYPES
    assert profile.period_type is not None
    assert (profile.period_type.type, profile.period_type.unit, profile.period) == ("space", "bytes", model.interval)
    assert profile.default_sample_type == "inuse_space"
    assert [mapping.filename for mapping in profile.mappings] == [script]

    expected: dict[tuple[object, ...], list[tuple[float, ...]]] = {}
    for key, row in model.rows().items():
        expected.setdefault(visible(key, model, roots, script), []).append((key.interval, *row))
    for sample in profile.samples:
        stack = []
        for location in sample.locations:
            (line,) = location.lines
            function = line.function
            stack.append((function.name, function.filename, function.start_line, line.line))
            assert function.system_name == ""
            assert location.mapping == profile.mappings[0]
        labels = {label.key: label.str or label.num for label in sample.labels}
        assert {label.num_unit for label in sample.labels if label.num} <= {"bytes"}
        assert labels.get("origin") in (None, "parent")
        seen = tuple(stack), labels["bytes"], labels["domain"], "origin" in labels, labels.get("interval")
        # Sizes 0 and 1, and the generations of ancestors, look alike: any row of the same appearance may be meant.
        candidates = expected[seen]
        match = next((row for row in candidates if is_rounded(sample.values, row)), None)
        assert match is not None, f"{sample.values} is none of {candidates}"
        candidates.remove(match)
    assert not any(expected.values()), "the profile lacks samples"


def is_rounded(values: Sequence[int], row: tuple[float, ...]) -> bool:
    interval, *estimates = row
    alloc_objects, alloc_space, inuse_objects, inuse_space = values
    inherited = estimates[0] == 0
    if not inherited and not (alloc_objects >= inuse_objects and alloc_space >= inuse_space):
        return False
    for index, (value, estimate) in enumerate(zip(values, estimates, strict=True)):
        if min(estimate, INT64_MAX) >= 2**53:
            close = math.isclose(value, min(estimate, INT64_MAX), rel_tol=1e-9)
        elif interval <= 1:
            close = value == estimate
        else:  # objects go up or down, by a coin; bytes to the nearest
            close = abs(value - estimate) <= (1 if index % 2 == 0 else 0.5) + 1e-9 * estimate
        if not close or (value == 0) != (estimate == 0):
            return False
    return True
