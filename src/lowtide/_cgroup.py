"""The cgroup that this process runs in, as records: its memory limit, what it uses, how long it waits for memory.

A limit holds for a cgroup and all below it, so the one that matters may be an ancestor's. Swap never counts as room.
"""

import os
import re
from collections.abc import Iterator
from typing import NamedTuple

from lowtide._proc import read_small

# Version 1 writes "no limit" as the largest long, rounded down to a page; pages differ in size.
_UNLIMITED_BYTES = 1 << 62


class CgroupMemory(NamedTuple):
    """What a cgroup uses, against its limit.

    Args:
        limit_bytes: the lower of its limit and of `memory.high`, where it is slowed down; 0 without either.
        usage_bytes: all that is charged to it, the page cache included.
        inactive_file_bytes: page cache that the kernel takes back first.
        active_file_bytes: page cache that was used lately.
    """

    limit_bytes: int
    usage_bytes: int
    inactive_file_bytes: int
    active_file_bytes: int

    @property
    def working_set_bytes(self) -> int:
        """What the kernel cannot take back for nothing, as Kubernetes counts it."""
        return max(0, self.usage_bytes - self.inactive_file_bytes)


class Pressure(NamedTuple):
    """Time in which tasks could not go on for want of memory.

    Args:
        some_avg10_percent: share of the last ten seconds in which at least one task waited.
        some_total_seconds: the same since the cgroup, or the system, started.
        full_avg10_percent: share of the last ten seconds in which all tasks waited.
        full_total_seconds: the same since then.
    """

    some_avg10_percent: float
    some_total_seconds: float
    full_avg10_percent: float
    full_total_seconds: float


class Level(NamedTuple):
    """A cgroup on the way from the process's own to the root.

    Args:
        folder: where its files are.
        max_bytes: above it the kernel kills; 0 without.
        high_bytes: above it the kernel slows its tasks down; 0 without, and in version 1.
    """

    folder: str
    max_bytes: int
    high_bytes: int

    @property
    def limit_bytes(self) -> int:
        """The lower of both; 0 without either."""
        return min(filter(None, (self.max_bytes, self.high_bytes)), default=0)


class Cgroup(NamedTuple):
    """The cgroup of this process.

    Args:
        version: 1 or 2; 0 where none was found.
        path: its name, as `/proc/self/cgroup` spells it.
        levels: itself first, then its ancestors, as far as their use of memory can be read.
        pressure_file: what tells the time that it waits for memory: its own, or else the system's; "" without.
        reason: why no limit holds; "" where one does.
    """

    version: int
    path: str
    levels: tuple[Level, ...]
    pressure_file: str
    reason: str

    @property
    def has_own_pressure(self) -> bool:
        """Whether `pressure_file` tells of the cgroup, and not of the whole system."""
        return self.pressure_file.endswith("/memory.pressure")

    @property
    def tightest(self) -> Level | None:
        """The level with the lowest limit; None without a limit."""
        return min((level for level in self.levels if level.limit_bytes), key=lambda it: it.limit_bytes, default=None)

    def memory(self) -> CgroupMemory | None:
        """Read the level that has the least room left, or the process's own where none is limited.

        Returns: None where it cannot be read any more.
        *Cost:* about 20 µs a limited level. The limits are those of the time when the cgroup was found.
        """
        limited = [level for level in self.levels if level.limit_bytes]
        readings = [_use(self.version, level) for level in limited or self.levels[:1]]
        return min(
            (reading for reading in readings if reading is not None),
            key=lambda it: it.limit_bytes - it.working_set_bytes,
            default=None,
        )

    def oom_kills(self) -> int:
        """Return how many processes the kernel has killed here for want of memory; version 2 counts those below too."""
        events = "memory.events" if self.version == 2 else "memory.oom_control"
        return _number(_read(f"{self.levels[0].folder}/{events}"), b"oom_kill") if self.levels else 0

    def pressure(self) -> Pressure | None:
        """Return how long tasks have waited for memory; None where the kernel does not say.

        *Cost:* about 6 µs. *Source:* the kernel's accounting/psi.rst.
        """
        found = _PRESSURE.fullmatch(_read(self.pressure_file)) if self.pressure_file else None
        if found is None:
            return None
        some_percent, some_us, full_percent, full_us = map(float, found.groups())
        return Pressure(some_percent, some_us / 1e6, full_percent, full_us / 1e6)


_PRESSURE = re.compile(rb"some avg10=(\d+\.?\d*) .*total=(\d{1,20})\nfull avg10=(\d+\.?\d*) .*total=(\d{1,20})\s*")


def find_cgroup(root: str = "") -> Cgroup:
    """Find the cgroup that accounts for this process's memory, with its limits as they are now.

    Args:
        root: the folder that stands for `/`, to read another machine's files.

    *Cost:* some 100 µs, more where many file systems are mounted.
    *Source:* cgroups(7), proc(5) on mountinfo, the kernel's cgroup-v1/memory.rst and cgroup-v2.rst.
    """
    try:
        paths = _memberships(f"{root}/proc/self/cgroup")
        mounts = list(_mounts(f"{root}/proc/self/mountinfo"))
    except OSError as error:
        return Cgroup(0, "", (), _pressure_file(root, []), f"{error.filename} cannot be read ({error.strerror})")
    except ValueError:
        return Cgroup(0, "", (), _pressure_file(root, []), "/proc/self/cgroup or mountinfo is not as proc(5) has it")
    folders = {version: _folders(root, mounts, version, path) for version, path in paths.items()}
    pressure_file = _pressure_file(root, folders.get(2, []))
    # The memory controller belongs to one hierarchy only: where version 1 has it, version 2 has none.
    version = min(paths, default=0)
    if not version:
        return Cgroup(0, "", (), pressure_file, "the kernel has no memory cgroups")
    path = paths[version]
    levels = _levels(version, folders[version])
    if not folders[version]:
        reason = f"the files of cgroup {path} are not mounted here"
    elif not levels:
        reason = f"the files of cgroup {path} cannot be read, or it does not control memory"
    else:
        reason = "" if any(level.limit_bytes for level in levels) else f"cgroup {path} has no memory limit"
    return Cgroup(version, path, levels, pressure_file, reason)


def _memberships(file: str) -> dict[int, str]:
    """Read the process's cgroups by version: that of the memory controller in version 1, and the one of version 2."""
    found = {}
    for line in _lines(file):
        hierarchy, controllers, path = line.split(":", 2)  # a path may hold colons
        if "memory" in controllers.split(","):
            found[1] = path
        elif hierarchy == "0" and not controllers:
            found[2] = path
    return found


class _Mount(NamedTuple):
    version: int
    root: str  # the cgroup that is seen at `point`
    point: str


def _mounts(file: str) -> Iterator[_Mount]:
    for line in _lines(file):
        mount, _, filesystem = line.partition(" - ")
        kind, _, options = filesystem.partition(" ")
        if kind == "cgroup2" or (kind == "cgroup" and "memory" in re.split("[ ,]", options)):
            root, point = (_unescape(text) for text in mount.split(" ")[3:5])
            yield _Mount(2 if kind == "cgroup2" else 1, root, point)


def _folders(root: str, mounts: list[_Mount], version: int, path: str) -> list[str]:
    """List the folders of a cgroup and its ancestors, itself first, in the mount that shows most of them."""
    own: list[list[str]] = []
    outer: list[list[str]] = []
    for mount in mounts:
        folder = root + mount.point
        below = _below(path, mount.root)
        if mount.version != version:
            continue
        if below is not None and os.path.isdir(folder + below):
            names = below.split("/")[1:]
            own.append(["/".join((folder, *names[:n])) for n in range(len(names), -1, -1)])
        elif _is_ancestor(mount.root, path):
            outer.append([folder])  # its limit holds for us too; by what names we are reached from it cannot be known
    return max(own or outer, key=len, default=[])


# Cgroups outside the namespace have names that begin with as many `/..` as lead there from its root.


def _below(path: str, root: str) -> str | None:
    """Return what leads from the cgroup `root` to the cgroup `path`; None where it is not below."""
    if not f"{path}/".startswith(f"{root.rstrip('/')}/"):
        return None
    below = path[len(root.rstrip("/")) :].rstrip("/")
    return None if f"{below}/".startswith("/../") else below


def _is_ancestor(root: str, path: str) -> bool:
    """Tell whether `root` is further outside the namespace than `path`."""
    return set(root.split("/")) == {"", ".."} and root.count("/..") > path.split("/").count("..")


def _levels(version: int, folders: list[str]) -> tuple[Level, ...]:
    levels = []
    for folder in folders:
        if version == 2:
            level = Level(folder, _limit(f"{folder}/memory.max"), _limit(f"{folder}/memory.high"))
        else:
            level = Level(folder, _limit(f"{folder}/memory.limit_in_bytes"), 0)
        if _use(version, level) is not None:
            levels.append(level)
    if levels and version == 1:
        # The uppermost that can be seen may have ancestors that cannot; it knows their limits.
        inherited = _number(_read(f"{levels[-1].folder}/memory.stat"), b"hierarchical_memory_limit")
        if 0 < inherited < min(levels[-1].max_bytes or _UNLIMITED_BYTES, _UNLIMITED_BYTES):
            levels[-1] = levels[-1]._replace(max_bytes=inherited)
    return tuple(levels)


def _use(version: int, level: Level) -> CgroupMemory | None:
    name, prefix = ("memory.current", b"") if version == 2 else ("memory.usage_in_bytes", b"total_")
    usage_bytes = _whole(_read(f"{level.folder}/{name}"))
    if usage_bytes is None:
        return None
    stat = _read(f"{level.folder}/memory.stat")
    files = (_number(stat, prefix + field) for field in (b"inactive_file", b"active_file"))
    return CgroupMemory(level.limit_bytes, usage_bytes, *files)


def _limit(file: str) -> int:
    limit_bytes = _whole(_read(file)) or 0
    return limit_bytes if limit_bytes < _UNLIMITED_BYTES else 0


def _pressure_file(root: str, folders: list[str]) -> str:
    # The root of the hierarchy tells the system's; it is the one cgroup without events.
    own = [f"{folder}/memory.pressure" for folder in folders[:1] if os.path.exists(f"{folder}/cgroup.events")]
    candidates = [*own, f"{root}/proc/pressure/memory"]
    return next((file for file in candidates if _PRESSURE.fullmatch(_read(file))), "")


def _number(text: bytes, field: bytes) -> int:
    """Return the number beside a name in a file of `name number` lines; 0 without."""
    _, _, rest = (b"\n" + text).partition(b"\n" + field + b" ")
    return _whole(rest.partition(b"\n")[0]) or 0


def _whole(text: bytes) -> int | None:
    """Read a number of 64 bits; None where it is none."""
    digits = text.strip()
    return int(digits) if digits.isdigit() and len(digits) <= 20 else None


def _read(file: str) -> bytes:
    try:
        return read_small(file)
    except (OSError, ValueError):  # a name that holds a zero byte is a ValueError
        return b""


def _lines(file: str) -> list[str]:
    # A path is bytes, and must come back as the same ones.
    with open(file, "rb") as opened:
        return [line for line in os.fsdecode(opened.read()).split("\n") if line]


def _unescape(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
