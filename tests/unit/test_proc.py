"""Who a process is."""

import os
from pathlib import Path

import pytest

from lowtide._proc import ProcessId, process_id

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
