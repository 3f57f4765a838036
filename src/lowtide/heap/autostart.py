"""Start the heap profiler because the environment says so; the program itself knows nothing of it."""

import os
import sys
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

from lowtide.heap import collector
from lowtide.heap.settings import VARIABLE, Settings, parse

if TYPE_CHECKING:
    from lowtide.heap.writer import PeriodicWriter

_writers: list["PeriodicWriter"] = []


@cache
def start_from_environment() -> None:
    """Start as `LOWTIDE_HEAP` says, and keep a profile in its folder up to date until the program ends.

    Whatever goes wrong, the program runs: a problem becomes one line on stderr. Calling it again does nothing.
    """
    text = os.environ.get(VARIABLE)
    # Where a sub-interpreter starts, the main one has seen to it: the profiler belongs to the whole process.
    if not text or collector.IN_SUB_INTERPRETER or collector.is_active():
        return
    try:
        _start(parse(text))
    except Exception as error:  # noqa: BLE001 - nothing that befalls the profiler may reach the program
        _warn(f"{VARIABLE}: {error}; the program runs without a heap profile")


def abandon() -> None:
    """Write no profile of this process: it is lowtide's own command line, started where services are watched."""
    while _writers:
        _writers.pop().abandon()


@collector.unseen
def _start(settings: Settings) -> None:
    from lowtide.heap.writer import PeriodicWriter

    directory = os.path.abspath(settings.directory)
    os.makedirs(directory, exist_ok=True)
    collector.start(settings.sample_interval, settings.max_frames, settings.max_bytes)
    writer = PeriodicWriter(directory, settings.every_seconds, _warn)
    writer.begin()
    _writers.append(writer)


def _warn(problem: str) -> None:
    with suppress(Exception):  # the program may have closed its stderr, or put anything in its place
        sys.stderr.write(f"lowtide: {problem}\n")
