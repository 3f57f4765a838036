import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowtide.errors import SettingsError
from lowtide.units import format_bytes, format_count, format_duration, parse_bytes, parse_duration


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("4096", 4096),
        ("0", 0),
        ("512KiB", 524288),
        ("512 kib", 524288),
        ("1.5GiB", 3 * 2**29),
        (" 64 MB ", 64_000_000),
        ("9007199254740993B", 2**53 + 1),
        ("2EiB", 2**61),
    ],
)
def test_a_size_is_read_in_every_usual_spelling(text: str, size_bytes: int) -> None:
    assert parse_bytes(text) == size_bytes


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("60s", 60),
        ("90", 90),
        ("2m", 120),
        ("2 min", 120),
        ("1.5ms", 0.0015),
        ("3h", 10800),
        ("5us", 5e-6),
        ("5µs", 5e-6),
    ],
)
def test_a_duration_is_read_in_every_usual_spelling(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "KiB", "-1", "1e3", "nan", "inf", "12XB", "1 2", "0x10", "9" * 5000, "५"])
def test_what_is_no_size_gets_an_error_that_shows_one(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^expected a size such as 512KiB, 64MiB or 4096, got "):
        parse_bytes(text)


@pytest.mark.parametrize("text", ["", "s", "-1s", "1d", "60S", "nan"])
def test_what_is_no_duration_gets_an_error_that_shows_one(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^expected a duration such as 500ms, 60s or 2m, got "):
        parse_duration(text)


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1023.9, "1 KiB"),
        (524288, "512 KiB"),
        (1024 * 1023.7, "1 MiB"),
        (1_234_567, "1.18 MiB"),
        (-1536, "-1.5 KiB"),
        (2**63, "8 EiB"),
        (2**75, "32768 EiB"),
    ],
)
def test_a_size_is_written_with_the_digits_that_matter(size_bytes: float, text: str) -> None:
    assert format_bytes(size_bytes) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.0015, "1.5 ms"),
        (0.99996, "1 s"),
        (59.4, "59.4 s"),
        (-2.5, "-2.5 s"),
        (90, "1.5 min"),
        (3e-9, "3 ns"),
    ],
)
def test_a_duration_is_written_with_the_digits_that_matter(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_a_count_is_written_whole_with_its_thousands_marked() -> None:
    assert format_count(1234567) == "1,234,567"
    assert format_count(-1234.6) == "-1,235"


@given(st.integers(0, 2**63))
def test_a_size_that_was_written_reads_as_nearly_the_same(size_bytes: int) -> None:
    assert parse_bytes(format_bytes(size_bytes)) == pytest.approx(size_bytes, rel=0.005)


@given(st.floats(1e-8, 1e8))
def test_a_duration_that_was_written_reads_as_nearly_the_same(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, rel=0.006)
