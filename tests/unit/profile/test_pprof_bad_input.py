"""Whatever the input, reading gives a profile or one line that says what is wrong with it."""

import gzip
import zlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowtide.errors import ProfileFormatError
from lowtide.profile import Function, Line, Location, Profile, Sample, ValueType
from lowtide.profile.formats.pprof import decode, encode
from lowtide.profile.formats.protobuf import pack
from tests.strategies import HEAP_TYPES, any_profiles, damaged, heap_profiles

STRINGS = [b"", b"samples", b"count"]
TYPES = [pack((1, 2), "ss", "")]


def message(
    *,
    types: Sequence[bytes] = TYPES,
    samples: Sequence[bytes] = (),
    mappings: Sequence[bytes] = (),
    locations: Sequence[bytes] = (),
    functions: Sequence[bytes] = (),
    strings: Sequence[bytes] = STRINGS,
) -> bytes:
    """Encode a profile out of encoded parts, sound by default."""
    return pack((types, samples, mappings, locations, functions, strings), "MMMMMM", "profile")


def sample(locations: Sequence[int] = (), values: Sequence[int] = (1,)) -> bytes:
    return pack((locations, values, []), "UUM", "sample")


SOUND = message(samples=[sample()])
HUGE = b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f"  # 2^63 - 1
HUGER = b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"  # 2^63
TOO_LONG = b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02"  # 2^64


@pytest.mark.parametrize(
    ("data", "error"),
    [
        pytest.param(b"", "empty file", id="empty"),
        pytest.param(SOUND[:-1], "truncated", id="cut in a string"),
        pytest.param(SOUND[:1], "truncated", id="cut after a tag"),
        pytest.param(SOUND + b"\x50\x80", "truncated", id="cut in a number"),
        pytest.param(SOUND + b"\x79" + bytes(7), "has wire type 1", id="fixed64 in a known field"),
        pytest.param(SOUND + b"\xf9\x07" + bytes(7), "truncated", id="cut in a fixed64"),
        pytest.param(gzip.compress(SOUND)[:-9], "truncated gzip", id="cut gzip"),
        pytest.param(gzip.compress(SOUND)[:10] + b"\xff" * 20, "damaged gzip", id="damaged gzip"),
        pytest.param(gzip.compress(SOUND)[:-8] + bytes(8), "damaged gzip", id="wrong checksum"),
        pytest.param(gzip.compress(SOUND) + b"junk", "damaged gzip", id="junk after gzip"),
        pytest.param(gzip.compress(b""), "no sample types", id="nothing in gzip"),
        pytest.param(message(types=[]), "no sample types", id="no sample types"),
        pytest.param(b'{"not": "a profile"}', "wire type|truncated|field", id="JSON"),
        pytest.param(SOUND + b"\x0b", "wire type 3", id="a group"),
        pytest.param(SOUND + b"\x00\x00", "field number 0", id="field number 0"),
        pytest.param(SOUND + b"\x12" + HUGE, "truncated", id="a message of 2^63-1 bytes"),
        pytest.param(SOUND + b"\x12" + HUGER, "truncated", id="a message of 2^63 bytes"),
        pytest.param(SOUND + b"\x60" + TOO_LONG, "longer than 64 bits", id="a number of 2^64"),
        pytest.param(SOUND + b"\x60" + b"\xff" * 5000, "longer than 64 bits", id="a number without end"),
        pytest.param(SOUND + b"\x10\x01", "is a number", id="a number for a sample"),
        pytest.param(SOUND + b"\x62\x01a", "is bytes", id="bytes for the period"),
        pytest.param(message(strings=[b"x", b"a", b"b"]), "begin with an empty string", id="no empty string first"),
        pytest.param(message(strings=STRINGS[:2]), "string index 2 is out of range", id="string index too large"),
        pytest.param(SOUND + b"\x70" + HUGER, "out of range", id="string index negative"),
        pytest.param(message(strings=[*STRINGS, b"\xff"]), "string 3 is not UTF-8", id="not UTF-8"),
        pytest.param(message(strings=[*STRINGS, b"\xed\xa0\x80"]), "string 3 is not UTF-8", id="encoded surrogate"),
        pytest.param(message(samples=[sample([9])]), "unknown location id 9", id="unknown location"),
        pytest.param(message(samples=[sample([0])]), "unknown location id 0", id="location 0"),
        pytest.param(message(locations=[pack((1, 7), "uu", "")]), "unknown mapping id 7", id="unknown mapping"),
        pytest.param(
            message(locations=[pack((1, 0, 0, [pack((5,), "u", "")]), "uuuM", "")]),
            "unknown function id 5",
            id="function",
        ),
        pytest.param(message(functions=[pack((1,), "u", "")] * 2), "function id 1 is used twice", id="same id twice"),
        pytest.param(message(functions=[pack((0, 1), "us", "")]), "function id 0 is reserved", id="id 0"),
        pytest.param(message(samples=[sample(values=[1, 2])]), "sample 0 has 2 values, expected 1", id="values"),
        pytest.param(message(samples=[sample(values=[2**63])]), "sample 0 has the value 2\\^63", id="a count of 2^63"),
        pytest.param(message(samples=[b"\x12\x0b" + b"\xff" * 11]), "longer than 64 bits", id="a packed count"),
        pytest.param(message(samples=[b"\x12\x01\x80"]), "truncated", id="a packed count, cut"),
        pytest.param(SOUND + SOUND + b"\x48\x01\x48\x02", "concatenated", id="two times"),
        pytest.param(
            encode(Profile(HEAP_TYPES, time_nanos=1)) + encode(Profile(HEAP_TYPES, time_nanos=2)),
            "concatenated profiles",
            id="two files in one",
        ),
    ],
)
def test_malformed_input_gets_one_line(data: bytes, error: str) -> None:
    with pytest.raises(ProfileFormatError, match=error) as caught:
        decode(data, Profile)
    assert "\n" not in str(caught.value)


def test_a_gzip_bomb_is_refused_before_it_is_inflated() -> None:
    bomb = zlib.compress(SOUND + b"\x7a\x80\x80\x80\x80\x04" + bytes(2**26), wbits=31)

    with pytest.raises(ProfileFormatError, match="larger than 1 MiB inflated; raise max_bytes"):
        decode(bomb, Profile, max_bytes=2**20)


def test_the_cap_can_be_raised() -> None:
    location = Location((Line(Function("f" * 5000), 1),))
    data = encode(Profile((ValueType("samples", "count"),), (Sample((location,), (1,)),)))

    with pytest.raises(ProfileFormatError, match="larger than"):
        decode(data, Profile, max_bytes=5000)
    assert decode(data, Profile, max_bytes=6000).samples[0].locations[0] == location


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    read_or_refuse(data)


@given(damaged(heap_profiles().map(encode)))
def test_a_damaged_file_is_read_or_refused(data: bytes) -> None:
    read_or_refuse(data)


@given(damaged((any_profiles() | heap_profiles()).map(lambda profile: zlib.decompress(encode(profile), wbits=31))))
def test_a_damaged_message_is_read_or_refused(data: bytes) -> None:
    read_or_refuse(data)


def read_or_refuse(data: bytes) -> None:
    try:
        profile = decode(data, Profile)
    except ProfileFormatError as error:
        message = str(error)
    else:
        message = "read"
        encode(profile)
    assert message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("profile", "error"),
    [
        (Profile(()), "needs a sample type, got none"),
        (Profile(HEAP_TYPES, (Sample((), (1,)),)), "sample 0 has 1 values, expected 4"),
        (Profile(HEAP_TYPES, (Sample((), (0, 0, 0, 2**63)),)), "does not fit an int64"),
        (Profile(HEAP_TYPES, (Sample((Location((), -1),), (0, 0, 0, 1)),)), "does not fit a uint64"),
    ],
)
def test_what_the_format_cannot_hold_is_not_written(profile: Profile, error: str) -> None:
    with pytest.raises(ProfileFormatError, match=error):
        encode(profile)
