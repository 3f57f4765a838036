"""What `LOWTIDE_HEAP` may say, and what is said about the rest."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowtide.errors import SettingsError
from lowtide.heap.settings import Settings, parse, to_text, validate

all_settings = st.builds(
    Settings,
    sample_interval=st.integers(1, 2**40),
    max_frames=st.integers(1, 1024),
    max_bytes=st.integers(2**21, 2**30),
    directory=st.text(st.characters(exclude_characters="\0=", exclude_categories=["Cs"])).map(
        lambda name: f"/srv/{name}"
    ),
    every_seconds=st.one_of(st.just(0.0), st.integers(100, 365 * 86_400_000).map(lambda ms: ms / 1000)),
)


@given(all_settings)
def test_the_variable_carries_all_settings_to_a_child(settings: Settings) -> None:
    here = parse(to_text(settings))

    assert here == settings._replace(directory=here.directory)
    assert to_text(here) == to_text(settings)


def test_the_variable_is_short_where_little_is_said() -> None:
    assert to_text(Settings(directory="/srv/out")) == "interval=524288,out=/srv/out,every=60"


def test_the_folder_becomes_absolute() -> None:
    assert parse(to_text(Settings(directory="out"))).directory == str(Path("out").absolute())


def test_values_have_units() -> None:
    assert parse("interval=64KiB,every=2m,bytes=8 MiB,frames=64,out=x") == Settings(65536, 64, 8 * 2**20, "x", 120.0)


def test_what_is_not_said_stays_as_it_was() -> None:
    assert parse("frames=7", Settings(every_seconds=5.0)) == Settings(max_frames=7, every_seconds=5.0)


def test_a_folder_may_hold_commas() -> None:
    assert parse("out=/srv/a,b,every=0").directory == "/srv/a,b"


def test_a_folder_that_reads_like_a_setting_is_refused() -> None:
    with pytest.raises(SettingsError, match="must not contain `,name=`"):
        to_text(Settings(directory="/srv/a,every=3"))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "expected key=value"),
        ("interval", "expected key=value"),
        ("=3", "expected key=value"),
        ("speed=3", "expected one of the keys interval, out, every, frames, bytes, got 'speed'"),
        ("interval=-1", "interval: expected a size"),
        ("interval=0", "sample_interval must be >= 1 byte, got 0"),
        ("interval=2TiB", "sample_interval must be <= 1 TiB"),
        ("frames=", "frames: expected a whole number, got ''"),
        ("frames=٣", "frames: expected a whole number"),
        ("frames=2000", "max_frames must be 1 to 1024, got 2000"),
        ("bytes=1", "max_bytes must be 2 MiB to 1 GiB, got 1 bytes"),
        ("every=1ms", r"every: expected 0 \(at exit only\) or 100ms to 8760h, got '1ms'"),
        ("every=1y", "every: expected a duration"),
        ("out=", "out: expected a folder, got nothing"),
    ],
)
def test_a_wrong_value_is_named(text: str, complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint):
        parse(text)


def test_the_defaults_are_valid() -> None:
    validate(Settings().sample_interval, Settings().max_frames, Settings().max_bytes)
