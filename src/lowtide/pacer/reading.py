"""What the policy is told and what it answers: the records between it and the controller."""

from enum import Enum
from typing import NamedTuple

Triple = tuple[int, int, int]


class Moment(Enum):
    """Where the program is when the policy is asked."""

    IN_REQUEST = "in a request"  # the thread that asks executes one
    BUSY = "busy"  # it does not, but requests are in flight
    SAFE = "safe point"  # a request or step has just ended, and none is in flight
    IDLE = "idle"  # the program waits, for `idle_seconds` more as far as can be told
    FORK = "before a fork"  # what is in memory now, the child will share


class Memory(NamedTuple):
    """A reading of memory, at most ten a second.

    Args:
        rss_bytes: resident memory of this process.
        working_set_bytes: what the kernel cannot take back for nothing, of the cgroup, or of the process without one.
        limit_bytes: the soft limit that holds for `working_set_bytes`; 0 without one.
        retained_bytes: free memory that the C library keeps; what an earlier trim has given back is not in it.
        is_leader: whether this worker holds its cgroup's lease, and may act for the limit.
        stall_share: share of the last second in which some task waited for memory; 0.0 where the kernel does not say.
    """

    rss_bytes: int
    working_set_bytes: int
    limit_bytes: int
    retained_bytes: int
    is_leader: bool = True
    stall_share: float = 0.0


class Reading(NamedTuple):
    """All that the policy may know at one moment.

    Args:
        now_seconds: monotonic clock.
        moment: where the program is.
        idle_seconds: how long it is predicted to wait from now; 0 unless IDLE.
        counts: the collector's counts.
        thresholds: its thresholds in force; the policy's last ones, or somebody has changed them.
        is_enabled: gc.isenabled().
        frozen: objects set aside by gc.freeze().
        blocks: live blocks of pymalloc.
        requests_ended: since the pacer started.
        memory: a new reading, or None when it is not time for one.
    """

    now_seconds: float
    moment: Moment
    idle_seconds: float
    counts: Triple
    thresholds: Triple
    is_enabled: bool
    frozen: int
    blocks: int
    requests_ended: int
    memory: Memory | None = None


class Act(Enum):
    """What the controller is to do now; one thing a decision."""

    NOTHING = "nothing"
    YOUNG = "collect generation 0"
    MIDDLE = "collect generation 1"
    FULL = "collect everything"
    FREEZE = "collect everything, then freeze"
    AUDIT = "unfreeze, then collect everything"
    PRESSURE = "call the pressure callbacks"
    TRIM = "give free memory back to the system"
    RELEASE = "give the thresholds back to CPython and stop acting"


class Decision(NamedTuple):
    """The policy's answer.

    Args:
        act: what to do now.
        cause: of the collection, as record.CAUSES names it; "" without one.
        predicted_ns: the pause that is expected; 0 without a collection.
        goal_blocks: live blocks at which the next full collection is due; 0 while unknown.
        thresholds: what is to be in force afterwards.
        reason: one clause for a person, for `status()` and the log; "" for NOTHING, save once where there is something
            to say.
    """

    act: Act
    cause: str
    predicted_ns: int
    goal_blocks: int
    thresholds: Triple
    reason: str = ""


class PolicyStatus(NamedTuple):
    """What the policy holds to be true.

    Args:
        is_acting: False once it has given the thresholds back.
        reason: what it last had to say.
        thresholds: those that it holds to be in force.
        live_blocks, goal_blocks: after the last full collection, and at which the next one is due; 0 while unknown.
        full_pause_ns: predicted for the next full collection.
        bucket_ns: the pacer's own time that has not drained yet.
        throttled: how often the bucket was full when something was due.
        outside_changes: of thresholds and of freezing, by others.
        own_ns, stock_ns: time in collections since the comparison began, at most ten minutes ago, and what CPython's
            own rules would have taken.
        is_tight: whether the memory limit is near.
        unreclaimable_bytes: in use when nothing helped against the limit any more; 0 unless given up.
    """

    is_acting: bool
    reason: str
    thresholds: Triple
    live_blocks: int
    goal_blocks: int
    full_pause_ns: int
    bucket_ns: int
    throttled: int
    outside_changes: int
    own_ns: int
    stock_ns: int
    is_tight: bool
    unreclaimable_bytes: int
