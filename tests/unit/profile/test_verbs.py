"""Every verb takes whatever a file can hold."""

from hypothesis import given

from lowtide.profile import Profile, diff, merge
from lowtide.profile.formats.folded import folded
from lowtide.profile.formats.pprof import decode, encode
from lowtide.profile.formats.table import table
from tests.strategies import any_profiles


@given(any_profiles())
def test_ranking_and_drawing_take_any_profile(profile: Profile) -> None:
    rows = profile.top(sample_type=None)

    assert table(rows, profile.sample_types[-1].unit, profile.total(None)).endswith("\n")
    assert folded(profile).count("\n") <= len(profile.samples)


@given(any_profiles())
def test_a_profile_is_shown_in_a_line(profile: Profile) -> None:
    assert repr(profile).startswith("<Profile of ")
    assert f": {len(profile.samples)} sample" in repr(profile)


@given(any_profiles())
def test_selections_can_be_written(profile: Profile) -> None:
    for selection in (profile.focus("a"), profile.ignore("a")):
        assert decode(encode(selection), Profile).samples == selection.samples


@given(any_profiles())
def test_merge_and_diff_take_any_profile(profile: Profile) -> None:
    assert merge([profile]).total(None) == profile.total(None)
    assert diff(profile, profile).total(None) == 0
