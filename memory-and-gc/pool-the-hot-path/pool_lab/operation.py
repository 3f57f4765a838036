"""Step (c), the operation: one chunk of an export, counted exactly and timed in interleaved rounds."""

import json
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import Ratio, interleave, ratio
from examples.catalogue.product import Product
from examples.catalogue_load import make_products
from lowtide import guard
from pool_lab import LAB, apps, export
from pool_lab.service import LabError

VERSIONS: dict[str, apps.Chunks] = {
    "before": export.before,
    "after": export.after,
    "after_unpooled": export.after_unpooled,
    "before_pooled": export.before_pooled,
}
BASELINE = LAB / "baseline.json"
MAX_BLOCKS_RATIO, MAX_BYTES_RATIO = 0.70, 0.50  # what pooling has to reach
_TOLERANCE = 1.01  # a patch release of CPython may move a block; a change of ours moves one a product
_CALLS = 4

Counts = dict[str, dict[str, float]]


def sample() -> list[Product]:
    return [Product.from_json(data) for data in make_products(export.BATCH)]


def call(chunks: apps.Chunks, products: list[Product]) -> None:
    """Perform the operation: no chunk is kept, as the server has sent it before it asks for the next."""
    deque(chunks(iter(products)), maxlen=0)


def count() -> Counts:
    """Return blocks and bytes of the operation in each version."""
    products = sample()
    counts: Counts = {}
    for name, chunks in VERSIONS.items():
        result = guard.allocs_per_run(call, chunks, products)
        if not result.settled:
            raise LabError(f"the allocations of {name} do not settle: {float(result.blocks)} blocks in the last round")
        counts[name] = {"blocks": float(result.blocks), "bytes": float(result.bytes)}
    return counts


def time_versions(rounds: int) -> dict[str, Ratio]:
    """Return the time of each version in that of `before`; `again` is `before` itself, the null pair."""
    products = sample()
    sides = {**VERSIONS, "again": export.before}

    def run(_subject: str, side: str, _turn: int) -> float:
        start = time.perf_counter()
        for _ in range(_CALLS):
            call(sides[side], products)
        return time.perf_counter() - start

    times = interleave(["chunk"], list(sides), rounds, run)
    return {side: ratio(times, side, "before") for side in sides if side != "before"}


def regressions(counts: Counts) -> Iterator[str]:
    """Yield a sentence for each promise that the counts break.

    Raises: LabError when there is no baseline for this Python.
    """
    before, after = counts["before"], counts["after"]
    for unit, most in (("blocks", MAX_BLOCKS_RATIO), ("bytes", MAX_BYTES_RATIO)):
        if after[unit] > most * before[unit]:
            yield f"{unit} must be at most {most:.0%} of those before, got {after[unit] / before[unit]:.1%}"
    expected = _baselines().get(_python())
    if expected is None:
        raise LabError(f"{BASELINE.name} has nothing for Python {_python()}: add it with --write-baseline")
    for unit, most in expected.items():
        if after[unit] > most * _TOLERANCE:
            yield f"{unit} an operation must be at most the baseline's {most:,.0f}, got {after[unit]:,.0f}"


def write_baseline(counts: Counts) -> Path:
    """Make the counts the baseline for this Python."""
    baselines = _baselines() | {_python(): counts["after"]}
    BASELINE.write_text(json.dumps(dict(sorted(baselines.items())), indent=2) + "\n")
    return BASELINE


def _baselines() -> dict[str, dict[str, float]]:
    baselines: dict[str, dict[str, float]] = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    return baselines


def _python() -> str:
    return "{}.{}".format(*sys.version_info)
