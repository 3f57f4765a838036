"""The settings of the heap profiler, and their form in the environment."""

import os
from contextlib import suppress
from typing import Any, NamedTuple

from lowtide.errors import SettingsError
from lowtide.units import format_bytes, parse_bytes, parse_duration

VARIABLE = "LOWTIDE_HEAP"

MAX_INTERVAL = 1024**4
MAX_FRAMES = 1024
MIN_TABLE_BYTES, MAX_TABLE_BYTES = 2 * 1024**2, 1024**3
MIN_EVERY_SECONDS, MAX_EVERY_SECONDS = 0.1, 365 * 86400.0


class Settings(NamedTuple):
    """What `LOWTIDE_HEAP` says.

    Args:
        sample_interval: mean distance of two samples, bytes, 1 to 1 TiB; 1 records every block.
        max_frames: frames kept of a stack, 1 to 1024.
        max_bytes: budget of the profiler's tables, bytes, 2 MiB to 1 GiB.
        directory: folder that the profiles go to.
        every_seconds: longest time between two snapshots, seconds, 0.1 to a year; 0 writes at exit only.
    """

    sample_interval: int = 512 * 1024
    max_frames: int = 128
    max_bytes: int = 32 * 1024**2
    directory: str = "lowtide-out"
    every_seconds: float = 60.0


_FIELDS = {
    "interval": "sample_interval",
    "out": "directory",
    "every": "every_seconds",
    "frames": "max_frames",
    "bytes": "max_bytes",
}


def validate(sample_interval: int, max_frames: int, max_bytes: int) -> None:
    """Refuse what the core cannot work with.

    Raises: SettingsError with the range.
    """
    if sample_interval < 1:
        raise SettingsError(f"sample_interval must be >= 1 byte, got {sample_interval}")
    if sample_interval > MAX_INTERVAL:
        raise SettingsError(f"sample_interval must be <= {format_bytes(MAX_INTERVAL)}, got {sample_interval} bytes")
    if not 1 <= max_frames <= MAX_FRAMES:
        raise SettingsError(f"max_frames must be 1 to {MAX_FRAMES}, got {max_frames}")
    if not MIN_TABLE_BYTES <= max_bytes <= MAX_TABLE_BYTES:
        allowed = f"{format_bytes(MIN_TABLE_BYTES)} to {format_bytes(MAX_TABLE_BYTES)}"
        raise SettingsError(f"max_bytes must be {allowed}, got {max_bytes} bytes")


def parse(text: str, base: Settings = Settings()) -> Settings:  # noqa: B008 - a tuple cannot change
    """Read the value of `LOWTIDE_HEAP`, such as `interval=512KiB,out=/var/tmp/profiles,every=60s`.

    Args:
        text: `key=value` pairs with commas between them.
        base: what holds where `text` is silent.

    Raises: SettingsError for an unknown key, a missing `=` or a value out of range.
    """
    pairs: list[tuple[str, str]] = []
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if equals and key.strip().isidentifier():
            pairs.append((key.strip(), value))
        elif pairs and pairs[-1][0] == "out":
            # A folder's name may hold commas.
            pairs[-1] = ("out", f"{pairs[-1][1]},{part}")
        else:
            raise SettingsError(f"expected key=value (keys: {', '.join(_FIELDS)}), got {part!r}")
    values: dict[str, Any] = {}
    for key, value in pairs:
        if key not in _FIELDS:
            raise SettingsError(f"expected one of the keys {', '.join(_FIELDS)}, got {key!r}")
        try:
            values[_FIELDS[key]] = parse_value(key, value)
        except SettingsError as error:
            raise SettingsError(f"{key}: {error}") from None
    settings = base._replace(**values)
    validate(settings.sample_interval, settings.max_frames, settings.max_bytes)
    return settings


def parse_value(key: str, text: str) -> Any:
    """Read the value of one key.

    Raises: SettingsError, without the key.
    """
    if key == "every":
        # Whole milliseconds, so that the text of a duration reads back as the same duration.
        seconds = round(parse_duration(text), 3)
        if not (seconds == 0 or MIN_EVERY_SECONDS <= seconds <= MAX_EVERY_SECONDS):
            raise SettingsError(f"expected 0 (at exit only) or 100ms to 8760h, got {text!r}")
        return seconds
    if key in ("interval", "bytes"):
        return parse_bytes(text)
    if key == "frames":
        if not (text.isascii() and text.strip().isdecimal()):
            raise SettingsError(f"expected a whole number, got {text!r}")
        return int(text)
    if not text:
        raise SettingsError("expected a folder, got nothing")
    return text


def to_text(settings: Settings) -> str:
    """Write what `parse` reads, the folder made absolute for children that change theirs.

    Raises: SettingsError for a folder that the variable cannot carry.
    """
    settings = settings._replace(directory=os.path.abspath(settings.directory))
    text = ",".join(
        f"{key}={_format_value(getattr(settings, field))}"
        for key, field in _FIELDS.items()
        if key in ("interval", "out", "every") or getattr(settings, field) != Settings._field_defaults[field]
    )
    with suppress(SettingsError):
        if parse(text) == settings:
            return text
    raise SettingsError(f"out: the folder must not contain `,name=`, got {settings.directory!r}")


def _format_value(value: float | str) -> str:
    return f"{value:.12g}" if isinstance(value, float) else str(value)
