"""Folded stacks: one line a stack, root first, then its value; what flame graph tools read."""

from collections import Counter

from lowtide.profile.model import Location, ProfileData
from lowtide.profile.ops import frames, sample_type_index

# These end a frame or a line in the format, and no escape exists.
_ESCAPES = str.maketrans({";": ":", "\n": " ", "\r": " "})


def folded(profile: ProfileData, sample_type: str | None = None) -> str:
    """Write one column as folded stacks, sorted; equal stacks are added up and zeros left out.

    Args:
        profile: the profile.
        sample_type: the column; None for the profile's own default.

    Raises: SettingsError for an unknown sample type.
    """
    column = sample_type_index(profile, sample_type)
    sums: Counter[str] = Counter()
    for sample in profile.samples:
        if sample.locations:
            sums[";".join(name for location in reversed(sample.locations) for name in _names(location))] += (
                sample.values[column]
            )
    return "".join(f"{stack} {value}\n" for stack, value in sorted(sums.items()) if value)


def _names(location: Location) -> list[str]:
    """Name the frames of a location, outermost first."""
    names = [frame.function.name if frame else f"{location.address:#x}" for frame in frames(location)]
    return [name.translate(_ESCAPES) for name in reversed(names)]
