"""One worker of a cgroup acts at a time: who acts for the memory limit, and who collects fully.

A limit belongs to the cgroup and not to one of its processes. Two files in a folder that its workers share say whose
turn it is. Each is opened anew for every use: a descriptor that is kept would be the parent's too after a fork, and
somebody else's where the program closes all.
"""

import fcntl
import os
import stat
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

# A worker that does not ask any more has ended, is stuck, or idles: the others do not wait for it.
FRESH_SECONDS = 5.0
MAX_WORKERS = 64
_NONE = -1  # bytes that a worker which stands down would give back: less than any other


class _Worker(NamedTuple):
    """A line of the table of those who would act for the limit."""

    could_give_bytes: int
    pid: int
    asked_seconds: float
    is_leading: bool


_WORKER = struct.Struct("<qqd?")


class Lease:
    """The turns of the workers of one cgroup; a process that cannot share them acts alone.

    Args:
        cgroup: name of the cgroup, as `/proc/self/cgroup` spells it.
        directory: folder of the files, which all workers share; by default XDG_RUNTIME_DIR or that for temporary files.

    *Threads:* any. A fork needs nothing done.
    """

    def __init__(self, cgroup: str, directory: str | None = None) -> None:
        self.cgroup = cgroup
        self.reason = ""  # why this process acts alone; "" where it shares
        self._directory = directory
        self._stands_down_until = float("-inf")

    def ask(self, could_give_bytes: int, now_seconds: float) -> bool:
        """Ask to act for the memory limit: the largest of those who ask may, and one at a time.

        Whoever acts keeps the turn until it asks again and is not the largest any more, or has not asked for 5 s.

        Args:
            could_give_bytes: memory that this worker alone could give back.
            now_seconds: monotonic clock.

        Returns: whether it may act until it asks again.
        *Cost:* about 30 µs; it never waits.
        """
        file = self._open("limit")
        if file is None:
            return True
        pid = os.getpid()
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_candidate = now_seconds >= self._stands_down_until
            return _enter(file, could_give_bytes if is_candidate else _NONE, pid, now_seconds)
        except BlockingIOError:
            return False  # another one is asking
        except OSError as error:
            self.reason = f"{error.strerror} at the table of workers"
            return True
        finally:
            _close(file, pid)

    def stand_down(self, until_seconds: float) -> None:
        """Leave the limit to the others until then, from the next `ask` on: what this worker can do has not helped."""
        self._stands_down_until = until_seconds

    @contextmanager
    def full_collection(self) -> Iterator[bool]:
        """Take the turn to collect fully, for the length of the block.

        Returns: a context that holds whether it is this worker's; False where another one collects now.
        *Cost:* about 25 µs; it never waits.
        """
        file = self._open("full")
        pid = os.getpid()
        try:
            yield file is None or self._try_lock(file)
        finally:
            if file is not None:
                _close(file, pid)

    def _try_lock(self, file: int) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            self.reason = f"files cannot be locked there ({error.strerror})"
        return True

    def _open(self, turn: str) -> int | None:
        """Open the file of a turn; None, and the reason, where it is not safely ours."""
        try:
            path = f"{self._directory or _shared_directory()}/{_name(self.cgroup)}.{turn}"
            # The folder may be everybody's: what lies there may be another user's link, or a pipe to wait at.
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            file = os.open(path, flags, 0o600)
        except OSError as error:
            self.reason = f"{error.filename or 'the folder for temporary files'}: {error.strerror or error}"
            return None
        found = os.fstat(file)
        if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and found.st_nlink <= 1:
            self.reason = ""
            return file
        os.close(file)
        self.reason = f"{path}: not a file of this user alone"
        return None


def _enter(file: int, could_give_bytes: int, pid: int, now_seconds: float) -> bool:
    """Put a worker into the table, those who do not ask any more out of it; tell whether it leads."""
    content = os.pread(file, _WORKER.size * MAX_WORKERS, 0)
    content = content[: len(content) // _WORKER.size * _WORKER.size]
    others = [
        worker
        for worker in map(_Worker._make, _WORKER.iter_unpack(content))
        if worker.pid != pid and 0 <= now_seconds - worker.asked_seconds < FRESH_SECONDS and _is_alive(worker.pid)
    ]
    is_larger = all((could_give_bytes, pid) > (other.could_give_bytes, other.pid) for other in others)
    is_free = could_give_bytes != _NONE and not any(other.is_leading for other in others)
    me = _Worker(could_give_bytes, pid, now_seconds, is_larger and is_free)
    kept = sorted([me, *others], key=lambda worker: (worker.is_leading, worker), reverse=True)[:MAX_WORKERS]
    os.pwrite(file, b"".join(_WORKER.pack(*worker) for worker in kept), 0)
    os.ftruncate(file, _WORKER.size * len(kept))
    return me.is_leading


def _is_alive(pid: int) -> bool:
    if pid < 1:
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True


def _close(file: int, pid: int) -> None:
    # A child that was forked in between shares the lock: the parent's end of it must not wait for the child's, and the
    # child must not end the parent's.
    if os.getpid() == pid:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_UN)
    with suppress(OSError):
        os.close(file)


def _name(cgroup: str) -> str:
    # In a container every cgroup may be called `/`, and process ids mean something within their namespace only.
    namespaces = "".join(os.readlink(f"/proc/self/ns/{kind}") for kind in ("cgroup", "pid"))
    return f"lowtide-{os.geteuid()}-{zlib.crc32(os.fsencode(namespaces + cgroup)):08x}"


def _shared_directory() -> str:
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/") and os.access(runtime, os.W_OK | os.X_OK):
        return runtime
    import tempfile

    return tempfile.gettempdir()
