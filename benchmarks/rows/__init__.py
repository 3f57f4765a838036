"""One file per promise: each has `measure(bench) -> list[Reading]`."""
