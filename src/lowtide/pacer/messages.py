"""What the pacer has to say to whoever runs the program: single lines on stderr."""

import sys
from contextlib import suppress

_said: set[str] = set()


def warn(problem: str) -> None:
    """Write a line."""
    with suppress(Exception):  # the program may have closed its stderr, or put anything in its place
        sys.stderr.write(f"lowtide: {problem}\n")


def warn_once(problem: str) -> None:
    """Write a line that this process has not written yet."""
    if problem not in _said:
        _said.add(problem)
        warn(problem)
