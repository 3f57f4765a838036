"""A real memory limit: a cgroup of our own (version 1), for as long as a `with` block lasts."""

import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_CONTROLLER = Path("/sys/fs/cgroup/memory")


def unavailable() -> str:
    """Return why no cgroup can be made here; "" when one can."""
    if not (_CONTROLLER / "memory.limit_in_bytes").exists():
        return "this machine has no memory controller of cgroup version 1"
    if not os.access(_own(), os.W_OK):
        return "making a cgroup needs root"
    return ""


def _own() -> Path:
    found = re.search(r"^\d+:[^:]*\bmemory\b[^:]*:(.*)$", Path("/proc/self/cgroup").read_text(), re.MULTILINE)
    path = _CONTROLLER / found[1].lstrip("/") if found else _CONTROLLER
    return path if path.is_dir() else _CONTROLLER  # inside a container the path is the host's


class Cgroup:
    def __init__(self, path: Path) -> None:
        self.path = path

    def command(self, command: Sequence[str]) -> list[str]:
        """Return the command that runs `command` inside."""
        return ["/bin/sh", "-c", 'echo $$ > "$0"/cgroup.procs && exec "$@"', str(self.path), *command]

    @property
    def pids(self) -> list[int]:
        return [int(pid) for pid in (self.path / "cgroup.procs").read_text().split()]

    @property
    def kills(self) -> int:
        """Return how many processes the kernel has killed for the limit."""
        found = re.search(r"^oom_kill (\d+)$", (self.path / "memory.oom_control").read_text(), re.MULTILINE)
        return int(found[1]) if found else 0

    @property
    def peak_bytes(self) -> int:
        return int((self.path / "memory.max_usage_in_bytes").read_text())


@contextmanager
def limited(limit_bytes: int) -> Iterator[Cgroup]:
    """Make a cgroup with this limit; what still runs inside at the end is killed."""
    path = _own() / f"gc-lab-{os.getpid()}"
    path.mkdir()
    group = Cgroup(path)
    try:
        (path / "memory.limit_in_bytes").write_text(str(limit_bytes))
        yield group
    finally:
        for _ in range(100):
            for pid in group.pids:
                os.kill(pid, 9)
            try:
                path.rmdir()
                break
            except OSError:
                time.sleep(0.05)  # a process that ends still counts
