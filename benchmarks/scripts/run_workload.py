"""Run one pyperf-style script a fixed number of times and report what its measured region cost.

Needs nothing but the standard library: a stand-in for `pyperf` calls the functions that the script registers, so that
nothing of a benchmark runner shares the process with the workload.
"""

import argparse
import asyncio
import importlib
import json
import runpy
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Region:
    """What is measured: the workload's own functions, without interpreter start, imports and arming."""

    def __init__(self, loops: int, warmup: int, probe: Any) -> None:
        self.loops, self.warmup, self.probe = loops, warmup, probe
        self.cpu_ns = 0
        self.heap: dict[str, float] = {}

    def run(self, call: Callable[[int], object]) -> None:
        if self.warmup:
            call(self.warmup)
        before = heap_stats()
        if self.probe:
            self.probe.start_counting()
        cpu = time.process_time_ns()
        call(self.loops)
        self.cpu_ns += time.process_time_ns() - cpu
        if self.probe:
            self.probe.stop_counting("region")
        for key, value in heap_stats().items():
            self.heap[key] = self.heap.get(key, 0) + value - before[key]


def heap_stats() -> dict[str, float]:
    heap = sys.modules.get("lowtide.heap")
    if heap is None:
        return {}
    stats = heap.stats()
    return {"samples": stats.samples, "slow_path_seconds": stats.slow_path_seconds}


def stand_in_for_pyperf(region: Region) -> types.ModuleType:
    class Runner:
        def __init__(self, **_settings: object) -> None:
            self.argparser = argparse.ArgumentParser()
            self.metadata: dict[str, str] = {}

        def parse_args(self) -> argparse.Namespace:
            return self.argparser.parse_args()

        def bench_time_func(self, _name: str, function: Callable[..., object], *args: object, **_: object) -> None:
            region.run(lambda loops: function(loops, *args))

        def bench_func(self, _name: str, function: Callable[..., object], *args: object, **_: object) -> None:
            def repeat(loops: int) -> None:
                for _ in range(loops):
                    function(*args)

            region.run(repeat)

        def bench_async_func(self, _name: str, function: Callable[..., Any], *args: object, **_: object) -> None:
            async def repeat(loops: int) -> None:
                for _ in range(loops):
                    await function(*args)

            region.run(lambda loops: asyncio.run(repeat(loops)))

    module = types.ModuleType("pyperf")
    vars(module).update(
        Runner=Runner, perf_counter=time.perf_counter, python_implementation=lambda: sys.implementation.name
    )
    return module


def main(*, script: str, args: list[str], loops: int, warmup: int, arm: str, probe: str, result: str) -> None:
    sys.path += [probe] if probe else []
    probe_module = importlib.import_module("lowtide_probe") if probe else None
    region = Region(loops, warmup, probe_module)
    sys.modules["pyperf"] = stand_in_for_pyperf(region)
    sys.argv = [script, *args]
    sys.path[0] = str(Path(script).parent)
    state: dict[str, object] = {}  # what the statements made lives as long as the program
    exec(arm, state)
    runpy.run_path(script, run_name="__main__")
    Path(result).write_text(json.dumps({"cpu_ns": region.cpu_ns, "heap": region.heap}))


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
