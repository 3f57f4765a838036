"""Allocations per operation, exactly: in tests and benchmarks, so that a gain stays."""

from lowtide.guard.counting import AllocResult, AllocSite, allocs_per_run

__all__ = ["AllocResult", "AllocSite", "allocs_per_run"]
