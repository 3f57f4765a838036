"""What check mode looks at, as LOWTIDE_POOL_CHECK says: `1`, or `1,seed=7,quarantine=0,drop=0,dirty=0`."""

import os
import sys
from dataclasses import dataclass, field

from lowtide.errors import SettingsError

ENVIRONMENT = "LOWTIDE_POOL_CHECK"


@dataclass(slots=True)
class Settings:
    """The switches of check mode; an assignment works at once, but for the seed, which pools read when they are made.

    Args:
        is_default: whether pools that are made without a word about it are checked.
        dirty: compare what `reset` leaves with what it leaves of a new item.
        drop: forget one item in four, so that nobody relies on reuse.
        quarantine: how many puts an item waits before it is used again.
        seed: of what is dropped; a failure comes again under the same one.
    """

    is_default: bool = False
    dirty: bool = True
    drop: bool = True
    quarantine: int = 64
    seed: int = field(default_factory=lambda: int.from_bytes(os.urandom(4), "big"))


def parse(text: str) -> Settings:
    """Read the value of LOWTIDE_POOL_CHECK.

    Raises: SettingsError.
    """
    switch, *pairs = text.split(",")
    parsed = Settings(is_default=switch == "1")
    if switch not in {"", "0", "1"}:
        raise SettingsError(f"{ENVIRONMENT} must begin with 0 or 1, got {text!r}")
    for pair in pairs:
        key, _, value = pair.partition("=")
        if key in {"dirty", "drop"} and value in {"0", "1"}:
            setattr(parsed, key, value == "1")
        elif key in {"quarantine", "seed"} and value.isascii() and value.isdigit():
            setattr(parsed, key, int(value))
        else:
            raise SettingsError(
                f"{ENVIRONMENT} must be like 1,seed=7,quarantine=64,drop=0,dirty=0, got {pair!r} in {text!r}"
            )
    return parsed


def from_environment() -> Settings:
    """Read the variable; where it is malformed the program runs all the same, unchecked, with one warning line."""
    try:
        return parse(os.environ.get(ENVIRONMENT, ""))
    except SettingsError as error:
        if sys.stderr is not None:
            sys.stderr.write(f"lowtide: {error}; pools are not checked\n")
        return Settings()


settings = from_environment()
