"""`focus` and `ignore`."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowtide.errors import SettingsError
from lowtide.profile import Profile
from tests.models.profile import frames
from tests.strategies import HEAP_TYPES, heap_profiles

patterns = st.sampled_from(["search", r"^app\.", "json|x$", "<lambda>", r"\.py$", "größe", "nowhere"])


@given(heap_profiles(), patterns)
def test_focus_keeps_the_stacks_with_a_matching_name(profile: Profile, pattern: str) -> None:
    expected = tuple(
        sample
        for sample in profile.samples
        if any(re.search(pattern, text) for f in frames(sample) for text in (f.function.name, f.function.filename))
    )

    assert profile.focus(pattern).samples == expected


@given(heap_profiles(), patterns)
def test_ignore_keeps_what_focus_drops(profile: Profile, pattern: str) -> None:
    focused, ignored = profile.focus(pattern).samples, profile.ignore(pattern).samples

    assert len(focused) + len(ignored) == len(profile.samples)
    assert [sample for sample in profile.samples if sample in ignored] == list(ignored)
    assert not set(focused) & set(ignored)


@given(heap_profiles(), patterns)
def test_selecting_keeps_all_but_the_samples(profile: Profile, pattern: str) -> None:
    focused = profile.focus(pattern)

    assert type(focused) is Profile
    assert (focused.sample_types, focused.period, focused.time_nanos) == (
        HEAP_TYPES,
        profile.period,
        profile.time_nanos,
    )


def test_a_malformed_pattern_gets_the_reason() -> None:
    with pytest.raises(SettingsError, match=r"focus must be a regular expression, got '\(': missing \)"):
        Profile(HEAP_TYPES).focus("(")
    with pytest.raises(SettingsError, match="ignore must be a regular expression"):
        Profile(HEAP_TYPES).ignore("*")
