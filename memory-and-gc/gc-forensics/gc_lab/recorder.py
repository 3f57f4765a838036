"""What the collector did, seen by the lab itself: the pacer is not the witness of its own figures."""

import gc
import time
from array import array
from contextlib import suppress
from pathlib import Path
from typing import Any


class Recorder:
    """A callback of the collector that adds up; one a process, for the thread that serves.

    `is_busy` is set by who serves: a request is being executed.
    """

    def __init__(self) -> None:
        self.is_busy = False
        self.requests = 0
        self._began_ns = self._began_cpu_ns = 0
        self.reset()
        gc.callbacks.append(self._on_collection)

    def reset(self) -> None:
        """Begin anew; the peak of resident memory too, where the kernel lets us."""
        self.requests = 0
        self._collections = [0, 0, 0]
        self._in_request = [0, 0, 0]
        self._pause_in_request_ns = self._pause_ns = self._gc_ns = self._gc_cpu_ns = 0
        self._cpu_in_request_ns = 0
        # Arrays of numbers: nothing that the collector tracks is made inside a collection.
        self._full_ns = array("q")
        self._full_at_ns = array("q")
        self._since_ns, self._since_cpu_ns = time.monotonic_ns(), time.process_time_ns()
        with suppress(OSError):  # the peak is then since the process began
            Path("/proc/self/clear_refs").write_text("5")

    def _on_collection(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._began_ns, self._began_cpu_ns = time.monotonic_ns(), time.thread_time_ns()
            return
        pause_ns = time.monotonic_ns() - self._began_ns
        generation = info["generation"]
        self._collections[generation] += 1
        self._gc_ns += pause_ns
        cpu_ns = time.thread_time_ns() - self._began_cpu_ns
        self._gc_cpu_ns += cpu_ns
        self._pause_ns = max(self._pause_ns, pause_ns)
        if self.is_busy:
            self._in_request[generation] += 1
            self._pause_in_request_ns = max(self._pause_in_request_ns, pause_ns)
            self._cpu_in_request_ns = max(self._cpu_in_request_ns, cpu_ns)
        if generation == 2:
            self._full_ns.append(pause_ns)
            self._full_at_ns.append(self._began_ns)

    def read(self) -> dict[str, Any]:
        """Return the figures since the last reset, as plain data."""
        status = Path("/proc/self/status").read_text()
        kib = {line.split(":")[0]: int(line.split()[1]) for line in status.splitlines() if line.startswith("Vm")}
        wall_ns = time.monotonic_ns() - self._since_ns
        return {
            "seconds": wall_ns / 1e9,
            "requests": self.requests,
            "cpu_seconds": (time.process_time_ns() - self._since_cpu_ns) / 1e9,
            "collections": self._collections,
            "in_request": self._in_request,
            "max_pause_ms": self._pause_ns / 1e6,
            "max_pause_in_request_ms": self._pause_in_request_ns / 1e6,
            "max_cpu_in_request_ms": self._cpu_in_request_ns / 1e6,
            "full_pauses_ms": [ns / 1e6 for ns in self._full_ns],
            "full_at_ns": list(self._full_at_ns),
            "gc_seconds": self._gc_ns / 1e9,
            "gc_cpu_seconds": self._gc_cpu_ns / 1e9,
            "rss_bytes": kib["VmRSS"] * 1024,
            "peak_rss_bytes": kib["VmHWM"] * 1024,
        }
