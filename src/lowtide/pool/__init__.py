"""Pools: keep what is expensive to make for reuse, within bounds, and let go of it when it lies idle."""

import os

from lowtide._events import memory_pressure
from lowtide.errors import CoreUnavailableError

try:
    from lowtide import _pool
    from lowtide._pool import Buffer, BufferPool, BufferPoolStats, Lease, Pool, PoolStats, set_timer
except ImportError as error:
    raise CoreUnavailableError(
        f"pools need the extension lowtide._pool, built for a CPython with a GIL: {error}"
    ) from error

__all__ = ["Buffer", "BufferPool", "BufferPoolStats", "Lease", "Pool", "PoolStats", "set_timer"]

memory_pressure.subscribe(_pool.rotate)

if os.environ.get("LOWTIDE_POOL_CHECK", "0")[:1] not in {"", "0"}:
    import lowtide.pool.check  # noqa: F401  # it makes check mode the default
