"""A workload under a policy in a process of its own, for as long as a `with` block lasts."""

import gc
import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STOP_SECONDS = 20
_CPUS = sorted(os.sched_getaffinity(0))  # as we were started: services get the first, the load generator the others


class LabError(Exception):
    """The lab cannot go on; the text is for a person."""


def environment() -> dict[str, str]:
    """Return the environment for a program of the lab's own: it imports what we import."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONHASHSEED": "0"}


@dataclass(frozen=True, slots=True)
class Service:
    url: str
    tracked: int  # objects that the collector tracked before the first request

    def ask(self, path: str) -> Any:
        """Ask the lab's own side of the service."""
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=30)
        try:
            connection.request("GET", path)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()


@contextmanager
def serving(workload: str, policy: str, objects: int, trace: Path | None = None) -> Iterator[Service]:
    """Start a service, yield it once it listens, stop it.

    lowtide leaves a line for each collection in `trace`, if that is given, from when the heap is built.

    Raises: LabError when it does not start or does not end in order.
    """
    options = {
        "workload": workload,
        "policy": policy,
        "objects": objects,
        "trace": str(trace or ""),
        "cpu": _CPUS[0] if len(_CPUS) > 1 else None,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "gc_lab.serve", json.dumps(options)],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C reaches us alone, and we end the service
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        url, _, objects_tracked = process.stdout.readline().strip().partition(" ")
        if not url:
            raise LabError(f"the service ({workload}, {policy}) did not start: exit code {process.wait()}")
        yield Service(url, int(objects_tracked))
        process.stdin.close()
        if process.wait(STOP_SECONDS) != 0:
            raise LabError(f"the service ({workload}, {policy}) ended with exit code {process.returncode}")
    finally:
        process.kill()  # a no-op unless something went wrong
        process.wait()
        process.stdout.close()


@contextmanager
def load_generator_apart() -> Iterator[None]:
    """Keep this process off the services' CPU, and its own collector out of what it measures."""
    if len(_CPUS) > 1:
        os.sched_setaffinity(0, _CPUS[1:])
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()
        os.sched_setaffinity(0, _CPUS)
