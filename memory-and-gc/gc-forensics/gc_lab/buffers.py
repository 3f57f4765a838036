"""A burst of mid-size buffers on eight threads, nearly all given back: what does the process keep?

Run by `measure`, in a process of its own for each policy.
"""

import asyncio
import json
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from gc_lab import Plan, Say
from gc_lab.policies import POLICIES, Policy
from gc_lab.service import LabError, environment
from lowtide import pacer

# Policy, and the memory limit that it is told of: the burst goes over it, what lives does not.
COMPARED = (("stock", ""), ("pacer", ""), ("pacer", "128MiB"))
THREADS, BUFFERS = 8, 1000
SHORT_SECONDS, LONG_SECONDS = 3.0, 90.0


def measure(plan: Plan, say: Say) -> Iterator[dict[str, Any]]:
    """Yield a record for each run: what is resident after the burst, and after a while. They run side by side."""
    long_seconds = LONG_SECONDS if plan.scale >= 1 else SHORT_SECONDS
    say(f"buffers on threads, then {long_seconds:g} s of rest")
    chosen = [(policy, limit) for policy, limit in COMPARED if policy in plan.policies]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "gc_lab.buffers", policy, str(round(BUFFERS * plan.scale)), str(long_seconds)],
            env=environment() | {"LOWTIDE_MEMORY_LIMIT": limit or "off"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for policy, limit in chosen
    ]
    for (policy, limit), process in zip(chosen, processes, strict=True):
        found, _ = process.communicate()
        if process.returncode:
            raise LabError(f"the buffers ({policy}) ended with exit code {process.returncode}")
        yield {"workload": "buffers", "policy": policy, "load": limit or "no limit", "repeat": 0, **json.loads(found)}


def fill(number: int, count: int, barrier: threading.Barrier) -> list[bytearray]:
    """Make buffers of 2 to 60 KB while the other threads do, and return those few that stay."""
    rng = random.Random(number)
    made = [bytearray(b"x") * rng.randrange(2_000, 60_000) for _ in range(count)]
    barrier.wait()
    return made[:: max(count // 5, 1)]


async def burst(policy: Policy, count: int, long_seconds: float) -> dict[str, int]:
    policy.begin()
    before, barrier = rss_bytes(), threading.Barrier(THREADS, timeout=60)
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(THREADS) as threads, pacer.request():
        work = [loop.run_in_executor(threads, fill, number, count, barrier) for number in range(THREADS)]
        parts = await asyncio.gather(*work)
    found = {
        "live_bytes": before + sum(len(buffer) for part in parts for buffer in part),
        "burst_bytes": rss_bytes(),
    }
    await asyncio.sleep(SHORT_SECONDS)
    found["after_short_bytes"] = rss_bytes()
    await asyncio.sleep(long_seconds - SHORT_SECONDS)
    found["after_long_bytes"] = rss_bytes()
    return found


def rss_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) * 1024


if __name__ == "__main__":
    print(json.dumps(asyncio.run(burst(POLICIES[sys.argv[1]], int(sys.argv[2]), float(sys.argv[3])))))
