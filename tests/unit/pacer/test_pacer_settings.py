"""What the variables of the pacer may say."""

from typing import Any

import pytest

from lowtide.errors import SettingsError
from lowtide.pacer.memory import parse_limit
from lowtide.pacer.settings import Knob, check_mode, check_percent, parse_percent, read_limit, read_mode, read_percent


@pytest.mark.parametrize(("text", "value"), [("100", 100), (" 50% ", 50), ("off", None), ("OFF", None)])
def test_percent(text: str, value: int | None) -> None:
    assert parse_percent(text) == value


@pytest.mark.parametrize("text", ["", "0", "-1", "1e3", "٣", "100 percent", "1000001", "9" * 5000])
def test_no_percent(text: str) -> None:
    with pytest.raises(SettingsError):
        parse_percent(text)


@pytest.mark.parametrize("value", ["100", 1.5, []])
def test_what_is_no_whole_number_is_named(value: Any) -> None:
    with pytest.raises(TypeError, match="percent must be a whole number such as 100"):
        check_percent(value)


@pytest.mark.parametrize("value", [1.5, [], b"1MiB"])
def test_what_is_no_limit_is_named(value: Any) -> None:
    with pytest.raises(TypeError, match="memory_limit must be bytes, a text such as '900MiB', or off"):
        parse_limit(value)


@pytest.mark.parametrize(
    ("text", "value"), [("act", "act"), (" Advise ", "advise"), ("off", None), ("0", None), ("", None)]
)
def test_mode(text: str, value: str | None) -> None:
    knob = read_mode({"LOWTIDE_PACER": text})
    assert (knob.value, knob.problem) == (value, "")


def test_an_unknown_mode_is_named() -> None:
    with pytest.raises(SettingsError, match="mode must be 'act' or 'advise', got 'yes'"):
        check_mode("yes")


def test_what_is_unset_is_the_default() -> None:
    assert [read_mode({}), read_percent({}), read_limit({})] == [
        Knob(None, "default"),
        Knob(None, "default"),
        Knob("auto", "default"),
    ]


def test_what_is_set_comes_from_the_environment() -> None:
    assert read_limit({"LOWTIDE_MEMORY_LIMIT": "900MiB"}) == Knob(900 * 1024 * 1024, "environment")
    assert read_limit({"LOWTIDE_MEMORY_LIMIT": "off"}) == Knob(None, "environment")
    assert read_percent({"LOWTIDE_GC_PERCENT": "100"}) == Knob(100, "environment")


def test_what_is_malformed_is_the_default_and_says_so() -> None:
    knob = read_limit({"LOWTIDE_MEMORY_LIMIT": "900 bananas"})

    assert (knob.value, knob.origin) == ("auto", "default")
    assert knob.problem.startswith("LOWTIDE_MEMORY_LIMIT: expected a memory limit")
