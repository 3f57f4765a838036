"""Where a trace's lines go: never in the program's way, whatever is at the other end."""

import errno
import fcntl
import os
from contextlib import suppress
from select import PIPE_BUF, POLLERR, POLLHUP, POLLNVAL, POLLOUT, poll
from stat import S_ISREG
from typing import Protocol

FIRST_FD_OF_OURS = 3  # what looks like stdin, stdout or stderr is the program's, also where it has closed them


class Sink(Protocol):
    """Takes lines."""

    is_shared: bool  # a forked child writes to the same place

    def send(self, data: bytes, patience_seconds: float) -> int:
        """Return how many bytes it took; those left are to be offered again.

        Raises: OSError, or whatever the program's own object raises.
        """

    def after_fork_in_child(self) -> None:
        """Make way for the parent."""

    def close(self) -> None:
        """Let go of what was opened here."""


class Descriptor:
    """A descriptor that the program has opened; it may close it, and another file may take its number.

    Args:
        fd: where to write.

    Raises: OSError when it is closed.
    """

    is_shared = True

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._identity = _identity(fd)
        self.is_file = S_ISREG(os.fstat(fd).st_mode)

    def send(self, data: bytes, patience_seconds: float) -> int:
        """Write whole lines while that blocks nobody."""
        if not self.is_intact():
            raise OSError(errno.EBADF, "the program has closed it")
        sent = 0
        while sent < len(data) and (self.is_file or self._is_ready(patience_seconds)):
            # Up to PIPE_BUF goes into a pipe at once, or not at all.
            end = len(data) if self.is_file else data.rfind(b"\n", sent, sent + PIPE_BUF) + 1 or sent + PIPE_BUF
            try:
                sent += os.write(self._fd, data[sent:end])
            except BlockingIOError:
                break
            except OSError:
                if not sent:
                    raise
                break  # what was taken must not be offered again; the error will be
        return sent

    def is_intact(self) -> bool:
        """Tell whether the descriptor is what it was."""
        try:
            return _identity(self._fd) == self._identity
        except OSError:
            return False

    def _is_ready(self, patience_seconds: float) -> bool:
        poller = poll()
        poller.register(self._fd, POLLOUT)
        events = poller.poll(patience_seconds * 1000)
        # A write would raise SIGPIPE, and a program may have given that its deadly meaning back.
        if any(event & (POLLERR | POLLHUP | POLLNVAL) for _, event in events):
            raise BrokenPipeError(errno.EPIPE, "nobody reads it")
        return bool(events)

    def after_fork_in_child(self) -> None:
        """Nothing: the child shares it."""

    def close(self) -> None:
        """Nothing: it is the program's."""


class File:
    """A file of our own, appended to; FILE.<pid> for who finds it in another process's hands, or is a forked child.

    Raises: OSError when it cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self._path = self._given_path = os.path.abspath(path)  # the program may change its folder
        self._fd, self._own = self._open(self._path)
        self._is_open, self._is_over = True, False
        self.is_shared = not self._own.is_file

    def send(self, data: bytes, patience_seconds: float) -> int:
        """Write to the file, opened again if a program that closes all descriptors has closed it."""
        if self._is_over:  # by a finalizer, in the middle of this
            return len(data)
        if not self._is_open or not self._own.is_intact():
            self._fd, self._own = self._open(self._path)
            self._is_open = True
        return self._own.send(data, patience_seconds)

    def _open(self, path: str) -> tuple[int, Descriptor]:
        fd = _open_to_append(path)
        if not _take(fd):
            os.close(fd)
            self._path = f"{self._given_path}.{os.getpid()}"
            fd = _open_to_append(self._path)
        try:
            own = Descriptor(fd)
            if own.is_file and _is_cut(fd, self._path):
                os.write(fd, b"\n")
        except OSError:  # such as a full disk; it is tried again and again
            os.close(fd)
            raise
        return fd, own

    def after_fork_in_child(self) -> None:
        """Leave the file to the parent; the child's own one comes with its first line."""
        if not self.is_shared:
            self._let_go()
            self._path = f"{self._given_path}.{os.getpid()}"

    def close(self) -> None:
        """Close the file."""
        self._is_over = True
        self._let_go()

    def _let_go(self) -> None:
        if self._is_open and self._own.is_intact():
            os.close(self._fd)
        self._is_open = False


class Writer(Protocol):
    """An object that takes text, as `sys.stderr` does."""

    def write(self, text: str, /) -> object:
        """Take a text."""


class Stream:
    """An object of the program."""

    is_shared = True

    def __init__(self, stream: Writer) -> None:
        self._stream = stream

    def send(self, data: bytes, patience_seconds: float) -> int:  # noqa: ARG002 - its own matter
        """Hand it over."""
        self._stream.write(data.decode())
        flush = getattr(self._stream, "flush", None)
        if flush is not None:
            flush()
        return len(data)

    def after_fork_in_child(self) -> None:
        """Nothing: it is the program's."""

    def close(self) -> None:
        """Nothing: it is the program's."""


def _identity(fd: int) -> tuple[int, int]:
    stat = os.fstat(fd)
    return stat.st_dev, stat.st_ino


def _open_to_append(path: str) -> int:
    # Where nobody reads a named pipe, opening it should fail and not wait; a terminal should not become ours.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    fd = os.open(path, flags, 0o666)
    if fd >= FIRST_FD_OF_OURS:
        return fd
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, FIRST_FD_OF_OURS)
    finally:
        os.close(fd)


def _is_cut(fd: int, path: str) -> bool:
    """Tell whether a killed process has left a line without its end."""
    size = os.fstat(fd).st_size
    with suppress(OSError), open(path, "rb") as file:
        file.seek(max(size - 1, 0))
        return file.read(1) not in (b"\n", b"")
    return False


def _take(fd: int) -> bool:
    """Take a file for this process, as long as it is open; what is no file is everybody's."""
    if S_ISREG(os.fstat(fd).st_mode):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # a file system without locks
            return True
    return True
