"""Small machines as files of /proc and /sys: what kernels and container runtimes show, frozen."""

from collections.abc import Mapping
from pathlib import Path

MIB = 2**20
UNLIMITED_V1 = 9223372036854771712  # the largest long, rounded down to a page of 4 KiB

STATM = f"25000 {8 * 256} {3 * 256} 700 0 9000 0\n"  # 8 MiB resident, 3 MiB of it shared; in pages of 4 KiB
CALM = "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
V2_MOUNT = "31 23 0:28 / /sys/fs/cgroup ro,nosuid,nodev,noexec,relatime - cgroup2 cgroup rw,nsdelegate\n"
V1_MOUNTS = (
    "31 23 0:28 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755\n"
    "32 31 0:29 / /sys/fs/cgroup/unified rw,nosuid shared:10 - cgroup2 cgroup2 rw,nsdelegate\n"
    "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:11 - cgroup cgroup rw,cpu,cpuacct\n"
    "34 31 0:31 / /sys/fs/cgroup/memory rw,nosuid shared:12 - cgroup cgroup rw,memory\n"
)
V1_MEMBERSHIP = "11:cpu,cpuacct:/elsewhere\n10:memory:{0}\n1:name=systemd:{0}\n0::{0}\n"


def lay_out(folder: Path, files: Mapping[str, str]) -> str:
    """Write the files of a machine below a folder; return that folder, as what stands for `/`."""
    for name, content in {"proc/self/statm": STATM, "proc/pressure/memory": CALM, **files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return str(folder)


def stat_v2(inactive_file: int = 0, active_file: int = 0) -> str:
    return f"anon 4096\nfile {inactive_file + active_file}\ninactive_file {inactive_file}\nactive_file {active_file}\n"


def level_v2(
    folder: str, usage: int, limit: int | str = "max", high: int | str = "max", stat: str = stat_v2()
) -> dict[str, str]:
    """Return the memory files of a cgroup of version 2."""
    return {
        f"{folder}/memory.current": f"{usage}\n",
        f"{folder}/memory.max": f"{limit}\n",
        f"{folder}/memory.high": f"{high}\n",
        f"{folder}/memory.stat": stat,
        f"{folder}/memory.events": "low 0\nhigh 3\nmax 5\noom 2\noom_kill 1\noom_group_kill 0\n",
        f"{folder}/memory.pressure": CALM,
        f"{folder}/cgroup.events": "populated 1\nfrozen 0\n",
    }


def level_v1(
    folder: str, usage: int, limit: int = UNLIMITED_V1, inherited: int = UNLIMITED_V1, inactive_file: int = 0
) -> dict[str, str]:
    """Return the memory files of a cgroup of version 1; `inherited` is the least limit from here to the root."""
    return {
        f"{folder}/memory.usage_in_bytes": f"{usage}\n",
        f"{folder}/memory.limit_in_bytes": f"{limit}\n",
        f"{folder}/memory.stat": (
            f"cache 0\ninactive_file 1\nactive_file 1\nhierarchical_memory_limit {min(limit, inherited)}\n"
            f"total_cache 0\ntotal_inactive_file {inactive_file}\ntotal_active_file 0\n"
        ),
        f"{folder}/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n",
    }


def container_v2(usage: int = 60 * MIB, limit: int | str = 100 * MIB, **more: int | str) -> dict[str, str]:
    """Return a container with its own cgroup namespace: it sees itself as the root."""
    high, stat = more.get("high", "max"), stat_v2(int(more.get("inactive_file", 0)), int(more.get("active_file", 0)))
    return {
        "proc/self/cgroup": "0::/\n",
        "proc/self/mountinfo": V2_MOUNT,
        **level_v2("sys/fs/cgroup", usage, limit, high, stat),
    }
