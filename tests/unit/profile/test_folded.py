"""Folded stacks."""

import pytest
from hypothesis import given

from lowtide.errors import SettingsError
from lowtide.profile import Function, Line, Location, Profile, Sample, ValueType
from lowtide.profile.formats.folded import folded
from tests.strategies import heap_profiles

COUNT = (ValueType("samples", "count"),)


def at(*names: str) -> Location:
    return Location(tuple(Line(Function(name)) for name in names))


def test_stacks_are_written_root_first_and_added_up() -> None:
    samples = (Sample((at("leaf"), at("root")), (2,)), Sample((at("leaf"), at("root")), (3,)), Sample((at("a"),), (1,)))

    assert folded(Profile(COUNT, samples)) == "a 1\nroot;leaf 5\n"


def test_inlined_frames_are_frames() -> None:
    assert folded(Profile(COUNT, (Sample((at("inlined", "outer"), at("root")), (2,)),))) == "root;outer;inlined 2\n"


def test_what_would_break_a_line_or_a_frame_is_replaced() -> None:
    assert folded(Profile(COUNT, (Sample((at("a;b\nc"),), (2,)),))) == "a:b c 2\n"


def test_a_bare_address_is_a_frame() -> None:
    assert folded(Profile(COUNT, (Sample((Location(address=0x1234),), (2,)),))) == "0x1234 2\n"


def test_zeros_and_stacks_without_frames_are_left_out() -> None:
    assert folded(Profile(COUNT, (Sample((at("a"),), (0,)), Sample((), (1,))))) == ""


def test_an_unknown_sample_type_is_an_error() -> None:
    with pytest.raises(SettingsError, match="one of samples, got 'cpu'"):
        folded(Profile(COUNT), "cpu")


@given(heap_profiles())
def test_the_values_add_up_to_the_total(profile: Profile) -> None:
    lines = folded(profile, "alloc_space").splitlines()

    assert sum(int(line.rpartition(" ")[2]) for line in lines) == profile.total("alloc_space")
