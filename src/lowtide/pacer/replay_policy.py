"""The policies that a trace can be replayed under, as a user writes them."""

from typing import NamedTuple

from lowtide.errors import SettingsError
from lowtide.pacer.reading import Triple

MAX_THRESHOLD = 2**31 - 1
MAX_PERCENT = 1_000_000


class Setting(NamedTuple):
    """A policy to replay a trace under.

    Args:
        name: as the user wrote it.
        thresholds: in force from when the program has started; a first one of 0 turns automatic collections off.
        freeze: collect and gc.freeze() then.
        act: the pacer acts.
        percent: of the pacer; None leaves it to what collections yield.
    """

    name: str
    thresholds: Triple
    freeze: bool = False
    act: bool = False
    percent: int | None = None


def parse_policy(text: str, python: str) -> Setting:
    """Read a policy such as `stock`, `threshold=50000` or `freeze+threshold=50000`.

    Args:
        text: parts joined by +.
        python: version of the interpreter, whose own thresholds hold where the text has none.

    Raises: SettingsError where it is none.
    """
    setting = Setting(text, default_thresholds(python))
    for part in text.split("+"):
        name, _, value = part.partition("=")
        number = int(value) if value.isascii() and value.isdecimal() and 0 < len(value) < 11 else 0
        if part == "freeze":
            setting = setting._replace(freeze=True)
        elif part == "disable":
            setting = setting._replace(thresholds=(0, *setting.thresholds[1:]))
        elif part == "act":
            setting = setting._replace(act=True)
        elif name == "threshold" and 1 <= number <= MAX_THRESHOLD:
            setting = setting._replace(thresholds=(number, *setting.thresholds[1:]))
        elif name == "percent" and 1 <= number <= MAX_PERCENT:
            setting = setting._replace(act=True, percent=number)
        elif text != "stock":
            raise SettingsError(
                "policy must be stock, act, percent=N, or freeze, threshold=N and disable, alone or joined by +,"
                f" N >= 1, got {text[:60]!r}"
            )
    if setting.act and text not in ("act", f"percent={setting.percent}"):
        raise SettingsError(
            f"the pacer freezes and sets thresholds itself: expected act or percent=N alone, got {text!r}"
        )
    return setting


def default_thresholds(python: str) -> Triple:
    """Return the thresholds that an interpreter of this version starts with."""
    major, minor = (int(part) for part in python.split(".")[:2])
    return (2000 if (major, minor) >= (3, 13) else 700), 10, 10
