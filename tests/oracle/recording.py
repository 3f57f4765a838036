"""Run a piece of work under the real hooks at interval 1, and give every sample as plain values."""

import os
from collections.abc import Callable
from typing import NamedTuple

from lowtide import _core
from lowtide.profile.formats import pprof
from lowtide.profile.model import ProfileData

BUDGET_BYTES = 512 * 2**20


class Frame(NamedTuple):
    name: str
    file: str
    line: int


class Recorded(NamedTuple):
    """What one sample says: its stack, leaf first, the blocks' domain and size, how many were allocated and live."""

    frames: list[Frame]
    domain: str
    size: int
    allocs: int
    live: int


def record(work: Callable[[], object], max_frames: int = 128) -> list[Recorded]:
    """Return the samples of `work`; what it returns is alive when they are taken."""
    _core.start(1, max_frames, BUDGET_BYTES)
    try:
        kept = work()
        samples = read()
    finally:
        _core.stop()
    del kept
    return samples


def read() -> list[Recorded]:
    """Return the samples so far."""
    before = _core.bypass(True)
    try:
        return _read()
    finally:
        _core.bypass(before)


def _read() -> list[Recorded]:
    with os.fdopen(os.memfd_create("profile"), "w+b") as file:
        _core.encode(file.fileno(), (), b"", (), 0)
        file.seek(0)
        profile = pprof.decode(file.read(), ProfileData)
    stats = _core.stats()
    assert (stats["lost_samples"], stats["thinned"]) == (0, 0)
    frames = {}
    samples = []
    for sample in profile.samples:
        for location in sample.locations:
            if id(location) not in frames:
                (line,) = location.lines
                frames[id(location)] = Frame(line.function.name, line.function.filename, line.line)
        labels = {label.key: label.str or label.num for label in sample.labels}
        stack = [frames[id(location)] for location in sample.locations]
        domain, size = str(labels["domain"]), int(labels["bytes"])
        samples.append(Recorded(stack, domain, size, sample.values[0], sample.values[2]))
    return samples
