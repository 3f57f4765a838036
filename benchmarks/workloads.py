"""The twelve workloads: programs of the public pyperformance suite that need the standard library only.

They were chosen for what they allocate: asyncio tasks, copied containers, floats and instances, strings, parsed trees,
log records, byte strings, code objects, decimals, C structures. Loop counts are fixed, so that two sides do the same
work.
"""

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import Times, interleave
from benchmarks.spawn import Interpreter


@dataclass(frozen=True, slots=True)
class Workload:
    name: str
    loops: int  # about a second of CPU time
    counted_loops: int  # for counting instructions, fifty times slower
    folder: str = ""
    args: tuple[str, ...] = ()

    def request(self, loops: int, arm: str, probe: str = "") -> dict[str, Any]:
        """Return the parameters with which `scripts/run_workload.py` runs this workload."""
        script = sources() / f"bm_{self.folder or self.name}" / "run_benchmark.py"
        return request(script, loops, arm, probe=probe, args=self.args)


def request(
    script: Path, loops: int, arm: str, *, warmup: int = 0, probe: str = "", args: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the parameters with which `scripts/run_workload.py` runs a pyperf-style script.

    Args:
        arm: statements that run before the script.
        probe: folder of the probe extension, to count instructions; empty: measure CPU time.
    """
    return {"script": str(script), "args": args, "loops": loops, "warmup": warmup, "arm": arm, "probe": probe}


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("async_tree", 2, 1, args=("none",)),
        Workload("deepcopy", 2000, 50),
        Workload("float", 16, 1),
        Workload("json_dumps", 100, 5),
        Workload("json_loads", 3000, 100),
        Workload("logging", 6000, 200),
        Workload("pickle_pure_python", 250, 10, "pickle", ("pickle", "--pure-python")),
        Workload("pyflate", 3, 1),
        Workload("raytrace", 5, 1),
        Workload("regex_compile", 12, 1),
        Workload("telco", 180, 10),
        Workload("xml_etree", 3, 1),
    )
}


def run_interleaved(
    interpreter: Interpreter,
    names: Sequence[str],
    arms: Mapping[str, str],
    *,
    rounds: int,
    scale: float,
    say: Callable[[str], None],
) -> Times:
    """Measure the CPU time of workloads, each side in a process of its own, next to each other.

    Args:
        arms: by the name of the side, the statements that arm it.
        scale: fraction of the workloads' full size.
    """

    def run(name: str, side: str, turn: int) -> float:
        if name == names[0] and side == [*arms][turn % len(arms)]:
            say(f"Python {interpreter.version}: round {turn + 1}/{rounds}")
        workload = WORKLOADS[name]
        loops = max(1, round(workload.loops * scale))
        result = interpreter.run("run_workload", seed=turn, **workload.request(loops, arms[side]))
        return float(result["cpu_ns"])

    return interleave(names, [*arms], rounds, run)


def sources() -> Path:
    """Find the workloads' sources, inside the installed pyperformance package."""
    spec = importlib.util.find_spec("pyperformance")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("pyperformance is not installed: pip install 'lowtide[dev]'")
    return Path(spec.origin).parent / "data-files" / "benchmarks"
