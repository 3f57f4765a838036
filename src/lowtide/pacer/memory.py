"""Memory as the policy has to know it: what is resident, how much is allowed, what the C library keeps."""

import operator
import re

from lowtide._cgroup import CgroupMemory, find_cgroup
from lowtide._proc import private_bytes, rss_bytes
from lowtide.errors import SettingsError
from lowtide.pacer.glibc import Glibc
from lowtide.pacer.lease import Lease
from lowtide.pacer.reading import Memory
from lowtide.units import format_bytes, parse_bytes

READ_EVERY_SECONDS = 0.1
RESOLVE_EVERY_SECONDS = 30.0  # containers are resized while they run
STALL_EVERY_SECONDS = 1.0

# Above this share of the limit a worker asks for its turn: before the policy acts, and not while there is room.
NEAR = 0.7

# How much of the time may go into asking the C library what it keeps: with room, and near the limit.
ASKING_SHARE, NEAR_ASKING_SHARE = 1e-4, 1e-2


# A size in bytes; "auto" or such as "90%", of the container's limit; None for off.
Limit = int | str | None

AUTO_SHARE = 0.9

_PERCENT = re.compile(r"(\d{1,3}(?:\.\d{0,3})?)\s*%", re.ASCII)


def parse_limit(value: Limit) -> Limit:
    """Check a memory limit and put it into its shortest form.

    Args:
        value: `900MiB`, a number of bytes, `90%` of the container's limit, `auto` (90 %), `off` or None.

    Raises: SettingsError.
    """
    if value is None:
        return None
    if isinstance(value, str):
        text = value.strip()
        if text.lower() == "off":
            return None
        if text.lower() == "auto":
            return "auto"
        if percent := _PERCENT.fullmatch(text):
            if not 0 < float(percent[1]) <= 100:
                raise SettingsError(f"memory_limit must be above 0% and at most 100%, got {text!r}")
            return f"{float(percent[1]):g}%"
        try:
            value = parse_bytes(text)
        except SettingsError:
            expected = "a memory limit such as 900MiB, 90%, auto or off"
            raise SettingsError(f"expected {expected}, got {text[:40]!r}") from None
    try:
        value = operator.index(value)
    except TypeError:
        raise TypeError(f"memory_limit must be bytes, a text such as '900MiB', or off, got {value!r}") from None
    if value < 1:
        raise SettingsError(f"memory_limit must be >= 1 byte, or off, got {value}")
    return value


class MemoryReader:
    """Reads what the policy has to know of memory, at most ten times a second.

    A limit that is a size holds for the cgroup where that is limited too, and for this process where it is not.

    Args:
        limit: a size in bytes, `auto`, a share such as `90%`, or None for off; see `set_limit`.
        root: the folder that stands for `/` in front of /proc and the cgroup's files.
        lease_directory: see `Lease`.

    *Threads:* one at a time. A fork needs nothing done.
    """

    def __init__(self, limit: Limit, root: str = "", lease_directory: str | None = None) -> None:
        self.set_limit(limit)
        self.cgroup = find_cgroup(root)
        self.lease = Lease(self.cgroup.path, lease_directory)
        self._root = root
        self._lease_directory = lease_directory
        self._read_at = self._resolved_at = self._stall_read_at = float("-inf")
        self._stalled_seconds = self._stall_share = 0.0
        self._left_bytes: int | None = 0  # private memory after the last full collection; None until it is read
        self._library = Glibc(f"{root}/proc")

    def set_limit(self, limit: Limit) -> None:
        """Let another limit hold from the next reading on.

        Raises: SettingsError.
        """
        self.limit = parse_limit(limit)

    def read(self, now_seconds: float, in_request: bool = False) -> Memory | None:
        """Read memory, if it is time.

        Args:
            now_seconds: monotonic clock.
            in_request: leave out what may take milliseconds, and repeat what was found before.

        Returns: None where the last reading is younger than 0.1 s.
        *Cost:* about 15 µs; in a limited container 45 µs, and 25 µs more near the limit.
        """
        if 0 <= now_seconds - self._read_at < READ_EVERY_SECONDS:
            return None
        self._read_at = now_seconds
        if not 0 <= now_seconds - self._resolved_at < RESOLVE_EVERY_SECONDS:
            self._resolve(now_seconds)
        rss = rss_bytes(f"{self._root}/proc")
        container = self._container()
        working_set_bytes, limit_bytes = self._in_use(container, rss)
        is_near = 0 < NEAR * limit_bytes < working_set_bytes
        private = private_bytes(f"{self._root}/proc")
        if self._left_bytes is None:
            self._left_bytes = private
        could_give_bytes = max(0, private - self._left_bytes)
        if not in_request:
            self._library.ask(now_seconds, NEAR_ASKING_SHARE if is_near else ASKING_SHARE)
        return Memory(
            rss_bytes=rss,
            working_set_bytes=working_set_bytes,
            limit_bytes=limit_bytes,
            retained_bytes=min(self._library.retained_bytes, private),
            is_leader=not (is_near and container) or self.lease.ask(could_give_bytes, now_seconds),
            stall_share=self._read_stall_share(now_seconds),
        )

    def in_use(self) -> tuple[int, int]:
        """Return the bytes that count against the limit now, and the limit; 0 where there is none.

        *Threads:* any.
        """
        return self._in_use(self._container(), rss_bytes(f"{self._root}/proc"))

    def collected(self) -> None:
        """Take note of a full collection: what it has left makes nobody the one to act for the limit."""
        self._left_bytes = None

    def trim(self) -> int:
        """Give the free memory that the C library keeps back to the system.

        Returns: bytes that are resident no more; 0 where the C library cannot.
        *Threads:* the others go on, but wait where they allocate from the part that is just searched.
        *Cost:* milliseconds to tens of them; what is used again costs a page fault each 4 KiB.
        """
        return self._library.trim()

    def unreclaimable_bytes(self) -> int:
        """Return what, of the bytes that the limit counts, neither the kernel nor a trim can take back as things are.

        Cyclic garbage is in it: how much of that there is, only a collection can tell.
        """
        container = self._container()
        if container:
            in_use_bytes = container.working_set_bytes - container.active_file_bytes
        else:
            in_use_bytes = private_bytes(f"{self._root}/proc")
        return max(0, in_use_bytes - self._library.retained_bytes)

    @property
    def limit_source(self) -> str:
        """Where the limit comes from, or why there is none: a clause for a person."""
        level = self.cgroup.tightest
        if self.limit is None:
            return "off"
        if level is None:
            return self.cgroup.reason if isinstance(self.limit, str) else f"for this process; {self.cgroup.reason}"
        name = "memory.high" if level.limit_bytes == level.high_bytes else "limit"
        share = f"{_share(self.limit):.3g} of the" if isinstance(self.limit, str) else "within the"
        return f"{share} {name} {format_bytes(level.limit_bytes)} of {level.folder}"

    def _resolve(self, now_seconds: float) -> None:
        self._resolved_at = now_seconds
        self.cgroup = find_cgroup(self._root)
        if self.cgroup.path != self.lease.cgroup:
            self.lease = Lease(self.cgroup.path, self._lease_directory)

    def _container(self) -> CgroupMemory | None:
        """Read the cgroup where a limit holds for it."""
        return None if self.cgroup.reason else self.cgroup.memory()

    def _in_use(self, container: CgroupMemory | None, rss: int) -> tuple[int, int]:
        working_set_bytes = container.working_set_bytes if container else rss
        if isinstance(self.limit, str):
            return working_set_bytes, int(_share(self.limit) * container.limit_bytes) if container else 0
        size_bytes = self.limit or 0
        return working_set_bytes, min(size_bytes, container.limit_bytes) if container else size_bytes

    def _read_stall_share(self, now_seconds: float) -> float:
        seconds = now_seconds - self._stall_read_at
        if 0 <= seconds < STALL_EVERY_SECONDS:
            return self._stall_share
        # The system's pressure is mostly others'.
        pressure = self.cgroup.pressure() if self.cgroup.has_own_pressure else None
        total_seconds = pressure.some_total_seconds if pressure else 0.0
        stalled_seconds = total_seconds - self._stalled_seconds
        self._stall_share = min(1.0, max(0.0, stalled_seconds / seconds)) if seconds > 0 else 0.0
        self._stall_read_at, self._stalled_seconds = now_seconds, total_seconds
        return self._stall_share


def _share(limit: str) -> float:
    return AUTO_SHARE if limit == "auto" else float(limit.rstrip("%")) / 100
