"""What the heap profiler says of itself."""

from typing import NamedTuple


class HeapStats(NamedTuple):
    """Counters of the profiler, in this process, since start.

    Args:
        samples: samples taken.
        live_samples: sampled blocks that are not freed yet.
        stale_keys: samples replaced because their free went past the hooks.
        lost_samples: samples not recorded because the tables were full while a snapshot was read.
        filter_hit_rate: share of frees looked up in the live table that freed a sampled block, 0 to 1 (1 before any).
        table_bytes: memory that the tables hold.
        max_bytes: the tables' budget.
        interval_bytes: sampling interval in force, 0 when never started.
        thinned: how often the interval was doubled to stay inside the budget.
        slow_path_seconds: time spent in taking samples.
        active: armed.
        displaced: armed, but somebody installed another allocator that does not call ours.
    """

    samples: int
    live_samples: int
    stale_keys: int
    lost_samples: int
    filter_hit_rate: float
    table_bytes: int
    max_bytes: int
    interval_bytes: int
    thinned: int
    slow_path_seconds: float
    active: bool
    displaced: bool
