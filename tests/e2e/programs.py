"""Run programs as a user does: with Python alone, and under `lowtide run`."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lowtide.cli.run import BOOTSTRAP
from lowtide.profile import Profile

ANNOUNCEMENT = "lowtide: heap profile in "

# An interpreter that has no lowtide of its own, and with it no lowtide.pth.
BARE_PYTHON: str = sys._base_executable  # type: ignore[attr-defined] # there is no public name for it
PACKAGES = BOOTSTRAP.parent.parent


def environment(**extra: str) -> dict[str, str]:
    """Give this process's environment without what would change an interpreter or the profiler, plus `extra`."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LOWTIDE"))},
        **extra,
    }


def python(
    *args: str | Path, env: dict[str, str] | None = None, executable: str = sys.executable, **options: Any
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [executable, *map(str, args)],
        env=environment() if env is None else env,
        capture_output=True,
        text=True,
        timeout=60,
        **options,
    )


def lowtide(*args: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    return python("-m", "lowtide", *args, **options)


def script(folder: Path, source: str, name: str = "program.py") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(source))
    return path


def without_announcement(stderr: str) -> str:
    """Drop the one line that `lowtide run` prints before the program starts."""
    first, _, rest = stderr.partition("\n")
    assert first.startswith(ANNOUNCEMENT), stderr
    return rest


def profiles(folder: Path) -> dict[int, Profile]:
    """Read the profiles of a folder, by process id."""
    return {int(path.name.split(".")[1]): Profile.read(path) for path in folder.glob("heap.*.pb.gz")}


def sites(profile: Profile, sample_type: str = "alloc_space") -> set[str]:
    """Name the functions on stacks that allocated."""
    return {row.name for row in profile.top(10_000, sample_type, "function")}


def comments(profile: Profile, keyword: str) -> Sequence[str]:
    return [comment.removeprefix(f"{keyword} ") for comment in profile.comments if comment.startswith(f"{keyword} ")]
