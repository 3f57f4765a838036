"""The pprof format both ways: what is written reads as the same, whatever a profile holds."""

import zlib
from dataclasses import replace

from hypothesis import given

from lowtide.profile import Function, Label, Line, Location, Mapping, Profile, Sample, ValueType
from lowtide.profile.formats.pprof import decode, encode
from lowtide.profile.formats.protobuf import pack
from tests.strategies import HEAP_TYPES, SCRIPT, SPACE, any_profiles

COUNT = (ValueType("samples", "count"),)


@given(any_profiles())
def test_a_written_profile_reads_as_the_same(profile: Profile) -> None:
    again = decode(encode(profile), Profile)

    # Mappings that only a location names join the list.
    assert set(again.mappings) >= set(profile.mappings)
    assert replace(again, mappings=profile.mappings) == profile


@given(any_profiles())
def test_equal_profiles_give_equal_bytes(profile: Profile) -> None:
    assert encode(decode(encode(profile), Profile)) == encode(profile)


def test_gzip_and_raw_read_the_same() -> None:
    packed = encode(Profile(COUNT))

    assert decode(zlib.decompress(packed, wbits=31), Profile) == decode(packed, Profile)


def test_equal_stacks_locations_and_labels_are_shared() -> None:
    sites = [Location((Line(Function("app.f", filename="app.py"), 1),)) for _ in range(2)]
    samples = tuple(Sample((site,), (1,), (Label("domain", "obj"),)) for site in sites)
    first, second = decode(encode(Profile(COUNT, samples)), Profile).samples

    assert first.locations is second.locations
    assert first.labels is second.labels


def test_a_lone_surrogate_is_written_as_its_escape() -> None:
    location = Location((Line(Function("app.f", filename="/srv/caf\udce9.py"), 1),))
    again = decode(encode(Profile(COUNT, (Sample((location,), (1,)),))), Profile)

    assert again.samples[0].locations[0].lines[0].function.filename == r"/srv/caf\udce9.py"


def test_a_numeric_zero_survives_because_it_gets_a_unit() -> None:
    again = decode(encode(Profile(COUNT, (Sample((), (1,), (Label("bytes", num=0),)),))), Profile)

    assert again.samples[0].labels == (Label("bytes", num=0, num_unit="bytes"),)


def test_what_the_format_adds_later_is_skipped() -> None:
    raw = zlib.decompress(encode(Profile(HEAP_TYPES, period_type=SPACE, period=1)), wbits=31)
    varint_field = b"\xf8\x07\x96\x01"
    bytes_field = b"\xfa\x07\x03abc"
    fixed64_field, fixed32_field = b"\xf9\x07" + bytes(8), b"\xfd\x07" + bytes(4)

    assert decode(varint_field + raw + bytes_field + fixed64_field + fixed32_field, Profile).period == 1


def test_numbers_are_read_packed_and_one_by_one() -> None:
    three_types = [b""] * 3
    one_then_two_packed = b"\x10\x01" + b"\x12\x03\x02\xac\x02"
    profile = decode(pack((three_types, [one_then_two_packed]), "MM", "profile"), Profile)

    assert profile.samples[0].values == (1, 2, 300)


def test_mappings_keep_what_is_known_about_them() -> None:
    binary = Mapping(0x400000, 0x500000, 0x1000, "/usr/bin/app", "abcd", has_functions=True)
    profile = Profile(COUNT, (Sample((Location((), 0x401234, binary),), (1,)),), mappings=(SCRIPT, binary))

    assert decode(encode(profile), Profile) == profile
