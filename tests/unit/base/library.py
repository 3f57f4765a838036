"""csrc/base as a shared library, and tables of it to play with: what tests of the plain C use from Python."""

import ctypes
import functools
import os
import shlex
import subprocess
import sysconfig
import tempfile
from collections import Counter
from collections.abc import Sequence
from ctypes import POINTER, Structure, byref, c_bool, c_double, c_int, c_int32, c_int64, c_size_t, c_uint32, c_uint64
from ctypes import c_void_p as pointer
from pathlib import Path

from tests.models.heap_tables import DOMAINS, Frame, Key

ROOT = Path(__file__).resolve().parents[3]
NONE = 2**32 - 1

# UBSAN traps by itself; ASAN needs its runtime in the process from the start, which test_sanitized.py sees to.
ASAN = "LOWTIDE_TEST_ASAN"
FLAGS = ["-std=c11", "-g", "-O1", "-fPIC", "-shared", "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"]


class Text(Structure):
    """lt_text: not terminated, so read and passed by address."""

    _fields_ = [("data", pointer), ("bytes", c_size_t)]

    def value(self) -> bytes:
        return ctypes.string_at(self.data, self.bytes) if self.bytes else b""


class CFrame(Structure):
    _fields_ = [("name", Text), ("file", Text), ("first_line", c_int32), ("line", c_int32)]


class CBucket(Structure):
    _fields_ = [
        *[(name, c_uint64) for name in ("size", "interval", "allocs", "live")],
        *[(name, c_uint32) for name in ("stack", "generation", "domain")],
    ]


class State(Structure):
    _fields_ = [
        (name, c_uint64)
        for name in (
            *("interval", "generation", "samples", "stale", "lost"),
            *("thinned", "committed", "copied", "max_bytes", "live_count"),
        )
    ]


class CHeader(Structure):
    _fields_ = [
        ("roots", POINTER(Text)),
        ("root_count", c_size_t),
        ("script", Text),
        ("comments", POINTER(Text)),
        ("comment_count", c_size_t),
        ("time_ns", c_int64),
    ]


SIGNATURES = {
    "shim_new": (pointer, [c_size_t, c_uint64, c_uint64]),
    "shim_delete": (None, [pointer]),
    "shim_intern": (c_uint32, [pointer, POINTER(CFrame), c_uint32]),
    "shim_frames": (c_uint32, [pointer, c_uint32, POINTER(CFrame)]),
    "shim_live": (c_uint32, [pointer, POINTER(pointer), POINTER(c_uint32), c_uint32]),
    "shim_buckets": (c_uint32, [pointer, POINTER(CBucket), c_uint32]),
    "shim_read": (None, [pointer, POINTER(State)]),
    "shim_set_interval": (None, [pointer, c_uint64]),
    "shim_maybe_live": (c_bool, [pointer, pointer]),
    "lt_record_locked": (c_bool, [pointer, pointer, c_size_t, c_uint64, c_int, c_uint32]),
    "lt_remove_locked": (c_uint32, [pointer, pointer]),
    "lt_restore_locked": (None, [pointer, pointer, c_uint32]),
    "lt_thin_locked": (c_bool, [pointer]),
    "lt_tables_set_budget_locked": (c_bool, [pointer, c_size_t]),
    "lt_tables_after_fork_locked": (None, [pointer, c_uint64]),
    "lt_snapshot_begin": (pointer, [pointer]),
    "lt_snapshot_end": (None, [pointer, pointer]),
    "lt_pprof_write": (c_int, [pointer, pointer, POINTER(CHeader), c_int]),
    "lt_module_name": (c_size_t, [POINTER(CHeader), Text, pointer, c_size_t]),
    "lt_sampler_probability": (c_double, [c_uint64, c_uint64]),
}


@functools.cache
def load() -> ctypes.CDLL:
    """Compile csrc/base and the shim once a process."""
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[0]
    sources = [Path(__file__).with_name("shim.c"), *sorted((ROOT / "csrc" / "base").glob("*.c"))]
    asan = ["-fsanitize=address"] if ASAN in os.environ else []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "base.so"
        subprocess.run([compiler, *FLAGS, *asan, "-o", path, "-I", ROOT / "csrc", *sources, "-lm"], check=True)
        library = ctypes.CDLL(str(path))
    for name, (result, arguments) in SIGNATURES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def texts(values: Sequence[bytes]) -> tuple["ctypes.Array[Text]", list[object]]:
    """Return an array of texts, and what must live as long as it."""
    buffers = [ctypes.create_string_buffer(value, len(value) + 1) for value in values]
    array = (Text * (len(values) + 1))()
    for text, buffer, value in zip(array, buffers, values, strict=False):
        text.data, text.bytes = ctypes.addressof(buffer), len(value)
    return array, [*buffers]


class Header:
    """lt_pprof_header, with what it points to."""

    def __init__(
        self, roots: Sequence[str] = (), script: str = "", comments: Sequence[str] = (), time_nanos: int = 0
    ) -> None:
        self._texts = [texts([value.encode() for value in values]) for values in (roots, [script], comments)]
        (c_roots, _), (c_script, _), (c_comments, _) = self._texts
        self.c = CHeader(c_roots, len(roots), c_script[0], c_comments, len(comments), time_nanos)


def module_name(file: str, header: Header) -> bytes:
    array, _alive = texts([file.encode()])
    room = ctypes.create_string_buffer(512)
    length = load().lt_module_name(byref(header.c), array[0], room, 512)
    return room.raw[:length]


class Tables:
    """A C `lt_tables`; blocks are addresses, buckets show as the model's keys."""

    def __init__(self, max_bytes: int = 2 * 2**20, interval: int = 1, seed: int = 0) -> None:
        self._c = load()
        self._tables = self._c.shim_new(max_bytes, interval, seed)
        assert self._tables

    def close(self) -> None:
        self._c.shim_delete(self._tables)

    def state(self) -> State:
        state = State()
        self._c.shim_read(self._tables, byref(state))
        return state

    def intern(self, stack: Sequence[Frame]) -> int:
        array, _alive = texts([value.encode() for frame in stack for value in (frame.name, frame.file)])
        frames = (CFrame * (len(stack) + 1))()
        for index, frame in enumerate(stack):
            frames[index] = CFrame(array[2 * index], array[2 * index + 1], frame.first_line, frame.line)
        return int(self._c.shim_intern(self._tables, frames, len(stack)))

    def record(self, address: int, stack: Sequence[Frame], size: int, domain: str) -> bool:
        bucket = size, self.state().interval, DOMAINS.index(domain), self.intern(stack)
        return bool(self._c.lt_record_locked(self._tables, address, *bucket))

    def remove(self, address: int) -> int:
        """Return the id of the bucket, or NONE."""
        return int(self._c.lt_remove_locked(self._tables, address))

    def restore(self, address: int, bucket: int) -> None:
        self._c.lt_restore_locked(self._tables, address, bucket)

    def maybe_live(self, address: int) -> bool:
        return bool(self._c.shim_maybe_live(self._tables, address))

    def thin(self) -> bool:
        return bool(self._c.lt_thin_locked(self._tables))

    def set_budget(self, max_bytes: int) -> bool:
        return bool(self._c.lt_tables_set_budget_locked(self._tables, max_bytes))

    def set_interval(self, interval: int) -> None:
        self._c.shim_set_interval(self._tables, interval)

    def fork(self) -> None:
        self._c.lt_tables_after_fork_locked(self._tables, 1)

    def begin_snapshot(self) -> int:
        snapshot = self._c.lt_snapshot_begin(self._tables)
        assert snapshot
        return int(snapshot)

    def end_snapshot(self, snapshot: int) -> None:
        self._c.lt_snapshot_end(self._tables, snapshot)

    def encode(self, snapshot: int, header: Header) -> bytes:
        with os.fdopen(os.memfd_create("profile"), "r+b") as file:
            error = self._c.lt_pprof_write(self._tables, snapshot, byref(header.c), file.fileno())
            assert error == 0, os.strerror(error)
            file.seek(0)
            return file.read()

    def keys(self) -> list[Key]:
        """Return what each bucket stands for, by id."""
        frames = (CFrame * 256)()
        keys = []
        for bucket in self._buckets():
            depth = self._c.shim_frames(self._tables, bucket.stack, frames)
            stack = tuple(
                Frame(frame.name.value().decode(), frame.file.value().decode(), frame.first_line, frame.line)
                for frame in frames[:depth]
            )
            keys.append(Key(stack, bucket.size, bucket.interval, DOMAINS[bucket.domain], bucket.generation))
        return keys

    def allocs(self) -> Counter[Key]:
        counts: Counter[Key] = Counter()
        for key, bucket in zip(self.keys(), self._buckets(), strict=True):
            assert key not in counts, "two buckets of one key"
            counts[key] = bucket.allocs
        return counts

    def live_counts(self) -> Counter[Key]:
        return Counter(dict(zip(self.keys(), (bucket.live for bucket in self._buckets()), strict=True)))

    def live(self) -> dict[int, Key]:
        room = self.state().live_count
        addresses, buckets = (pointer * (room + 1))(), (c_uint32 * (room + 1))()
        assert self._c.shim_live(self._tables, addresses, buckets, room) == room
        keys = self.keys()
        return {addresses[index]: keys[buckets[index]] for index in range(room)}

    def _buckets(self) -> list[CBucket]:
        count = self._c.shim_buckets(self._tables, None, 0)
        array = (CBucket * (count + 1))()
        self._c.shim_buckets(self._tables, array, count)
        return list(array[:count])
