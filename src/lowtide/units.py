"""Sizes, durations and counts: from and to the text a person writes and reads."""

import math
import re

from lowtide.errors import SettingsError

_BINARY_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_BYTES = {unit.lower(): 1024**power for power, unit in enumerate(_BINARY_UNITS)}
_BYTES |= {unit: 1000**power for power, unit in enumerate(("", "kb", "mb", "gb", "tb", "pb", "eb"))}

# Largest first, as format_duration tries them; `m` is Go's and systemd's spelling of a minute.
_SECONDS_OF_UNIT = (("h", 3600.0), ("min", 60.0), ("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9))
_SECONDS = dict(_SECONDS_OF_UNIT) | {"": 1.0, "m": 60.0, "us": 1e-6, "μs": 1e-6}

_QUANTITY = re.compile(r"\s*([0-9]{1,18}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})\s*([a-zA-Zµμ]*)\s*", re.ASCII)


def parse_bytes(text: str) -> int:
    """Read a size such as `512KiB`, `1.5 GiB`, `64MB` or `4096`.

    Args:
        text: a number >= 0 and a unit: none or B, KiB to EiB (powers of 1024), kB to EB (powers of 1000); any case.

    Returns: bytes.
    Raises: SettingsError where it is not a size.
    """
    amount, unit = _split(text)
    if amount is None or unit.lower() not in _BYTES:
        raise SettingsError(f"expected a size such as 512KiB, 64MiB or 4096, got {text[:40]!r}")
    return round(_times(amount, _BYTES[unit.lower()]))


def parse_duration(text: str) -> float:
    """Read a duration such as `1.5ms`, `60s`, `2m` or `90`.

    Args:
        text: a number >= 0 and a unit: ns, us, ms, s (or none), m or min, h.

    Returns: seconds.
    Raises: SettingsError where it is not a duration.
    """
    amount, unit = _split(text)
    if amount is None or unit not in _SECONDS:
        raise SettingsError(f"expected a duration such as 500ms, 60s or 2m, got {text[:40]!r}")
    return float(amount) * _SECONDS[unit]


def format_bytes(size_bytes: float) -> str:
    """Write a size with three to four digits, as in `512 KiB` or `-1.5 GiB`."""
    amount, unit = float(size_bytes), 0
    while unit + 1 < len(_BINARY_UNITS) and abs(float(_digits(amount))) >= 1024:
        amount, unit = amount / 1024, unit + 1
    return f"{_digits(amount)} {_BINARY_UNITS[unit]}"


def format_duration(seconds: float) -> str:
    """Write a duration with three digits, as in `1.5 ms` or `2 min`."""
    for unit, unit_seconds in _SECONDS_OF_UNIT:
        if abs(float(_digits(seconds / unit_seconds))) >= 1:
            return f"{_digits(seconds / unit_seconds)} {unit}"
    return f"{_digits(seconds / 1e-9)} ns" if seconds else "0 s"


def format_count(count: float) -> str:
    """Write a count with its thousands marked, as in `1,234,567`."""
    return f"{round(count):,}"


def _split(text: str) -> tuple[str | None, str]:
    match = _QUANTITY.fullmatch(text)
    return (match[1], match[2]) if match else (None, "")


def _times(amount: str, factor: int) -> float:
    # A whole number stays an int: a float would round sizes above 2^53.
    return int(amount) * factor if amount.isdecimal() else float(amount) * factor


def _digits(amount: float) -> str:
    """Write a number with three digits, or all of those left of the point."""
    whole_digits = 1 + math.floor(math.log10(abs(amount))) if abs(amount) >= 1 else 1
    text = f"{amount:.{max(0, 3 - whole_digits)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
