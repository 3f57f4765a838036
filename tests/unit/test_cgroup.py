"""Which limit holds for a process, on frozen trees of every kind of cgroup."""

from pathlib import Path

import pytest

from lowtide._cgroup import find_cgroup
from tests.machines import (
    CALM,
    MIB,
    UNLIMITED_V1,
    V1_MEMBERSHIP,
    V1_MOUNTS,
    V2_MOUNT,
    container_v2,
    lay_out,
    level_v1,
    level_v2,
    stat_v2,
)

MEMORY = "sys/fs/cgroup/memory"


# Version 2


def test_a_container_sees_its_own_limit_at_the_root(tmp_path: Path) -> None:
    cgroup = find_cgroup(lay_out(tmp_path, container_v2(60 * MIB, 100 * MIB, inactive_file=25 * MIB, active_file=5)))
    memory = cgroup.memory()

    assert (cgroup.version, cgroup.path, cgroup.reason) == (2, "/", "")
    assert memory == (100 * MIB, 60 * MIB, 25 * MIB, 5)
    assert memory.working_set_bytes == 35 * MIB
    assert cgroup.oom_kills() == 1


def service(tmp_path: Path, *levels: dict[str, str]) -> str:
    files = {"proc/self/cgroup": "0::/app.slice/web.service\n", "proc/self/mountinfo": V2_MOUNT}
    for level in levels:
        files |= level
    return lay_out(tmp_path, files)


SLICE, SERVICE = "sys/fs/cgroup/app.slice", "sys/fs/cgroup/app.slice/web.service"


def test_the_least_limit_up_to_the_root_holds(tmp_path: Path) -> None:
    root = service(tmp_path, level_v2(SLICE, 70 * MIB, 100 * MIB), level_v2(SERVICE, 50 * MIB, 200 * MIB))
    cgroup = find_cgroup(root)
    memory = cgroup.memory()

    assert cgroup.tightest is not None
    assert cgroup.tightest.folder == f"{root}/{SLICE}"
    assert memory is not None
    assert (memory.limit_bytes, memory.usage_bytes) == (100 * MIB, 70 * MIB)


def test_an_ancestor_that_others_have_filled_matters_more_than_a_lower_limit(tmp_path: Path) -> None:
    root = service(tmp_path, level_v2(SLICE, 290 * MIB, 300 * MIB), level_v2(SERVICE, 50 * MIB, 200 * MIB))
    memory = find_cgroup(root).memory()

    assert memory is not None
    assert (memory.limit_bytes, memory.usage_bytes) == (300 * MIB, 290 * MIB)


def test_a_service_is_slowed_down_at_memory_high_before_it_is_killed(tmp_path: Path) -> None:
    root = service(tmp_path, level_v2(SERVICE, 50 * MIB, 200 * MIB, high=150 * MIB))
    level = find_cgroup(root).tightest

    assert level is not None
    assert (level.max_bytes, level.high_bytes, level.limit_bytes) == (200 * MIB, 150 * MIB, 150 * MIB)


def test_a_leaf_without_the_memory_controller_counts_in_its_parent(tmp_path: Path) -> None:
    root = service(tmp_path, level_v2(SLICE, 70 * MIB, 100 * MIB), {f"{SERVICE}/cgroup.procs": "1\n"})
    memory = find_cgroup(root).memory()

    assert memory is not None
    assert memory.usage_bytes == 70 * MIB


def test_a_cgroup_without_limits_says_so_and_what_it_uses(tmp_path: Path) -> None:
    cgroup = find_cgroup(service(tmp_path, level_v2(SLICE, 70 * MIB), level_v2(SERVICE, 50 * MIB)))
    memory = cgroup.memory()

    assert cgroup.reason == "cgroup /app.slice/web.service has no memory limit"
    assert memory is not None
    assert (memory.limit_bytes, memory.usage_bytes) == (0, 50 * MIB)


# Namespaces, mounts of a part, and names


def nested(tmp_path: Path, path: str, *mounts: tuple[str, str]) -> str:
    """Lay out a limited cgroup at every mount point, each showing the cgroup it is given with."""
    lines = "".join(f"{at} 1 0:28 {root} {point} rw - cgroup2 none rw\n" for at, (root, point) in enumerate(mounts))
    files = {"proc/self/cgroup": f"0::{path}\n", "proc/self/mountinfo": lines}
    for at, (_, point) in enumerate(mounts, 1):
        files |= level_v2(point.lstrip("/"), MIB, at * 10 * MIB)
    return lay_out(tmp_path, files)


def test_a_mount_of_only_the_own_part_of_the_tree_is_read(tmp_path: Path) -> None:
    cgroup = find_cgroup(nested(tmp_path, "/docker/4f5e", ("/docker/4f5e", "/sys/fs/cgroup")))

    assert [level.limit_bytes for level in cgroup.levels] == [10 * MIB]


def test_of_two_mounts_the_one_that_shows_more_ancestors_is_read(tmp_path: Path) -> None:
    root = nested(tmp_path, "/a/b", ("/a/b", "/part"), ("/a", "/whole"))
    lay_out(tmp_path, level_v2("whole/b", MIB, 5 * MIB))

    assert [level.limit_bytes for level in find_cgroup(root).levels] == [5 * MIB, 20 * MIB]


def test_a_mount_that_shows_another_part_is_left_alone(tmp_path: Path) -> None:
    cgroup = find_cgroup(nested(tmp_path, "/docker/4f5e", ("/docker/4f", "/sys/fs/cgroup")))

    assert cgroup.memory() is None
    assert cgroup.reason == "the files of cgroup /docker/4f5e are not mounted here"


def test_a_mount_from_outside_the_namespace_shows_an_ancestor(tmp_path: Path) -> None:
    cgroup = find_cgroup(nested(tmp_path, "/", ("/../..", "/sys/fs/cgroup")))

    assert [level.limit_bytes for level in cgroup.levels] == [10 * MIB]


def test_a_mount_made_within_the_namespace_says_more_than_one_from_outside(tmp_path: Path) -> None:
    cgroup = find_cgroup(nested(tmp_path, "/", ("/../..", "/sys/fs/cgroup"), ("/", "/mnt")))

    assert [level.limit_bytes for level in cgroup.levels] == [20 * MIB]


@pytest.mark.parametrize("path", ["/../..", "/../../other"])
def test_what_is_not_below_a_mount_is_not_looked_for_above_it(path: str, tmp_path: Path) -> None:
    root = nested(tmp_path, path, ("/..", "/sys/fs/cgroup"))
    lay_out(tmp_path, level_v2("sys/fs", MIB, MIB) | level_v2("sys/fs/other", MIB, MIB))

    assert find_cgroup(root).reason == f"the files of cgroup {path} are not mounted here"


def test_a_process_moved_out_of_its_namespace_is_found_from_an_outer_mount_only(tmp_path: Path) -> None:
    inner = find_cgroup(nested(tmp_path / "inner", "/../other", ("/", "/sys/fs/cgroup")))
    root = nested(tmp_path / "outer", "/../other", ("/..", "/sys/fs/cgroup"))
    lay_out(tmp_path / "outer", level_v2("sys/fs/cgroup/other", MIB, 7 * MIB))

    assert inner.reason == "the files of cgroup /../other are not mounted here"
    assert [level.limit_bytes for level in find_cgroup(root).levels] == [7 * MIB, 10 * MIB]


@pytest.mark.parametrize(
    "name", ["a:b:c", "with blank", "tab\there", "back\\slash", "back\\040slash", "ünï\x85", "x,memory"]
)
def test_a_cgroup_may_be_named_anything(name: str, tmp_path: Path) -> None:
    escaped = name.replace("\\", "\\134").replace(" ", "\\040").replace("\t", "\\011")
    lines = f"31 23 0:28 /{escaped} /mnt/{escaped} rw - cgroup2 none rw\n"
    files = {"proc/self/cgroup": f"1:name=systemd:/\n0::/{name}/leaf\n", "proc/self/mountinfo": lines}

    cgroup = find_cgroup(lay_out(tmp_path, files | level_v2(f"mnt/{name}/leaf", MIB, 9 * MIB)))

    assert [level.limit_bytes for level in cgroup.levels] == [9 * MIB]


# Version 1, and both


def hybrid(tmp_path: Path, path: str, *levels: dict[str, str]) -> str:
    files = {"proc/self/cgroup": V1_MEMBERSHIP.format(path), "proc/self/mountinfo": V1_MOUNTS}
    for level in levels:
        files |= level
    return lay_out(tmp_path, files)


def test_where_both_versions_are_mounted_the_one_with_the_memory_controller_counts(tmp_path: Path) -> None:
    root = hybrid(
        tmp_path,
        "/web",
        level_v1(f"{MEMORY}/web", 60 * MIB, 100 * MIB, inactive_file=15 * MIB),
        level_v1(MEMORY, 900 * MIB),
        {"sys/fs/cgroup/unified/web/memory.pressure": CALM, "sys/fs/cgroup/unified/web/cgroup.events": "populated 1\n"},
    )
    cgroup = find_cgroup(root)
    memory = cgroup.memory()

    assert (cgroup.version, cgroup.reason) == (1, "")
    assert memory is not None
    assert (memory.limit_bytes, memory.working_set_bytes) == (100 * MIB, 45 * MIB)
    assert cgroup.pressure_file == f"{root}/sys/fs/cgroup/unified/web/memory.pressure"
    assert cgroup.oom_kills() == 4


def test_no_limit_of_version_one_is_a_number_that_depends_on_the_page(tmp_path: Path) -> None:
    pages_of_64_kib = 9223372036854710272
    root = hybrid(tmp_path, "/web", level_v1(f"{MEMORY}/web", MIB, pages_of_64_kib, pages_of_64_kib))

    assert find_cgroup(root).reason == "cgroup /web has no memory limit"


def test_a_limit_of_an_ancestor_that_is_not_visible_is_inherited(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": V1_MEMBERSHIP.format("/pod/web"),
        "proc/self/mountinfo": V1_MOUNTS.replace("/ /sys/fs/cgroup/memory", "/pod/web /sys/fs/cgroup/memory"),
    }
    cgroup = find_cgroup(lay_out(tmp_path, files | level_v1(MEMORY, MIB, UNLIMITED_V1, inherited=50 * MIB)))

    assert [level.limit_bytes for level in cgroup.levels] == [50 * MIB]


# Where little can be read


def test_without_proc_there_is_no_limit_and_a_reason(tmp_path: Path) -> None:
    cgroup = find_cgroup(str(tmp_path))

    assert (cgroup.memory(), cgroup.pressure(), cgroup.oom_kills()) == (None, None, 0)
    assert cgroup.reason == f"{tmp_path}/proc/self/cgroup cannot be read (No such file or directory)"


@pytest.mark.parametrize(
    ("membership", "mounts", "reason"),
    [
        ("", "", "the kernel has no memory cgroups"),
        ("1:name=systemd:/\n", V1_MOUNTS, "the kernel has no memory cgroups"),
        ("0::/\n", "", "the files of cgroup / are not mounted here"),
        ("0::/gone (deleted)\n", V2_MOUNT, "the files of cgroup /gone (deleted) are not mounted here"),
        ("what is this\n", V2_MOUNT, "/proc/self/cgroup or mountinfo is not as proc(5) has it"),
        ("0::/\n", "31 - cgroup2 none rw\n", "/proc/self/cgroup or mountinfo is not as proc(5) has it"),
    ],
)
def test_what_cannot_be_found_is_told(membership: str, mounts: str, reason: str, tmp_path: Path) -> None:
    root = lay_out(tmp_path, {"proc/self/cgroup": membership, "proc/self/mountinfo": mounts})

    assert find_cgroup(root).reason == reason


def test_files_that_cannot_be_read_mean_no_limit(tmp_path: Path) -> None:
    root = lay_out(tmp_path, {"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": V2_MOUNT})
    for name in ("memory.max", "memory.current", "memory.stat"):
        (tmp_path / "sys/fs/cgroup" / name).mkdir(parents=True)  # not even root can read it

    cgroup = find_cgroup(root)

    assert cgroup.memory() is None
    assert cgroup.reason == "the files of cgroup / cannot be read, or it does not control memory"


@pytest.mark.parametrize("limit", ["", "lots", "-5", "1e9", "9" * 5000])
def test_a_limit_that_is_no_number_is_none(limit: str, tmp_path: Path) -> None:
    assert find_cgroup(lay_out(tmp_path, container_v2(limit=limit))).reason == "cgroup / has no memory limit"


def test_a_cgroup_that_has_gone_since_reads_as_nothing(tmp_path: Path) -> None:
    cgroup = find_cgroup(lay_out(tmp_path, container_v2()))
    (tmp_path / "sys/fs/cgroup/memory.current").unlink()

    assert cgroup.memory() is None


def test_statistics_without_a_field_count_it_as_zero(tmp_path: Path) -> None:
    files = container_v2() | {"sys/fs/cgroup/memory.stat": "total_inactive_file 7\nworkingset_inactive_file 8\n"}
    memory = find_cgroup(lay_out(tmp_path, files)).memory()

    assert memory is not None
    assert memory.inactive_file_bytes == 0


# Pressure

WAITING = "some avg10=12.50 avg60=3.00 avg300=1.00 total=2500000\nfull avg10=4.25 avg60=1.0 avg300=0.1 total=1250000\n"


def test_the_cgroups_own_pressure_is_told(tmp_path: Path) -> None:
    files = container_v2() | {"sys/fs/cgroup/memory.pressure": WAITING}

    assert find_cgroup(lay_out(tmp_path, files)).pressure() == (12.5, 2.5, 4.25, 1.25)


def test_without_its_own_the_systems_pressure_is_told(tmp_path: Path) -> None:
    files = container_v2() | {"sys/fs/cgroup/memory.pressure": "", "proc/pressure/memory": WAITING}

    cgroup = find_cgroup(lay_out(tmp_path, files))

    assert cgroup.pressure() == (12.5, 2.5, 4.25, 1.25)
    assert not cgroup.has_own_pressure


def test_the_pressure_of_the_hierarchys_root_is_the_systems(tmp_path: Path) -> None:
    root = hybrid(tmp_path, "/", level_v1(MEMORY, MIB), {"sys/fs/cgroup/unified/memory.pressure": WAITING})

    assert not find_cgroup(root).has_own_pressure


@pytest.mark.parametrize("text", ["", WAITING.replace("12.50", "1.2.3"), WAITING.replace("2500000", "9" * 5000)])
def test_a_kernel_that_does_not_tell_pressure_is_no_error(text: str, tmp_path: Path) -> None:
    files = container_v2() | {"sys/fs/cgroup/memory.pressure": text, "proc/pressure/memory": text}

    assert find_cgroup(lay_out(tmp_path, files)).pressure() is None


def test_a_service_reads_its_own_statistics_not_its_parents(tmp_path: Path) -> None:
    level = level_v2(SERVICE, 50 * MIB, 200 * MIB, stat=stat_v2(20 * MIB))
    memory = find_cgroup(service(tmp_path, level_v2(SLICE, 70 * MIB, stat=stat_v2(60 * MIB)), level)).memory()

    assert memory is not None
    assert memory.working_set_bytes == 30 * MIB
