"""Sampling heap profiler: which code allocates, how much, and what of it is still in use."""

from lowtide.heap.collector import is_active, snapshot, start, stats, stop, write
from lowtide.heap.records import HeapStats

__all__ = ["HeapStats", "is_active", "snapshot", "start", "stats", "stop", "write"]
