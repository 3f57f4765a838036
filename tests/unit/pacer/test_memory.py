"""What the policy is told of memory, on frozen machines; what the C library keeps, on this one."""

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowtide.errors import SettingsError
from lowtide.pacer.lease import _enter
from lowtide.pacer.memory import Limit, MemoryReader, parse_limit
from lowtide.pacer.reading import Memory
from tests.machines import CALM, MIB, container_v2, lay_out

PAGE = os.sysconf("SC_PAGE_SIZE")
RSS = 8 * 256 * PAGE  # what the frozen machines say
PRIVATE = 5 * 256 * PAGE

Watch = Callable[[Limit, dict[str, str]], MemoryReader]


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    (tmp_path / "turns").mkdir()

    def begin(limit: Limit, files: dict[str, str]) -> MemoryReader:
        return MemoryReader(limit, lay_out(tmp_path, files), str(tmp_path / "turns"))

    return begin


def read(reader: MemoryReader, now_seconds: float = 100.0) -> Memory:
    memory = reader.read(now_seconds)
    assert memory is not None
    return memory


# Settings


@pytest.mark.parametrize(
    ("value", "limit"),
    [
        ("900MiB", 900 * MIB),
        (" 1.5 GiB ", 3 * 2**29),
        ("4096", 4096),
        (4096, 4096),
        ("90%", "90%"),
        (" 62.50 % ", "62.5%"),
        ("100%", "100%"),
        ("auto", "auto"),
        ("AUTO", "auto"),
        ("off", None),
        (" Off ", None),
        (None, None),
    ],
)
def test_a_limit_is_read(value: Limit, limit: Limit) -> None:
    assert parse_limit(value) == limit


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("", "expected a memory limit such as 900MiB, 90%, auto or off, got ''"),
        ("lots", "expected a memory limit such as 900MiB, 90%, auto or off, got 'lots'"),
        ("9e9", "expected a memory limit such as 900MiB, 90%, auto or off, got '9e9'"),
        ("-5MiB", "expected a memory limit such as 900MiB, 90%, auto or off, got '-5MiB'"),
        ("٩٠%", "expected a memory limit such as 900MiB, 90%, auto or off, got '٩٠%'"),
        ("0%", "memory_limit must be above 0% and at most 100%, got '0%'"),
        ("101%", "memory_limit must be above 0% and at most 100%, got '101%'"),
        ("0", "memory_limit must be >= 1 byte, or off, got 0"),
        (0, "memory_limit must be >= 1 byte, or off, got 0"),
        (-1, "memory_limit must be >= 1 byte, or off, got -1"),
    ],
)
def test_a_wrong_limit_is_named(value: Limit, complaint: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_limit(value)
    assert str(caught.value) == complaint


@pytest.mark.parametrize("value", [1.5e9, float("nan"), b"1MiB", []])
def test_a_limit_that_is_no_whole_number_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        parse_limit(value)


@given(st.text(max_size=20))
def test_any_text_is_a_limit_or_a_clear_error(text: str) -> None:
    with suppress(SettingsError):
        limit = parse_limit(text)
        assert parse_limit(limit) == limit


# The limit that holds


@pytest.mark.parametrize(
    ("limit", "bytes_allowed"),
    [
        ("auto", 90 * MIB),
        ("50%", 50 * MIB),
        ("80MiB", 80 * MIB),
        ("900MiB", 100 * MIB),  # the container would be killed first
        (None, 0),
    ],
)
def test_in_a_container_the_limit_counts_what_the_container_uses(
    limit: Limit, bytes_allowed: int, watch: Watch
) -> None:
    memory = read(watch(limit, container_v2(60 * MIB, 100 * MIB, inactive_file=20 * MIB)))

    assert (memory.limit_bytes, memory.working_set_bytes) == (bytes_allowed, 40 * MIB)


@pytest.mark.parametrize(("limit", "bytes_allowed"), [("auto", 0), ("50%", 0), ("80MiB", 80 * MIB), (None, 0)])
@pytest.mark.parametrize("files", [container_v2(limit="max"), {}], ids=["unlimited", "no cgroup"])
def test_without_a_containers_limit_a_size_counts_what_this_process_holds(
    limit: Limit, bytes_allowed: int, files: dict[str, str], watch: Watch
) -> None:
    memory = read(watch(limit, files))

    assert (memory.limit_bytes, memory.working_set_bytes, memory.rss_bytes) == (bytes_allowed, RSS, RSS)


def test_the_limit_stays_below_memory_high(watch: Watch) -> None:
    assert read(watch("auto", container_v2(limit=100 * MIB, high=80 * MIB))).limit_bytes == 72 * MIB


def test_a_container_that_is_resized_is_seen_within_half_a_minute(watch: Watch, tmp_path: Path) -> None:
    reader = watch("auto", container_v2(limit=100 * MIB))
    before = read(reader, 100.0)
    (tmp_path / "sys/fs/cgroup/memory.max").write_text(f"{200 * MIB}\n")

    assert (before.limit_bytes, read(reader, 130.0).limit_bytes) == (90 * MIB, 180 * MIB)


def test_a_limit_may_be_set_while_it_is_watched(watch: Watch) -> None:
    reader = watch("auto", container_v2())
    read(reader, 100.0)
    reader.set_limit("50MiB")

    assert read(reader, 100.2).limit_bytes == 50 * MIB
    with pytest.raises(SettingsError):
        reader.set_limit("none")
    assert reader.limit == 50 * MIB


def test_a_cgroup_that_cannot_be_read_any_more_leaves_no_limit(watch: Watch, tmp_path: Path) -> None:
    reader = watch("auto", container_v2())
    read(reader, 100.0)
    (tmp_path / "sys/fs/cgroup/memory.current").unlink()
    memory = read(reader, 101.0)

    assert (memory.limit_bytes, memory.working_set_bytes) == (0, RSS)


@pytest.mark.parametrize(
    ("limit", "files", "source"),
    [
        ("auto", container_v2(), "0.9 of the limit 100 MiB of {root}/sys/fs/cgroup"),
        ("auto", container_v2(high=80 * MIB), "0.9 of the memory.high 80 MiB of {root}/sys/fs/cgroup"),
        (50 * MIB, container_v2(), "within the limit 100 MiB of {root}/sys/fs/cgroup"),
        ("auto", container_v2(limit="max"), "cgroup / has no memory limit"),
        (50 * MIB, container_v2(limit="max"), "for this process; cgroup / has no memory limit"),
        (None, container_v2(), "off"),
    ],
)
def test_where_the_limit_comes_from_is_told(
    limit: Limit, files: dict[str, str], source: str, watch: Watch, tmp_path: Path
) -> None:
    assert watch(limit, files).limit_source == source.format(root=tmp_path)


# When it is read


def test_memory_is_read_at_most_ten_times_a_second(watch: Watch) -> None:
    reader = watch("auto", container_v2())

    taken = [reader.read(100 + step / 100) is not None for step in range(100)]

    assert 9 <= sum(taken) <= 10


def test_a_clock_that_jumps_back_stops_nothing(watch: Watch) -> None:
    reader = watch("auto", container_v2())
    read(reader, 1e6)

    assert read(reader, 5.0).limit_bytes == 90 * MIB
    assert reader.read(5.05) is None


# Whose turn it is


def other_worker(reader: MemoryReader, private_bytes: int, now_seconds: float) -> None:
    """Let another process that lives on ask to act in the same cgroup."""
    file = reader.lease._open("limit")
    assert file is not None
    _enter(file, private_bytes, os.getppid(), now_seconds)
    os.close(file)


def test_near_the_limit_only_the_largest_worker_leads(watch: Watch) -> None:
    reader = watch("auto", container_v2(85 * MIB, 100 * MIB))
    other_worker(reader, PRIVATE + 1, 100.0)

    assert not read(reader, 100.1).is_leader
    assert read(reader, 106.0).is_leader


def test_what_a_full_collection_has_left_makes_no_worker_the_largest(watch: Watch) -> None:
    reader = watch("auto", container_v2(85 * MIB, 100 * MIB))
    assert read(reader, 100.0).is_leader
    reader.collected()
    read(reader, 100.2)  # from here on its growth counts: none
    other_worker(reader, 1, 100.3)

    assert not read(reader, 100.4).is_leader


@pytest.mark.parametrize(
    ("limit", "files"),
    [
        ("auto", container_v2(50 * MIB, 100 * MIB)),  # there is room
        (None, container_v2(85 * MIB, 100 * MIB)),
        (MIB, {}),  # a limit of its own
    ],
)
def test_a_worker_leads_where_nothing_is_to_be_shared(limit: Limit, files: dict[str, str], watch: Watch) -> None:
    reader = watch(limit, files)
    other_worker(reader, PRIVATE + 1, 100.0)

    assert read(reader, 100.1).is_leader


# Waiting for memory


def waiting(total_us: int) -> str:
    return CALM.replace("total=0", f"total={total_us}", 1)


def test_the_share_of_time_spent_waiting_is_that_of_the_last_second(watch: Watch, tmp_path: Path) -> None:
    reader = watch("auto", container_v2() | {"sys/fs/cgroup/memory.pressure": waiting(50_000_000)})
    pressure = tmp_path / "sys/fs/cgroup/memory.pressure"
    shares = [read(reader, 100.0).stall_share]
    pressure.write_text(waiting(50_250_000))
    shares += [read(reader, 100.5).stall_share, read(reader, 101.0).stall_share, read(reader, 101.5).stall_share]
    shares += [read(reader, 102.0).stall_share]

    assert shares == [0, 0, 0.25, 0.25, 0]


def test_what_the_rest_of_the_system_waits_is_not_ours(watch: Watch, tmp_path: Path) -> None:
    reader = watch("auto", container_v2() | {"sys/fs/cgroup/memory.pressure": ""})
    read(reader, 100.0)
    (tmp_path / "proc/pressure/memory").write_text(waiting(900_000))

    assert read(reader, 101.0).stall_share == 0


@pytest.mark.parametrize("text", ["", "nonsense"])
def test_where_waiting_is_not_told_the_share_is_zero(text: str, watch: Watch) -> None:
    files = container_v2() | {"sys/fs/cgroup/memory.pressure": text, "proc/pressure/memory": text}
    reader = watch("auto", files)

    assert [read(reader, now).stall_share for now in (1.0, 3.0, 5.0)] == [0, 0, 0]


# What cannot be given back


def test_page_cache_can_be_taken_back(watch: Watch) -> None:
    reader = watch("auto", container_v2(60 * MIB, 100 * MIB, inactive_file=10 * MIB, active_file=15 * MIB))

    assert reader.unreclaimable_bytes() == 35 * MIB


def test_of_a_process_what_it_shares_can_be_taken_back(watch: Watch) -> None:
    assert watch(MIB, {}).unreclaimable_bytes() == PRIVATE


# The C library

# The clock leaps: a question that was slow, on a busy machine, is asked again only much later.
BURST = """
import json, os, random
from lowtide.pacer.memory import MemoryReader

reader = MemoryReader(None)
first = reader.read(0.0)
blocks = [os.urandom(random.randint(2_000, 60_000)) for _ in range(3_000)]
kept = blocks[::100]
del blocks
held = reader.read(1e5)
seen_in_request = reader.read(2e5, in_request=True)
freed = reader.trim()
after = reader.read(3e5)
again = [bytes(30_000) for _ in range(1_000)]
del again
later = reader.read(4e5)
print(json.dumps([first, held, seen_in_request, freed, after, later, reader.trim()]))
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="needs glibc 2.33")
def test_what_glibc_keeps_is_told_given_back_and_not_told_again() -> None:
    done = subprocess.run([sys.executable, "-c", BURST], capture_output=True, text=True, check=True)
    records = json.loads(done.stdout)
    first, held, in_request, after, later = (Memory(*records[at]) for at in (0, 1, 2, 4, 5))
    freed_bytes = records[3]

    assert held.retained_bytes > first.retained_bytes + 40 * MIB
    assert in_request.retained_bytes == held.retained_bytes
    assert freed_bytes > 0.7 * held.retained_bytes
    assert held.rss_bytes - after.rss_bytes > 0.7 * held.retained_bytes
    assert after.retained_bytes < 0.3 * held.retained_bytes
    assert later.retained_bytes > after.retained_bytes + 10 * MIB


def test_with_another_c_library_nothing_is_kept_and_nothing_given_back(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda _name: object())
    reader = watch("auto", container_v2())

    assert read(reader).retained_bytes == 0
    assert reader.trim() == 0
