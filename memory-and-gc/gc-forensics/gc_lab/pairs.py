"""The simulator against the truth: what it says of a policy from another's trace, and what that policy then took.

Every ordered pair (recorded policy, simulated policy); the same requests each time, without a network.
"""

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
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

REQUESTS = 1500

Pair = dict[str, Any]


def measure(plan: Plan, folder: Path, say: Say) -> Iterator[Pair]:
    """Record every policy, simulate every other one from it, and yield what was predicted beside what was measured."""
    folder.mkdir(parents=True, exist_ok=True)
    for workload in plan.workloads:
        measured: dict[str, list[dict[str, Any]]] = {policy: [] for policy in SIMULATED}
        for repeat in range(plan.repeats):
            for policy, found in measured.items():
                found.append(record(workload, policy, plan.scale, _trace(folder, workload, policy, repeat)))
            say(f"repeat {repeat + 1} of {plan.repeats}, {workload}: recorded {len(SIMULATED)} policies")
        for recorded in SIMULATED:
            logs = [_trace(folder, workload, recorded, repeat) for repeat in range(plan.repeats)]
            for simulated, found in measured.items():
                predictions = [simulate(log, SIMULATED[simulated]) for log in logs]
                for figure in WANTED:
                    yield {
                        "workload": workload,
                        "recorded": recorded,
                        "simulated": simulated,
                        "figure": figure,
                        "predicted": _median([_predicted(prediction, figure) for prediction in predictions]),
                        "measured": _median([figures[figure] for figures in found]),
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


def simulate(trace: Path, policy: str) -> dict[str, Any]:
    done = subprocess.run(
        [str(LOWTIDE), "pacer", "simulate", str(trace), "--policy", policy, "--format", "json"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise LabError(f"lowtide pacer simulate {trace.name} --policy {policy} failed: {done.stderr.strip()}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def relative_error(pair: Pair) -> float | None:
    """Return how far the prediction is off; None where there was nothing to predict."""
    predicted, measured = pair["predicted"], pair["measured"]
    if measured is None or predicted is None:
        return None
    return abs(predicted - measured) / measured if measured else None


def _predicted(prediction: dict[str, Any], figure: str) -> float | None:
    value = prediction["predictions"][0][figure]
    return None if value is None else float(value)


def _median(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _trace(folder: Path, workload: str, policy: str, repeat: int) -> Path:
    return folder / f"{workload}.{policy}.{repeat}.gctrace"
