"""A gctrace recorded by a callback in Python: slow and plain, for any program that a test wants a trace of."""

import ctypes
import gc
import os
import platform
import sys
import time
from pathlib import Path
from types import FrameType

from lowtide.pacer import record
from lowtide.pacer.stock import Stock


class Recorder:
    """Records every collection between `start` and `stop`; `in_request` and `requests` are the program's to set.

    Pauses are in the thread's own time: what else the machine does is no part of them.
    """

    def __init__(self) -> None:
        self.in_request = False
        self.requests = 0
        self._lines: list[str] = []  # strings: the collector does not look at them
        self._long_lived_before = 0
        self._read_ns = 0
        self._is_ending = False
        self._long_lived = _long_lived_fields()

    def start(self) -> None:
        self.header = record.Header(
            platform.python_version(), os.getpid(), time.monotonic_ns(), time.time(), incremental=False
        )
        gc.callbacks.append(self._called)

    def stop(self) -> None:
        """End the trace as an interpreter does: with a full collection."""
        self._is_ending = True
        gc.collect()
        gc.callbacks.remove(self._called)

    @property
    def trace(self) -> record.Trace:
        return record.parse(self.text)

    @property
    def text(self) -> str:
        return "".join(f"{line}\n" for line in (record.json_header(self.header), *self._lines))

    def _called(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._counts = gc.get_count()
            self._is_full = info["generation"] == 2
            self._reads = self._is_full or time.monotonic_ns() > self._read_ns + 100_000_000
            self._blocks = sys.getallocatedblocks()
            self._pending = self._long_lived[1]
            self._start_ns, self._start_own_ns = time.monotonic_ns(), time.thread_time_ns()
            return
        pause_ns = time.thread_time_ns() - self._start_own_ns
        long_lived, pending = self._long_lived
        generation, freed = info["generation"], info["collected"]
        thresholds = gc.get_threshold()
        stock = Stock(thresholds, self._counts, long_lived=self._long_lived_before, pending=self._pending)
        is_automatic = self._counts[0] > thresholds[0] and stock.select() == generation
        cause = ("full" if self._is_full else "young") if is_automatic else "explicit"
        left = (self._counts[0] - freed, pending - self._pending, long_lived)[generation]
        collection = record.Collection(
            number=len(self._lines) + 1,
            start_ns=self._start_ns,
            pause_ns=pause_ns,
            generation=generation,
            cause="shutdown" if self._is_ending else cause,
            predicted_ns=0,
            scanned=left + freed,
            freed=freed,
            uncollectable=info["uncollectable"],
            counts=self._counts,
            thresholds=thresholds,
            long_lived=long_lived,
            pending=pending,
            blocks_before=self._blocks,
            blocks_after=sys.getallocatedblocks(),
            goal_blocks=0,
            rss_bytes=_rss_bytes() if self._reads else record.UNREAD,
            frozen=gc.get_freeze_count() if self._reads else record.UNREAD,
            requests=self.requests,
            in_request=self.in_request,
            caller="" if is_automatic or self._is_ending else _place(sys._getframe(1)),
        )
        self._lines.append(record.json_line(collection))
        self._long_lived_before = long_lived
        if self._reads:
            self._read_ns = time.monotonic_ns()


def _long_lived_fields() -> ctypes.Array[ctypes.c_ssize_t]:
    """Find long_lived_total and long_lived_pending: they follow the lists gc.garbage and gc.callbacks."""
    get_interpreter = ctypes.pythonapi.PyInterpreterState_Get
    get_interpreter.restype = ctypes.c_void_p
    address = get_interpreter()
    assert address is not None
    word = ctypes.sizeof(ctypes.c_void_p)
    landmark = id(gc.garbage), id(gc.callbacks)
    while (
        ctypes.c_size_t.from_address(address).value != landmark[0]
        or ctypes.c_size_t.from_address(address + word).value != landmark[1]
    ):
        address += word
    return (ctypes.c_ssize_t * 2).from_address(address + 2 * word)


def _rss_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def _place(frame: FrameType | None) -> str:
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}" if frame else ""
