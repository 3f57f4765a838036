"""Writes a line for every collection, as Go's gctrace does."""

import atexit
import os
import sys
import time
from types import TracebackType
from typing import Literal, get_args

from lowtide.errors import SettingsError
from lowtide.pacer import boundaries, record, watch
from lowtide.pacer.messages import warn
from lowtide.pacer.record import Collection, Header
from lowtide.pacer.settings import parse_trace
from lowtide.pacer.sinks import Descriptor, File, Sink, Stream, Writer

Format = Literal["raw", "json"]
FORMATS: tuple[Format, ...] = get_args(Format)

STDERR_FD = 2
PATIENCE_AT_EXIT_SECONDS = 1.0
MAX_UNSENT_BYTES = 256 * 1024

_traces: list["Trace"] = []  # those that are being written
_knows_forks: list[bool] = []


class Trace:
    """A trace that is being written, until it is closed or the program ends; also a context manager.

    *Threads:* lines are written at most every 100 ms, on the main thread or where the pacer collects.
    """

    def __init__(self, sink: Sink, format: Format) -> None:  # noqa: A002 - the field's word
        self._sink = sink
        self._is_json = format == "json"
        self._unsent = b""
        self._header: Header | None = None
        self._names_pid = False  # in what others write to as well
        self._heard: list[Collection] = []  # and not written
        self._is_writing = False
        self._next = 1  # number of the collection expected next
        self._has_warned = False

    def _begin(self) -> None:
        boundaries.watch()  # a line says whether a request waited
        watch.subscribe(self._hear)
        self._next = sum(watch.totals()[0]) + 1
        _traces.append(self)
        atexit.register(self._finish)
        if not _knows_forks:
            _knows_forks.append(True)
            os.register_at_fork(after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
        self._write([])

    def close(self) -> None:
        """Write what has been collected until now, and no more; closing again does nothing."""
        if self in _traces:
            watch.unsubscribe(self._hear)
            _traces.remove(self)
            atexit.unregister(self._finish)
            self._send(b"", PATIENCE_AT_EXIT_SECONDS)
            self._sink.close()

    def __enter__(self) -> "Trace":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _hear(self, collections: list[Collection]) -> None:
        self._heard += collections
        if self._is_writing:  # a finalizer of the program has collected, in the middle of a line
            return
        self._is_writing = True
        try:
            while self._heard:
                collections, self._heard = self._heard, []
                self._write(collections, PATIENCE_AT_EXIT_SECONDS if sys.is_finalizing() else 0.0)
        finally:
            self._is_writing = False

    def _finish(self) -> None:
        watch.deliver()
        self._send(b"", PATIENCE_AT_EXIT_SECONDS)

    # Lines

    def _write(self, collections: list[Collection], patience_seconds: float = 0.0) -> None:
        lines = self._lines(collections)
        self._send("".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace"), patience_seconds)

    def _lines(self, collections: list[Collection]) -> list[str]:
        lines = [record.pid_line(os.getpid(), self._is_json)] if self._names_pid else []
        if self._header is None:
            self._header = _new_header()
            lines.append(record.json_header(self._header) if self._is_json else record.header_line(self._header))
        paused_ns = sum(watch.totals()[1]) - sum(c.pause_ns for c in collections)
        for c in collections:
            if c.number > self._next:
                lines.append(record.lost_line(c.number - self._next, self._is_json))
            self._next = c.number + 1
            paused_ns += c.pause_ns
            share = paused_ns / max(c.start_ns + c.pause_ns - self._header.start_ns, 1)
            lines.append(record.json_line(c) if self._is_json else record.line(c, self._header, share))
        return lines

    def _send(self, data: bytes, patience_seconds: float) -> None:
        data = self._unsent + data
        try:
            data = data[self._sink.send(data, patience_seconds) :]
        except Exception as error:  # noqa: BLE001 - nothing that befalls the trace may reach the program
            # A reader that has gone away wants no lines. Its pipe may be stderr, and to warn there deadly: SIGPIPE.
            if not self._has_warned and not isinstance(error, BrokenPipeError):
                self._has_warned = True
                warn(f"the gctrace cannot be written: {error}")
        if len(data) > MAX_UNSENT_BYTES:
            end = data.index(b"\n") + 1  # of the line that may have been begun
            self._next -= record.count(data[end:].decode())  # the next line will say how many are lost
            data = data[:end]
        self._unsent = data

    # Forks

    def _after_fork_in_parent(self) -> None:
        self._names_pid = self._sink.is_shared

    def _after_fork_in_child(self) -> None:
        self._names_pid = self._sink.is_shared
        self._unsent = b""
        self._header = None
        self._next = 1
        self._heard = []
        self._is_writing = False
        self._sink.after_fork_in_child()


def trace(
    target: str | os.PathLike[str] | int | Writer | None = None,
    format: Format = "raw",  # noqa: A002 - the field's word
) -> Trace:
    """Write a line for every collection from now on, until the trace is closed.

    Args:
        target: None for stderr; a file, which is appended to (processes that find it taken, and forked children, write
            FILE.<pid>); an open descriptor; or an object with `write`, which gets text.
        format: "raw", lines for people and for `lowtide pacer explain`; "json", an object a line.

    Returns: the trace, to be closed, or used in a `with` statement.

    Raises: SettingsError for another format or target; OSError when the file cannot be opened; CoreUnavailableError
        where the native core is missing.

    *Cost:* about a microsecond a collection, and ten later on for its line.

    *Source:* Go's `GODEBUG=gctrace=1`.
    """
    if format not in FORMATS:
        raise SettingsError(f"format must be {' or '.join(map(repr, FORMATS))}, got {format!r}")
    sink = _sink(target)
    new = Trace(sink, format)
    try:
        new._begin()  # noqa: SLF001 - not before the target is known to be good
    except BaseException:
        sink.close()
        raise
    return new


def start_from_text(text: str) -> Trace | None:
    """Start what `LOWTIDE_GCTRACE` asks for: `1`, `stderr`, a file, `json:stderr` or `json:FILE`; nothing for `0`.

    Raises: SettingsError for anything else; OSError; CoreUnavailableError.
    """
    target = parse_trace(text)
    return target and trace(target.file, "json" if target.is_json else "raw")


def _sink(target: str | os.PathLike[str] | int | Writer | None) -> Sink:
    if target is None:
        return Descriptor(STDERR_FD)
    if isinstance(target, int):
        return Descriptor(target)
    if isinstance(target, str | os.PathLike):
        return File(os.fspath(target))
    if not callable(getattr(target, "write", None)):
        raise SettingsError(f"target must be None, a file, a descriptor or an object with write, got {target!r}")
    return Stream(target)


def _new_header() -> Header:
    now_ns, now_unix = time.monotonic_ns(), time.time()  # first: no collection is to come before the beginning
    elapsed_ns = watch.totals()[2]
    return Header(
        python=".".join(map(str, sys.version_info[:3])),
        pid=os.getpid(),
        start_ns=now_ns - elapsed_ns,
        time_unix=now_unix - elapsed_ns / 1e9,
        incremental=(3, 14) <= sys.version_info < (3, 14, 5),
    )


def _after_fork_in_parent() -> None:
    for each in _traces:
        each._after_fork_in_parent()  # noqa: SLF001 - of this module


def _after_fork_in_child() -> None:
    for each in _traces:
        each._after_fork_in_child()  # noqa: SLF001 - of this module
