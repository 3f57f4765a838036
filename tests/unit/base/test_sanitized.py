"""The same tests once more, with csrc/base under the address sanitizer."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.base.library import ASAN


def runtime() -> str:
    """Return the path of the sanitizer's library, or nothing."""
    if not (gcc := shutil.which("gcc")):
        return ""
    told = subprocess.run([gcc, "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    path = told.stdout.strip()
    return path if Path(path).is_absolute() else ""


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(ASAN in os.environ, reason="runs inside itself")
def test_the_address_sanitizer_finds_nothing() -> None:
    if not (library := runtime()):
        pytest.skip("gcc's libasan is not installed")
    environment = {**os.environ, ASAN: "1", "CC": "gcc", "LD_PRELOAD": library, "ASAN_OPTIONS": "detect_leaks=0"}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-m",
        "not slow",
        "-p",
        "no:cacheprovider",
        f"{Path(__file__).parent}",
    ]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert " passed" in result.stdout
