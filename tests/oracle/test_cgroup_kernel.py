"""What we say of cgroups against what the kernel does: real ones of version 1, below the one that the tests run in."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lowtide._cgroup import find_cgroup
from tests.machines import MIB

pytestmark = [pytest.mark.kernel, pytest.mark.oracle]

ENTER = """
import json, os, sys
from pathlib import Path
folder = Path(sys.argv[1])
(folder / "cgroup.procs").write_text(str(os.getpid()))
from lowtide._cgroup import find_cgroup
from lowtide.pacer.memory import MemoryReader

def tell(*what):
    print(json.dumps(what), flush=True)
"""


class Group:
    """A cgroup of version 1 with the memory controller."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "memory.limit_in_bytes").write_text(str(limit_bytes))

    def run(self, program: str, *arguments: object, within: tuple[str, ...] = ()) -> list[Any]:
        """Run a program in the cgroup; return what it tells."""
        done = self.start(program, *arguments, within=within)
        output, errors = done.communicate(timeout=60)
        assert done.returncode == 0, errors
        told: list[Any] = json.loads(output)
        return told

    def start(self, program: str, *arguments: object, within: tuple[str, ...] = ()) -> "subprocess.Popen[str]":
        command = [*within, sys.executable, "-c", ENTER + program, str(self.folder), *map(str, arguments)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def remove(self) -> None:
        for pid in (self.folder / "cgroup.procs").read_text().split():
            os.kill(int(pid), signal.SIGKILL)
        for _ in range(100):  # who was killed leaves a moment later
            try:
                self.folder.rmdir()
            except OSError:
                time.sleep(0.02)
            else:
                return


@pytest.fixture
def group() -> Iterator[Group]:
    """Make a cgroup with a limit of 64 MiB."""
    here = find_cgroup()
    if here.version != 1:
        pytest.skip("needs the memory controller of cgroup version 1")
    folder = Path(here.levels[0].folder) / f"lowtide-test-{os.getpid()}"
    try:
        made = Group(folder, 64 * MIB)
    except OSError as error:
        pytest.skip(f"cgroups cannot be made here: {error}")
    yield made
    made.remove()


def test_the_limit_of_the_kernel_is_found(group: Group) -> None:
    version, path, limit_bytes, reason = group.run(
        "found = find_cgroup(); tell(found.version, found.path, found.memory().limit_bytes, found.reason)"
    )

    assert (version, limit_bytes, reason) == (1, 64 * MIB, "")
    assert str(group.folder).endswith(path)


def test_a_limit_above_holds_and_counts_what_siblings_use(group: Group) -> None:
    mine, sibling = Group(group.folder / "mine", 128 * MIB), Group(group.folder / "sibling", 128 * MIB)
    try:
        held = sibling.start("held = bytearray(b'x') * (32 << 20); tell(1); import time; time.sleep(60)")
        assert held.stdout is not None
        held.stdout.readline()
        folder, limit_bytes, used_bytes = mine.run(
            "found = find_cgroup(); memory = found.memory();"
            "tell(found.tightest.folder, memory.limit_bytes, memory.working_set_bytes)"
        )
        held.kill()
        held.communicate()
    finally:
        mine.remove()
        sibling.remove()

    assert (folder, limit_bytes) == (str(group.folder), 64 * MIB)
    assert used_bytes > 33 * MIB


RESIZE = """
reader = MemoryReader("auto")
before = reader.read(0.0).limit_bytes
(folder / "memory.limit_in_bytes").write_text(str(100 << 20))
tell(before, reader.read(29.0).limit_bytes, reader.read(30.0).limit_bytes)
"""


def test_a_container_that_is_resized_while_it_runs_is_followed(group: Group) -> None:
    assert group.run(RESIZE) == [int(0.9 * 64 * MIB), int(0.9 * 64 * MIB), 90 * MIB]


FILE_AND_HEAP = """
import time

def settled():
    time.sleep(2.5)  # the kernel gathers its statistics every two seconds
    return find_cgroup().memory()

start = settled()
with open(sys.argv[2], "wb") as file:
    file.write(os.urandom(1 << 20) * 24)
    file.flush()
    os.fsync(file.fileno())
cached = settled()
held = bytearray(b"x") * (24 << 20)
full = settled()
tell(*([memory.usage_bytes, memory.working_set_bytes] for memory in (start, cached, full)))
"""


def test_what_a_program_holds_is_in_its_working_set_and_what_the_kernel_caches_is_not(
    group: Group, tmp_path: Path
) -> None:
    start, cached, full = group.run(FILE_AND_HEAP, tmp_path / "file")

    assert cached[0] - start[0] > 22 * MIB
    assert cached[1] - start[1] < 4 * MIB
    assert full[1] - cached[1] > 22 * MIB


def test_a_process_that_its_limit_has_killed_is_counted(group: Group) -> None:
    (group.folder / "memory.swappiness").write_text("0")
    [before] = group.run("tell(find_cgroup().oom_kills())")
    killed = group.start("held = bytearray(b'x') * (200 << 20); tell(1)")
    killed.communicate(timeout=60)
    [after] = group.run("tell(find_cgroup().oom_kills())")

    assert killed.returncode == -signal.SIGKILL
    assert (before, after) == (0, 1)


NAMESPACE = """
import subprocess
child = '''
import subprocess, sys, json
if sys.argv[1] == "mount":
    subprocess.run(["mount", "-t", "cgroup", "-o", "memory", "none", sys.argv[2]], check=True)
from lowtide._cgroup import find_cgroup
found = find_cgroup()
print(json.dumps([found.path, [level.limit_bytes for level in found.levels], found.reason]))
'''
command = ["unshare", "--cgroup", "--mount", sys.executable, "-c", child, *sys.argv[2:]]
print(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
"""


def test_in_a_namespace_of_its_own_a_container_sees_its_limit_at_the_root(group: Group, tmp_path: Path) -> None:
    assert group.run(NAMESPACE, "mount", tmp_path) == ["/", [64 * MIB], ""]


def test_a_mount_from_outside_the_namespace_is_no_error(group: Group, tmp_path: Path) -> None:
    path, limits, reason = group.run(NAMESPACE, "stay", tmp_path)

    assert (path, limits) == ("/", [0])  # the root of the hierarchy, which has no limit
    assert reason == "cgroup / has no memory limit"
