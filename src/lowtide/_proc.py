"""What the kernel says of this process, as records; the root of /proc is a parameter."""

import os
from typing import NamedTuple


class ProcessId(NamedTuple):
    """A process, told apart from an earlier one that had the same number.

    Args:
        pid: process id in the process's own namespace.
        start_ticks: clock ticks between boot and the start of the process; 0 where /proc cannot be read.
    """

    pid: int
    start_ticks: int

    def __str__(self) -> str:
        return f"{self.pid}.{self.start_ticks}"


def process_id(proc_root: str = "/proc") -> ProcessId:
    """Return the identity of the calling process.

    *Source:* proc(5), field 22 of `/proc/self/stat`.
    """
    try:
        with open(f"{proc_root}/self/stat", "rb") as file:
            stat = file.read()
        # The second field is the program's name in parentheses, and a name may hold both blanks and parentheses.
        start_ticks = int(stat.rpartition(b")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        start_ticks = 0
    return ProcessId(os.getpid(), start_ticks)
