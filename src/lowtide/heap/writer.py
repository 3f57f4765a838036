"""The profile's file, kept up to date while the program runs and complete when it ends.

The host must not notice. The thread is a bare one that `threading` never hears of; it takes no signal, so that none
is handled late; and it is gone whenever the program forks: CPython >= 3.12 warns whoever forks beside a second thread.
Its primitives are taken from their modules here, before gevent can put green ones in their place.
"""

import atexit
import os
import sys
from _thread import LockType, allocate_lock, get_native_id, start_new_thread
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from signal import SIG_BLOCK, SIG_SETMASK, SIGBUS, SIGFPE, SIGILL, SIGSEGV, pthread_sigmask, valid_signals
from time import monotonic, sleep
from types import FrameType

from lowtide import _core
from lowtide.heap.collector import identity, unseen, write

FIRST_PAUSE_SECONDS = 1.0
PATIENCE_SECONDS = 1.0  # that a fork or an exit waits for a write under way
HOOK_DEPTH = 32  # frames; deeper than any hook that runs at a fork
LAST_OF_ALL = -1000  # priority among multiprocessing's finalizers: after the child's own children are joined

# Not those that the thread's own instructions raise: blocked, they would kill the program past its faulthandler.
_SIGNALS = valid_signals() - {SIGSEGV, SIGBUS, SIGFPE, SIGILL}


def _harmless(method: Callable[["PeriodicWriter"], None]) -> Callable[["PeriodicWriter"], None]:
    """Keep the allocations and the errors of a callback from the program that it interrupts."""

    @wraps(method)
    def guarded(writer: "PeriodicWriter") -> None:
        with suppress(Exception):
            method(writer)

    return unseen(guarded)


def _interrupted_frame() -> FrameType | None:
    """Return the program's frame that a harmless method was called from."""
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - documented
    for _ in ("this function", "the method", "guarded", "unseen"):
        frame = frame and frame.f_back
    return frame


def _position(frame: FrameType | None) -> tuple[int, int] | None:
    """Name the instruction that a frame executes, without holding on to the program's objects."""
    return frame and (id(frame.f_code), frame.f_lasti)


class PeriodicWriter:
    """Writes `heap.<pid>.<starttime>.pb.gz` into a folder.

    Args:
        directory: an absolute path.
        every_seconds: longest time between two snapshots; 0 writes at exit only. The first ones come after 1, 2, 4 ...
            seconds: a program that is killed young has its file, too.
        warn: told once why the file cannot be written.
    """

    def __init__(self, directory: str, every_seconds: float, warn: Callable[[str], None]) -> None:
        self._directory = directory
        self._every = every_seconds
        self._warn = warn
        self._warned = False
        self._pause = self._due = 0.0
        self._locks: tuple[LockType, LockType] | None = None
        self._native_id = 0
        self._thread_is_due = False
        self._fork_call: tuple[int, int] | None = None
        self._known_to_multiprocessing = False

    @unseen
    def begin(self) -> None:
        """Write from now on, in this process and in its forked children."""
        atexit.register(self._finish)
        os.register_at_fork(
            before=self._before_fork, after_in_parent=self._after_fork, after_in_child=self._after_fork_in_child
        )
        self._start_clock()
        self._start_thread()

    def abandon(self) -> None:
        """Write no more, not even at exit, and take back what has been written."""
        atexit.unregister(self._finish)
        self._stop_thread()
        self._every = 0.0
        with suppress(OSError):
            os.unlink(self._path())

    def _start_clock(self) -> None:
        self._pause = min(FIRST_PAUSE_SECONDS, self._every)
        self._due = monotonic() + self._pause

    # The thread

    def _start_thread(self) -> None:
        if self._every and self._locks is None:
            wake, gone = allocate_lock(), allocate_lock()
            wake.acquire()
            gone.acquire()
            # The thread inherits the mask: one moment without it, and it may take a signal that the program waits for.
            mask = pthread_sigmask(SIG_BLOCK, _SIGNALS)
            try:
                start_new_thread(self._run, (wake, gone))
                self._locks = wake, gone
            except RuntimeError:  # no more threads to be had, or the interpreter is shutting down
                pass
            finally:
                pthread_sigmask(SIG_SETMASK, mask)

    def _run(self, wake: LockType, gone: LockType) -> None:
        _core.bypass(True)
        self._native_id = get_native_id()
        try:
            while not wake.acquire(timeout=max(0.0, self._due - monotonic())):
                self._write()
                self._pause = min(2 * self._pause, self._every)
                self._due = monotonic() + self._pause
        finally:
            gone.release()

    def _stop_thread(self) -> None:
        locks, self._locks = self._locks, None
        if locks is None:
            return
        wake, gone = locks
        wake.release()
        if gone.acquire(timeout=PATIENCE_SECONDS):
            # Python is done with the thread a moment before the kernel is, and CPython counts the kernel's threads.
            patience = monotonic() + 0.1
            while os.path.exists(f"/proc/self/task/{self._native_id}") and monotonic() < patience:
                sleep(50e-6)

    # Around a fork

    @_harmless
    def _before_fork(self) -> None:
        self._fork_call = _position(_interrupted_frame())
        self._stop_thread()

    @_harmless
    def _after_fork(self) -> None:
        if not self._thread_is_due:
            self._thread_is_due = True
            self._call_soon()

    @_harmless
    def _after_fork_in_child(self) -> None:
        self._start_clock()
        self._thread_is_due = True
        self._call_soon()
        # A child of multiprocessing drops the exit handlers it inherited and leaves with os._exit.
        util = sys.modules.get("multiprocessing.util")
        if util is not None and not self._known_to_multiprocessing:
            self._known_to_multiprocessing = True
            util.register_after_fork(self, PeriodicWriter._finish_with_multiprocessing)

    def _call_soon(self) -> None:
        try:
            _core.call_soon(self._come_back)
        except RuntimeError:  # the queue of pending calls is full: the next fork asks again
            self._thread_is_due = False

    @_harmless
    def _come_back(self) -> None:
        # CPython counts the threads when all hooks have run, and a hook written in Python is a safe point, too.
        frame = _interrupted_frame()
        for _ in range(HOOK_DEPTH):
            frame = frame and frame.f_back
            if frame and _position(frame) == self._fork_call:
                self._call_soon()
                return
        self._thread_is_due = False
        self._start_thread()

    @_harmless
    def _finish_with_multiprocessing(self) -> None:
        sys.modules["multiprocessing.util"].Finalize(None, self._finish, exitpriority=LAST_OF_ALL)

    # The file

    def _path(self) -> str:
        return os.path.join(self._directory, f"heap.{identity()}.pb.gz")

    def _write(self) -> None:
        try:
            write(self._path())
        except Exception as error:  # noqa: BLE001 - nothing that befalls the profiler may reach the program
            if not self._warned:
                self._warned = True
                self._warn(f"the heap profile cannot be written: {error}")

    @_harmless
    def _finish(self) -> None:
        self._stop_thread()
        self._every = 0.0
        self._write()
        _core.stop()
