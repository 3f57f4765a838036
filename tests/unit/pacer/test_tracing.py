"""Where a trace's lines go, and that nothing at the other end is the program's trouble."""

import fcntl
import gc
import io
import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lowtide import pacer
from lowtide.errors import SettingsError
from lowtide.pacer import record, tracing, watch
from lowtide.pacer.sinks import Descriptor

core = pytest.importorskip("lowtide._core", reason="the extension is not built")
pytestmark = pytest.mark.usefixtures("own_collections")


def collect(*generations: int) -> None:
    for generation in generations:
        gc.collect(generation)


def generations(text: str) -> list[int]:
    return [c.generation for c in record.parse(text).collections]


@pytest.mark.parametrize("format_", ["raw", "json"])
def test_a_file_has_a_line_for_every_collection(tmp_path: Path, format_: tracing.Format) -> None:
    file = tmp_path / "gc.log"
    with pacer.trace(file, format_):
        collect(0, 1, 2)

    found = record.parse(file.read_text())
    assert [(c.number, c.generation, c.caller) for c in found.collections] == [
        (c.number, c.generation, c.caller) for c in watch.records()
    ]
    assert found.header.pid == os.getpid()
    assert abs(found.header.time_unix - time.time()) < 3600
    assert found.header.start_ns <= found.collections[0].start_ns


def test_a_raw_line_s_share_is_what_all_collections_have_taken_until_then(tmp_path: Path) -> None:
    file = tmp_path / "gc.log"
    with pacer.trace(file):
        collect(2, 0, 2)
    parsed = record.parse(file.read_text())
    shares = [float(line.split("s ")[1].split("%")[0]) for line in file.read_text().splitlines()[1:]]

    paused = 0
    for share, c in zip(shares, parsed.collections, strict=True):
        paused += c.pause_ns
        elapsed = c.start_ns + c.pause_ns - parsed.header.start_ns
        assert share == pytest.approx(100 * paused / elapsed, abs=0.2)


def test_a_trace_that_begins_later_says_when_watching_began(tmp_path: Path) -> None:
    file = tmp_path / "gc.log"

    def listener(_: object) -> None:
        pass

    watch.subscribe(listener)
    collect(0, 0)
    with pacer.trace(file):
        collect(1)
    watch.unsubscribe(listener)

    found = record.parse(file.read_text())
    assert [c.number for c in found.collections] == [3]
    assert "lost" not in file.read_text()
    assert found.header.start_ns <= watch.records()[0].start_ns


def test_two_traces_write_the_same_collections(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    with pacer.trace(first), pacer.trace(second, "json"):
        collect(0, 2)
    assert generations(first.read_text()) == generations(second.read_text()) == [0, 2]


def test_closing_twice_is_closing_once(tmp_path: Path) -> None:
    trace = pacer.trace(tmp_path / "gc.log")
    collect(0)
    trace.close()
    collect(0)
    trace.close()
    assert generations((tmp_path / "gc.log").read_text()) == [0]


def test_lost_collections_are_said(tmp_path: Path) -> None:
    file = tmp_path / "gc.log"
    with pacer.trace(file):
        core.gc_set_tick(None)  # a main thread that is busy in C for long
        for _ in range(5000):
            gc.collect(0)

    lines = file.read_text().splitlines()
    assert lines[1] == "# lost 904 collections: they came faster than they were written"
    assert len(record.parse(file.read_text()).collections) == 4096


def test_a_new_run_adds_to_the_file_also_where_the_last_one_was_killed(tmp_path: Path) -> None:
    file = tmp_path / "gc.log"
    file.write_text("gc 17 @34.1")
    for generation in (0, 1):
        with pacer.trace(file):
            collect(generation)

    assert file.read_text().startswith("gc 17 @34.1\n# lowtide gctrace 1 ")
    assert generations(file.read_text()) == [1]


def test_a_file_in_another_process_s_hands_is_left_to_it(tmp_path: Path) -> None:
    file = tmp_path / "gc.log"
    with file.open("w") as taken:
        fcntl.flock(taken, fcntl.LOCK_EX)  # as another process's trace does
        with pacer.trace(file):
            collect(0)

    assert file.read_text() == ""
    assert generations((tmp_path / f"gc.log.{os.getpid()}").read_text()) == [0]


def test_a_program_that_closes_all_descriptors_closes_no_trace(tmp_path: Path) -> None:
    file, other = tmp_path / "gc.log", tmp_path / "other"
    with pacer.trace(file):
        (ours,) = (int(fd.name) for fd in Path("/proc/self/fd").iterdir() if fd.resolve() == file)
        collect(0)
        watch.deliver()
        os.close(ours)
        assert os.open(other, os.O_WRONLY | os.O_CREAT) == ours  # whoever comes next gets its number
        collect(1)
        watch.deliver()
    os.close(ours)

    assert generations(file.read_text()) == [0, 1]
    assert other.read_text() == ""


def test_an_object_with_write_gets_text() -> None:
    stream = io.StringIO()
    with pacer.trace(stream):
        collect(0, 1)
    assert generations(stream.getvalue()) == [0, 1]


def test_none_is_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    with pacer.trace():
        collect(0)
    assert generations(capfd.readouterr().err) == [0]


def test_a_pipe_that_nobody_empties_blocks_nobody_and_gets_the_rest_later() -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    with pacer.trace(writing):
        for _ in range(200):
            gc.collect(0)
        watch.deliver()
        gc.collect(1)
        watch.deliver()  # would hang here
        os.set_blocking(reading, False)
        text = b""
        while text.count(b"\ngc ") < 201:
            text += os.read(reading, 65536)
            tracing._traces[0]._send(b"", 0)
    os.close(reading)
    os.close(writing)

    assert generations(text.decode()) == [0] * 200 + [1]


@pytest.mark.parametrize("hundreds", [25, 60])  # more than is kept, and more than that again
def test_a_pipe_that_is_full_for_long_loses_lines_and_says_how_many(hundreds: int) -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    with pacer.trace(writing):
        for _ in range(hundreds):
            for _ in range(100):
                gc.collect(0)
            watch.deliver()
        os.set_blocking(reading, False)
        text = b""
        gc.collect(1)
        watch.deliver()
        while b" gen1 " not in text:
            text += os.read(reading, 65536)
            tracing._traces[0]._send(b"", 0)
    os.close(reading)
    os.close(writing)

    written = record.parse(text.decode()).collections
    (lost,) = [int(line.split()[2]) for line in text.decode().splitlines() if line.startswith("# lost")]
    assert len(written) + lost == 100 * hundreds + 1
    assert written[-1].number == 100 * hundreds + 1


@pytest.mark.parametrize("end", ["nobody reads", "closed", "closed and taken", "raises"])
def test_an_end_that_fails_is_one_warning_and_a_reader_that_left_none(
    end: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    class Failing:
        def write(self, text: str) -> None:
            raise ValueError(f"no room for {len(text)} characters")

    reading, writing = os.pipe()
    taken = -1
    with pacer.trace(Failing() if end == "raises" else writing):
        if end == "nobody reads":
            os.close(reading)
        elif end.startswith("closed"):
            os.close(writing)
        if end == "closed and taken":
            taken = os.open(tmp_path / "other", os.O_WRONLY | os.O_CREAT)
            assert taken == writing
        for _ in range(3):
            collect(0)
            watch.deliver()
    for fd in {reading, writing, taken} - {-1}:
        if Path(f"/proc/self/fd/{fd}").exists():
            os.close(fd)

    warnings = capsys.readouterr().err.splitlines()
    assert [line.partition(": ")[0] for line in warnings] == ([] if end == "nobody reads" else ["lowtide"])
    assert all(line.startswith("lowtide: the gctrace cannot be written: ") for line in warnings)
    if end == "closed and taken":
        assert (tmp_path / "other").read_bytes() == b""


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_is_full_for_a_while_leaves_no_line_in_pieces(tmp_path: Path) -> None:
    file = tmp_path / "gc.log"
    with pacer.trace(file):
        with no_file_larger_than(1000):
            for _ in range(3):
                collect(*[0] * 10)
                watch.deliver()
        assert file.stat().st_size == 1000
    assert generations(file.read_text()) == [0] * 30


def test_a_trace_that_a_finalizer_closes_in_the_middle_of_a_line_stays_closed(tmp_path: Path) -> None:
    before = open_descriptors()
    trace = pacer.trace(tmp_path / "gc.log")
    collect(0)
    sink = trace._sink
    sink.close()
    assert sink.send(b"gc\n", 0) == 3
    trace.close()
    assert open_descriptors() == before


def open_descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def test_a_trace_that_cannot_begin_keeps_no_descriptor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise RuntimeError

    (tmp_path / "cut").write_text("gc 1 @")
    before = open_descriptors()
    with no_file_larger_than(6), pytest.raises(OSError, match="File too large"):
        pacer.trace(tmp_path / "cut")
    monkeypatch.setattr(watch, "subscribe", refuse)  # as in a sub-interpreter
    with pytest.raises(RuntimeError):
        pacer.trace(tmp_path / "whole")
    assert open_descriptors() == before


def test_a_finalizer_that_runs_in_the_middle_of_a_line_breaks_no_line(tmp_path: Path) -> None:
    file = tmp_path / "gc.log"
    before = gc.get_threshold()

    class Delivers:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            watch.deliver()

    with pacer.trace(file, "json"):
        gc.set_threshold(3, 2, 1000)
        gc.enable()
        for _ in range(200):
            Delivers()
            watch.deliver()
        gc.disable()
        gc.set_threshold(*before)

    numbers = [c.number for c in record.parse(file.read_text()).collections]
    assert numbers == list(range(1, len(numbers) + 1))


def test_children_write_files_of_their_own(tmp_path: Path) -> None:
    file = tmp_path / "gc.log"
    with pacer.trace(file):
        collect(0)
        pid = os.fork()
        if pid == 0:
            collect(1)
            watch.deliver()
            os._exit(0)
        os.waitpid(pid, 0)
        collect(2)

    assert generations(file.read_text()) == [0, 2]
    child = record.parse((tmp_path / f"gc.log.{pid}").read_text())
    assert [(c.number, c.generation) for c in child.collections] == [(1, 1)]
    assert child.header.pid == pid


def test_a_child_that_does_not_collect_leaves_no_file(tmp_path: Path) -> None:
    with pacer.trace(tmp_path / "gc.log"):
        pid = os.fork()
        if pid == 0:
            watch.deliver()
            os._exit(0)
        os.waitpid(pid, 0)
    assert [path.name for path in tmp_path.iterdir()] == ["gc.log"]


def test_who_shares_a_place_names_itself_after_a_fork() -> None:
    reading, writing = os.pipe()
    with pacer.trace(writing):
        collect(0)
        pid = os.fork()
        if pid == 0:
            collect(1)
            watch.deliver()
            os._exit(0)
        os.waitpid(pid, 0)
        collect(2)
    os.close(writing)
    text = os.read(reading, 65536).decode()
    os.close(reading)

    assert [line for line in text.splitlines() if line.startswith("# pid")] == [f"# pid {pid}", f"# pid {os.getpid()}"]
    assert generations(text) == [1]  # the last that began


# LOWTIDE_GCTRACE


@pytest.mark.parametrize("text", ["1", "stderr"])
def test_the_variable_may_ask_for_stderr(text: str, capfd: pytest.CaptureFixture[str]) -> None:
    trace = tracing.start_from_text(text)
    assert trace is not None
    collect(0)
    trace.close()
    assert generations(capfd.readouterr().err) == [0]


@pytest.mark.parametrize(("prefix", "first"), [("", "#"), ("json:", "{")])
def test_the_variable_may_name_a_file(prefix: str, first: str, tmp_path: Path) -> None:
    trace = tracing.start_from_text(f"{prefix}{tmp_path}/gc.log")
    assert trace is not None
    collect(1)
    trace.close()
    text = (tmp_path / "gc.log").read_text()
    assert text.startswith(first)
    assert generations(text) == [1]


def test_the_variable_may_say_no() -> None:
    assert tracing.start_from_text("0") is tracing.start_from_text("off") is None


@pytest.mark.parametrize("text", ["", " ", "2", "true", "json:", "json:7"])
def test_what_the_variable_cannot_mean_is_told(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        tracing.start_from_text(text)
    assert str(caught.value) == f"expected 1 (stderr), a file or json:FILE, got {text!r}"


# Bad input


def test_what_takes_no_lines_is_refused_at_once() -> None:
    with pytest.raises(SettingsError, match="target must be None, a file, a descriptor or an object with write, got "):
        pacer.trace(object())  # type: ignore[arg-type] # wrong on purpose


def test_another_format_is_told() -> None:
    with pytest.raises(SettingsError) as caught:
        pacer.trace(None, "xml")  # type: ignore[arg-type] # wrong on purpose
    assert str(caught.value) == "format must be 'raw' or 'json', got 'xml'"


def test_a_file_that_cannot_be_opened_starts_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        pacer.trace(tmp_path / "nowhere" / "gc.log")
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match="No such device"):  # and no waiting for a reader
        pacer.trace(tmp_path / "fifo")
    assert not core.gc_is_watched()


def test_a_closed_descriptor_is_told() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    os.close(writing)
    with pytest.raises(OSError, match="Bad file descriptor"):
        Descriptor(writing)
