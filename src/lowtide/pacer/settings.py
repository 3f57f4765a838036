"""The settings of the pacer: what a call may say, what the environment may, and which of them holds."""

import operator
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple, get_args

from lowtide.errors import SettingsError
from lowtide.pacer.memory import parse_limit

Mode = Literal["act", "advise"]
MODES: tuple[Mode, ...] = get_args(Mode)
Percent = int | None

MODE, PERCENT, LIMIT = "LOWTIDE_PACER", "LOWTIDE_GC_PERCENT", "LOWTIDE_MEMORY_LIMIT"
TRACE = "LOWTIDE_GCTRACE"

MAX_PERCENT = 1_000_000
OFF = "off"


class TraceTarget(NamedTuple):
    """Where a trace goes, and in which form.

    Args:
        file: None for stderr.
        is_json: an object a line.
    """

    file: str | None
    is_json: bool


class Knob(NamedTuple):
    """A setting as the environment leaves it.

    Args:
        value: what holds; the default where the variable is unset or malformed.
        origin: "environment" or "default".
        problem: what is wrong with the variable; "" where nothing is.
    """

    value: int | str | None
    origin: str
    problem: str = ""


def check_mode(mode: str) -> Mode:
    """Return the mode.

    Raises: SettingsError.
    """
    for known in MODES:
        if mode == known:
            return known
    raise SettingsError(f"mode must be {' or '.join(map(repr, MODES))}, got {mode!r}")


def check_percent(percent: Percent) -> Percent:
    """Return the percentage, a whole number of 1 to 1,000,000, or None.

    Raises: SettingsError.
    """
    if percent is None:
        return None
    try:
        percent = operator.index(percent)
    except TypeError:
        raise TypeError(f"percent must be a whole number such as 100, or off (None), got {percent!r}") from None
    if not 1 <= percent <= MAX_PERCENT:
        raise SettingsError(f"percent must be 1 to {MAX_PERCENT}, or off (None), got {percent}")
    return percent


def parse_percent(text: str) -> Percent:
    """Read `LOWTIDE_GC_PERCENT`: `100`, `200%`, or `off` for None.

    Raises: SettingsError.
    """
    text = text.strip()
    digits = text.removesuffix("%")
    if text.lower() == OFF:
        return None
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 11):
        raise SettingsError(f"expected a whole number such as 100, or off, got {text[:40]!r}")
    return check_percent(int(digits))


def parse_trace(text: str) -> TraceTarget | None:
    """Read `LOWTIDE_GCTRACE`: `1`, `stderr`, a file, `json:stderr` or `json:FILE`; None for `0` and `off`.

    Raises: SettingsError.
    """
    is_json = text.startswith("json:")
    target = text.removeprefix("json:").strip()
    if target.lower() in ("0", OFF) and not is_json:
        return None
    if target in ("1", "stderr"):
        return TraceTarget(None, is_json)
    if not target or target.isdecimal() or target.lower() in ("true", "false", "yes", "no", "on", "-"):
        raise SettingsError(f"expected 1 (stderr), a file or json:FILE, got {text[:40]!r}")
    return TraceTarget(target, is_json)


def read_mode(environ: Mapping[str, str]) -> Knob:
    """Tell how `LOWTIDE_PACER` wants the pacer started; None: not at all."""

    def parse(text: str) -> Mode | None:
        return None if text.strip().lower() in ("0", OFF) else check_mode(text.strip().lower())

    return _read(environ, MODE, parse, None)


def read_percent(environ: Mapping[str, str]) -> Knob:
    """Tell what `LOWTIDE_GC_PERCENT` says."""
    return _read(environ, PERCENT, parse_percent, None)


def read_limit(environ: Mapping[str, str]) -> Knob:
    """Tell what `LOWTIDE_MEMORY_LIMIT` says."""
    return _read(environ, LIMIT, parse_limit, "auto")


def _read(
    environ: Mapping[str, str], variable: str, parse: Callable[[str], int | str | None], default: int | str | None
) -> Knob:
    text = environ.get(variable)
    if not text:
        return Knob(default, "default")
    try:
        return Knob(parse(text), "environment")
    except SettingsError as error:
        return Knob(default, "default", f"{variable}: {error}")
