"""The simulator against the truth: what it says of a policy from another's trace, and what that policy then took.

Every ordered pair (recorded policy, simulated policy); the same requests each time, without a network, on a heap that a
full collection has just seen. A machine that does other things only ever adds to a pause, by half or twofold: of each
policy's runs the one with the least time in collections counts, as record and as truth.
"""

import json
import statistics
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from gc_lab import Plan, Say
from gc_lab.service import LabError, environment
from gc_lab.traces import LOWTIDE
from gc_lab.workloads import WORKLOADS

# As the simulator calls the lab's policies.
SIMULATED = {
    "stock": "stock",
    "threshold": "threshold=50000",
    "freeze": "freeze",
    "freeze+threshold": "freeze+threshold=50000",
    "pacer": "act",
}
WANTED = {"gc_seconds": 0.25, "gen2_p50": 0.30}  # relative errors
TITLES = {"gc_seconds": "all collections", "gen2_p50": "the median full one"}

REQUESTS = 3000  # enough for full collections to be more than one or two
RUNS = 5  # of each policy, at least: one of so many is quiet

Pair = dict[str, Any]


def measure(plan: Plan, folder: Path, say: Say) -> Iterator[Pair]:
    """Record every policy, simulate every other one from it, and yield what was predicted beside what was measured."""
    folder.mkdir(parents=True, exist_ok=True)
    runs = max(RUNS, plan.repeats) if plan.scale == 1 else plan.repeats
    for workload in plan.workloads:
        found: dict[str, list[dict[str, Any]]] = {policy: [] for policy in SIMULATED}
        for run in range(runs):
            for policy, figures in found.items():
                figures.append(record(workload, policy, plan.scale, _trace(folder, workload, policy, run)))
            say(f"run {run + 1} of {runs}, {workload}: recorded {len(SIMULATED)} policies")
        quietest = {policy: min(range(runs), key=lambda run: found[policy][run]["gc_seconds"]) for policy in SIMULATED}
        for recorded in SIMULATED:
            predictions = simulate(_trace(folder, workload, recorded, quietest[recorded]), SIMULATED.values())
            for simulated, prediction in zip(SIMULATED, predictions, strict=True):
                for figure in WANTED:
                    yield {
                        "workload": workload,
                        "recorded": recorded,
                        "simulated": simulated,
                        "figure": figure,
                        "predicted": prediction[figure],
                        "measured": found[simulated][quietest[simulated]][figure],
                    }
            say(f"{workload}: simulated {len(SIMULATED)} policies from {recorded}")


def record(workload: str, policy: str, scale: float, trace: Path) -> dict[str, Any]:
    """Run a workload's requests under a policy, leave its trace, and return what the lab's own recorder saw."""
    trace.unlink(missing_ok=True)
    options = {
        "workload": workload,
        "policy": policy,
        "objects": round(WORKLOADS[workload].objects * scale),
        "requests": round(REQUESTS * min(scale, 1)),
        "idle_every": 5,
    }
    done = subprocess.run(
        [sys.executable, "-m", "gc_lab.steps", json.dumps(options)],
        env=environment() | {"LOWTIDE_GCTRACE": str(trace)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise LabError(f"{workload} under {policy} ended with exit code {done.returncode}: {done.stderr[-500:]}")
    last = json.loads(done.stdout.splitlines()[-1])
    pauses = last["full_pauses_ms"]
    return {"gc_seconds": last["gc_seconds"], "gen2_p50": statistics.median(pauses) / 1e3 if pauses else None}


def simulate(trace: Path, policies: Iterable[str]) -> list[dict[str, Any]]:
    asked = [word for policy in policies for word in ("--policy", policy)]
    done = subprocess.run(
        [str(LOWTIDE), "pacer", "simulate", str(trace), *asked, "--format", "json"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise LabError(f"lowtide pacer simulate {trace.name} failed: {done.stderr.strip()}")
    found: list[dict[str, Any]] = json.loads(done.stdout)["predictions"]
    return found


def relative_error(pair: Pair) -> float | None:
    """Return how far the prediction is off, all of it where none was made; None where there was nothing to predict."""
    measured = pair["measured"]
    return abs((pair["predicted"] or 0.0) - measured) / measured if measured else None


def _trace(folder: Path, workload: str, policy: str, repeat: int) -> Path:
    return folder / f"{workload}.{policy}.{repeat}.gctrace"
