"""Eight gunicorn workers under one limit, whose garbage is old before it is garbage."""

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from threading import Event, Thread
from typing import Any

from gc_lab import Plan, Say, cgroup
from gc_lab.service import LabError, environment
from tools.openload import OpenloadError, Scenario, run

WORKERS = 8
COMPARED = ("stock", "disable", "pacer")
LIMIT_BYTES = 240 << 20
UNLIMITED_BYTES = 4 << 30
RATE = 400
_START_SECONDS, _STOP_SECONDS = 30, 30


def measure(plan: Plan, say: Say) -> Iterator[dict[str, Any]]:
    """Yield a record for each run; stock runs a second time without the limit, for the memory that it would take."""
    seconds, workers = 5 * plan.seconds, max(2, round(WORKERS * plan.scale))
    for repeat in range(plan.repeats):
        for policy, load in [
            *((policy, "limited") for policy in plan.in_turn(repeat, COMPARED)),
            ("stock", "unlimited"),
        ]:
            figures = serve(policy, LIMIT_BYTES if load == "limited" else UNLIMITED_BYTES, seconds, workers)
            yield {"workload": "prefork", "policy": policy, "load": load, "repeat": repeat, **figures}
            say(
                f"repeat {repeat + 1} of {plan.repeats}, prefork, {policy}, {load}: {figures['kills']} workers killed,"
                f" {figures['overlaps']} full collections at once, PSS {figures['peak_pss_bytes'] >> 20} MiB at most"
            )


def serve(policy: str, limit_bytes: int, seconds: float, workers: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, cgroup.limited(limit_bytes) as group:
        log, collections = Path(folder, "log"), Path(folder, "collections")
        collections.touch()
        with gunicorn(group, policy, log, collections, workers) as url, watched_pss(group) as peak:
            try:
                report = run(url, Scenario.single("GET", "/"), rate=RATE, duration_seconds=seconds, timeout_seconds=5)
            except OpenloadError as error:
                raise LabError(f"gunicorn ({policy}): {error}\n{log.read_text()[-2000:]}") from None
            # What the workers collect when they end is nobody's wait.
            kills, ended_ns = group.kills, time.monotonic_ns()
        lines = (tuple(map(int, line.split())) for line in collections.read_text().splitlines())
        spans = sorted(span for span in lines if span[0] < ended_ns)
        return {
            "kills": kills,
            "overlaps": sum(later[0] < earlier[1] for earlier, later in pairwise(spans)),
            "full_collections": len(spans),
            "responses": report.responses,
            "errors": report.errors,
            "peak_pss_bytes": peak[0],
            "peak_usage_bytes": group.peak_bytes,
        }


@contextmanager
def gunicorn(group: cgroup.Cgroup, policy: str, log: Path, collections: Path, workers: int) -> Iterator[str]:
    command = [sys.executable, "-m", "gunicorn", "--preload", "--workers", str(workers), "--bind", "127.0.0.1:0"]
    with log.open("w") as file:
        process = subprocess.Popen(
            group.command([*command, "--config", "python:gc_lab.prefork_app", "gc_lab.prefork_app:application"]),
            env=environment() | {"GC_LAB_POLICY": policy, "GC_LAB_COLLECTIONS": str(collections)},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        yield _wait_until_ready(process, log, workers)
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
        process.kill()
        process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], log: Path, workers: int) -> str:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        text = log.read_text()
        found = re.search(r"Listening at: (http://127\.0\.0\.1:\d+)", text)
        if found and text.count("Booting worker") >= workers:
            return found[1]
        time.sleep(0.05)
    raise LabError(f"gunicorn did not start; it printed:\n{log.read_text()[-2000:]}")


@contextmanager
def watched_pss(group: cgroup.Cgroup) -> Iterator[list[int]]:
    """Keep the largest sum of proportional set sizes in the list's only place."""
    peak, ended = [0], Event()

    def watch() -> None:
        while not ended.wait(0.2):
            peak[0] = max(peak[0], sum(map(pss_bytes, group.pids)))

    thread = Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()


def pss_bytes(pid: int) -> int:
    """Return the proportional set size of a process; 0 of one that is gone."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
