"""A variant of the service in a process of its own, for as long as a `with` block lasts."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

STOP_SECONDS = 20


class LabError(Exception):
    """The lab cannot go on; the text is for a person."""


CPUS = os.sched_getaffinity(0)  # read before anything of the lab is bound to some of them
SERVICE_CPU = min(CPUS) if len(CPUS) > 1 else None  # the load generator has the others


@contextmanager
def serving(
    variant: str,
    profile: Path | None = None,
    sample_interval: int = 65536,
    *,
    check: bool = False,
    log: TextIO | None = None,
) -> Iterator[str]:
    """Start a variant, yield its address, stop it.

    Args:
        variant: a key of `apps.VARIANTS`.
        profile: where to leave a heap profile of all that happens after the catalogue is filled.
        sample_interval: bytes; 1 counts every block.
        check: whether its pools are in check mode.
        log: where to write what it prints; its errors are shown here otherwise.

    Raises: LabError when it does not start or does not end in order.
    """
    options = {
        "variant": variant,
        "profile": str(profile or ""),
        "sample_interval": sample_interval,
        "cpu": SERVICE_CPU,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "pool_lab.serve", json.dumps(options)],
        env=os.environ
        | {
            "PYTHONPATH": os.pathsep.join(sys.path),  # it imports what we import
            "PYTHONHASHSEED": "0",
            "LOWTIDE_POOL_CHECK": "1" if check else "0",
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        start_new_session=True,  # Ctrl-C reaches us alone, and we end the service
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        address = process.stdout.readline().strip()
        if not address:
            raise LabError(f"the service ({variant}) did not start: exit code {process.wait()}")
        yield address
        process.stdin.close()
        if process.wait(STOP_SECONDS) != 0:
            raise LabError(f"the service ({variant}) ended with exit code {process.returncode}")
    finally:
        process.kill()  # a no-op unless something went wrong
        process.wait()
        process.stdout.close()


@contextmanager
def load_generator_on_its_own_cpu() -> Iterator[None]:
    """Keep this process off the CPU that the service runs on."""
    if SERVICE_CPU is not None:
        os.sched_setaffinity(0, CPUS - {SERVICE_CPU})
    try:
        yield
    finally:
        os.sched_setaffinity(0, CPUS)
