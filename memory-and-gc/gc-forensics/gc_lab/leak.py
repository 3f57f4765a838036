"""A program that leaks until the kernel kills it: how far does it come, and what does the collector take of it?"""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from gc_lab import Plan, Say, cgroup
from gc_lab.service import LabError, environment
from gc_lab.workloads import WORKLOADS

COMPARED = ("stock", "freeze", "disable", "pacer")
LIMIT_BYTES = 112 << 20
_MOST_REQUESTS = 500_000


def measure(plan: Plan, say: Say) -> Iterator[dict[str, Any]]:
    """Yield a record for each run: what was served before the end, and the collector's share of that time."""
    for repeat in range(plan.repeats):
        for policy in plan.in_turn(repeat, COMPARED):
            figures = run(policy, plan.scale)
            yield {"workload": "leak", "policy": policy, "load": "until killed", "repeat": repeat, **figures}
        say(f"repeat {repeat + 1} of {plan.repeats}, leak until killed")


def run(policy: str, scale: float) -> dict[str, Any]:
    workload = "slow leak" if scale == 1 else "leak"  # half a minute each, when it counts
    options = {
        "workload": workload,
        "policy": policy,
        "objects": WORKLOADS[workload].objects,
        "requests": _MOST_REQUESTS,
        "idle_every": 0,
    }
    with cgroup.limited(round(LIMIT_BYTES * max(scale, 0.5))) as group:
        done = subprocess.run(
            group.command([sys.executable, "-m", "gc_lab.steps", json.dumps(options)]),
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if not group.kills or not done.stdout:
            raise LabError(
                f"a leak ({policy}) must end by the kernel's hand, got exit code {done.returncode}: {done.stderr}"
            )
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    del figures["full_at_ns"], figures["full_pauses_ms"]
    return figures
