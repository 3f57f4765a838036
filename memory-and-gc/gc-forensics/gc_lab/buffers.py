"""A burst of mid-size buffers on eight threads, most of them given back: what does the process keep?

Run by `buffers.measure`, in a process of its own.
"""

import asyncio
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gc_lab import Plan, Say
from gc_lab.policies import POLICIES, Policy
from gc_lab.service import LabError, environment
from lowtide import pacer

COMPARED = ("stock", "pacer")  # the others change nothing here
THREADS = 8
IDLE_SECONDS = 3.0


def measure(plan: Plan, say: Say) -> Iterator[dict[str, Any]]:
    """Yield a record for each run: resident memory before, at the end of the burst and after it, and what lives."""
    for repeat in range(plan.repeats):
        for policy in plan.in_turn(repeat, COMPARED):
            done = subprocess.run(
                [sys.executable, "-m", "gc_lab.buffers", policy, str(round(1000 * plan.scale))],
                env=environment(),
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise LabError(f"the buffers ({policy}) ended with exit code {done.returncode}: {done.stderr}")
            yield {
                "workload": "buffers",
                "policy": policy,
                "load": "burst",
                "repeat": repeat,
                **json.loads(done.stdout),
            }
        say(f"repeat {repeat + 1} of {plan.repeats}, buffers on threads")


def fill(number: int, count: int) -> list[bytearray]:
    """Make buffers of 2 to 60 KB, and return those few that stay."""
    rng = random.Random(number)
    made = [bytearray(b"x") * rng.randrange(2_000, 60_000) for _ in range(count)]
    return made[:: max(count // 5, 1)]


async def burst(policy: Policy, count: int) -> dict[str, int]:
    policy.begin()
    before = rss_bytes()
    with pacer.request():
        parts = await asyncio.gather(*(asyncio.to_thread(fill, number, count) for number in range(THREADS)))
    kept = sum(len(buffer) for part in parts for buffer in part)
    end = rss_bytes()
    await asyncio.sleep(IDLE_SECONDS)
    return {"before_bytes": before, "burst_bytes": end, "after_bytes": rss_bytes(), "live_bytes": before + kept}


def rss_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) * 1024


if __name__ == "__main__":
    print(json.dumps(asyncio.run(burst(POLICIES[sys.argv[1]], int(sys.argv[2])))))
