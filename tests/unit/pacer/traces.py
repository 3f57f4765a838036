"""Traces for the tests of what reads them."""

from pathlib import Path
from typing import Any

from lowtide.pacer import record
from lowtide.pacer.stock import Stock
from tests.e2e.programs import PACKAGES, environment, python

PROGRAM = Path(__file__).parents[2] / "models" / "gc_program.py"


def recorded(policy: str, requests: int = 12_000) -> str:
    """Run the small service under a policy of its own, and return the trace of its collections."""
    done = python(PROGRAM, policy, str(requests), env=environment(PYTHONPATH=str(PACKAGES)))
    assert done.returncode == 0, done.stderr
    return done.stdout


HEADER = record.Header("3.13.0", 42, 1_000_000_000, 1_790_000_000.0, incremental=False)

_ONE = record.Collection(
    number=1,
    start_ns=HEADER.start_ns,
    pause_ns=100_000,
    generation=0,
    cause="young",
    predicted_ns=0,
    scanned=2001,
    freed=0,
    uncollectable=0,
    counts=(2001, 0, 0),
    thresholds=(2000, 10, 10),
    long_lived=100_000,
    pending=0,
    blocks_before=record.UNREAD,
    blocks_after=record.UNREAD,
    goal_blocks=0,
    rss_bytes=record.UNREAD,
    frozen=record.UNREAD,
    requests=0,
    in_request=False,
    caller="",
)


def collection(at_seconds: float = 0.0, **fields: Any) -> record.Collection:
    """Make a collection: a young one of 3.13, but for `fields`."""
    return _ONE._replace(start_ns=HEADER.start_ns + round(at_seconds * 1e9), **fields)


def full(at_seconds: float = 0.0, **fields: Any) -> record.Collection:
    """Make an automatic full collection that found nothing, but for `fields`."""
    found = {"generation": 2, "cause": "full", "pause_ns": 22_000_000, "scanned": 412_000, "long_lived": 412_000}
    read = {"blocks_before": 1_020_000, "blocks_after": 1_020_000, "rss_bytes": 171 * 2**20, "frozen": 0}
    return collection(at_seconds, **{**found, **read, "counts": (2001, 0, 11), **fields})


def trace(*collections: record.Collection) -> record.Trace:
    numbered = [c._replace(number=number) for number, c in enumerate(collections, 1)]
    return record.Trace(HEADER, tuple(numbered))


def service(seconds: float = 120.0, **fields: Any) -> record.Trace:
    """Make the trace of a service: 412,000 old objects, ten young collections a second, each in a request.

    One object in four is garbage, and two in five come to be old and die soon after; full collections find nothing.
    """
    state = Stock((2000, 10, 10), long_lived=412_000)
    collections = []
    for n in range(round(seconds * 10)):
        generation = state.allocate(state.room or 0)
        assert generation is not None
        counts, stay = state.counts, 2001 * (state.counts[1] + 1) * 2 // 5
        freed = 500 if generation < 2 else 0
        state.collected(generation, survivors=stay if generation == 1 else 412_000)
        seen = {"counts": counts, "freed": freed, "long_lived": state.long_lived, "pending": state.pending}
        if generation == 2:
            c = full(n / 10, scanned=412_000, **seen)
        elif generation == 1:
            c = collection(n / 10, generation=1, pause_ns=700_000, scanned=stay + freed, **seen)
        else:
            c = collection(n / 10, **seen)
        collections.append(c._replace(in_request=True, requests=1, **fields))
    return trace(*collections)


def full_cache(seconds: float = 240.0, size: int = 100_000) -> record.Trace:
    """Make the trace of a service whose cache is soon full: four objects in five stay in it until `size` came after."""
    state = Stock((2000, 10, 10), long_lived=200_000)
    collections = []
    born = 0
    for n in range(round(seconds * 10)):
        generation = state.allocate(state.room or 0)
        assert generation is not None
        counts, stay = state.counts, 2001 * (state.counts[1] + 1) * 4 // 5
        born += 2001 * 4 // 5
        old = 200_000 + min(born, size)
        state.collected(generation, survivors=stay if generation == 1 else old)
        seen = {"counts": counts, "long_lived": state.long_lived, "pending": state.pending, "in_request": True}
        if generation == 2:
            collections.append(full(n / 10, **{**seen, "scanned": old}))
        elif generation == 1:
            collections.append(collection(n / 10, **{**seen, "generation": 1, "pause_ns": 700_000, "scanned": stay}))
        else:
            collections.append(collection(n / 10, **seen))
    return trace(*collections)
