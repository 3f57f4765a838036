"""Who a process is, and what it holds in memory."""

import os
from pathlib import Path

import pytest

from lowtide._proc import ProcessId, private_bytes, process_id, rss_bytes

STAT = "4242 (a) b) (c 1) S 1 4242 4242 0 -1 4194560 2 0 0 0 0 0 0 0 20 0 1 0 987654 2 1 0 0\n"


def test_the_start_time_stands_after_a_name_with_parentheses(tmp_path: Path) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "stat").write_text(STAT)

    assert process_id(str(tmp_path)) == ProcessId(os.getpid(), 987654)


def test_a_process_is_spelled_as_its_files_are() -> None:
    assert str(ProcessId(17, 4242)) == "17.4242"


@pytest.mark.parametrize("content", [None, "", "1 (x) S 1"])
def test_without_a_readable_proc_the_start_time_is_zero(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "self").mkdir()
        (tmp_path / "self" / "stat").write_text(content)

    assert process_id(str(tmp_path)) == ProcessId(os.getpid(), 0)


def test_resident_and_private_memory_are_told_apart(tmp_path: Path) -> None:
    page = os.sysconf("SC_PAGE_SIZE")
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "statm").write_text("25000 2000 700 900 0 9000 0\n")

    assert rss_bytes(str(tmp_path)) == 2000 * page
    assert private_bytes(str(tmp_path)) == 1300 * page


def test_memory_that_is_touched_becomes_resident() -> None:
    before = rss_bytes()
    held = bytearray(os.urandom(1)) * (64 * 2**20)

    assert rss_bytes() - before > 0.9 * len(held)


@pytest.mark.parametrize("content", [None, "", "1 two 3"])
def test_without_a_readable_proc_no_memory_is_told(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "self").mkdir()
        (tmp_path / "self" / "statm").write_text(content)

    assert (rss_bytes(str(tmp_path)), private_bytes(str(tmp_path))) == (0, 0)
