"""Traces for the tests of what reads them."""

from pathlib import Path
from typing import Any

from lowtide.pacer import record
from tests.e2e.programs import PACKAGES, environment, python

ROOT = Path(__file__).parents[3]


def recorded(policy: str, requests: int = 4000) -> str:
    """Run the small service under a policy of its own, and return the trace of its collections."""
    env = environment(PYTHONPATH=f"{ROOT}:{PACKAGES}")
    done = python("-m", "tests.models.gc_program", policy, str(requests), env=env)
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
