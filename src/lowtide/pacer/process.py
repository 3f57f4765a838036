"""The one pacer of this process: start and stop it, turn its knobs, ask what it does."""

import atexit
import gc
import os
import sys
from threading import RLock
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from lowtide._events import memory_pressure
from lowtide._proc import rss_bytes
from lowtide.errors import CoreUnavailableError, NotStartedError, SettingsError
from lowtide.pacer import boundaries, idle, watch
from lowtide.pacer.advice import Advice
from lowtide.pacer.memory import Limit, MemoryReader, parse_limit
from lowtide.pacer.messages import warn_once
from lowtide.pacer.reading import Moment, Triple
from lowtide.pacer.record import Collection
from lowtide.pacer.settings import Knob, Mode, Percent, check_mode, check_percent, read_limit, read_percent
from lowtide.units import format_bytes

if TYPE_CHECKING:
    from lowtide.pacer.controller import Controller


class Status(NamedTuple):
    """What the pacer does now.

    Args:
        mode: "act", "advise" or "off".
        thresholds: the collector's, in force.
        percent: growth of live blocks that makes a full collection due; None: what they yield decides.
        memory_limit: a size in bytes, "auto" or such as "90%"; None: off.
        memory_limit_source: what it is taken from, or why there is none; for a person.
        goal_blocks: live blocks at which the next full collection is due; 0 while unknown.
        frozen: objects that the pacer has set aside.
        collections: how many it has run, by cause.
        unreclaimable_bytes: in use when nothing helped against the memory limit any more; 0 unless it gave up on it.
        throttled: how often it put one off, because it had taken its share of the time.
        released: why it has handed the collector back to CPython; "" while it has not.
        advice: automatic full collections; what those in requests took, acting saves.
    """

    mode: str
    thresholds: Triple
    percent: Percent = None
    memory_limit: Limit = None
    memory_limit_source: str = ""
    goal_blocks: int = 0
    frozen: int = 0
    collections: dict[str, int] = {}  # noqa: RUF012 - an empty one is nobody's to change
    unreclaimable_bytes: int = 0
    throttled: int = 0
    released: str = ""
    advice: Advice = Advice()


class _Pacer:
    """What runs from start() to stop()."""

    def __init__(self, mode: Mode, percent: Percent, limit: Limit) -> None:
        self.mode = mode
        self.percent = percent
        self.memory = MemoryReader(limit)
        self.advice = Advice()
        self.controller: Controller | None = None

    def begin(self) -> None:
        try:
            watch.subscribe(self.hear)
        except RuntimeError as error:
            raise CoreUnavailableError(f"the pacer is not available: {error}") from None
        boundaries.watch()
        if self.mode == "act":
            from lowtide.pacer.controller import Controller, can_steer

            if not can_steer():
                self.mode = "advise"
                warn_once(f"the pacer only observes: it cannot steer the collector of CPython {sys.version.split()[0]}")
                return
            self.memory.read(monotonic())  # asks the C library what it keeps: that can be given back
            self.warn_if_over()
            self.controller = Controller(self.percent, self.memory)
            boundaries.listen(self.controller.ask)
            idle.adopt_running_loop()  # further ones as they are met

    def end(self) -> None:
        if self.controller is not None:
            boundaries.listen(None)
            idle.release_all()
            self.controller.stop()
        watch.unsubscribe(self.hear)  # not before: without the watch the watchdog gives everything back

    def hear(self, collections: list[Collection]) -> None:
        """Take note of what was collected, and use the moment."""
        for collection in collections:
            self.advice = self.advice.plus(collection)
        if self.controller is not None and self.controller.is_acting:
            idle.adopt_running_loop()
            self.controller.ask(Moment.IN_REQUEST if boundaries.in_request() else Moment.BUSY)

    def set_percent(self, percent: Percent) -> None:
        self.percent = percent
        if self.controller is not None:
            self.controller.policy.set_percent(percent)

    def set_limit(self, limit: Limit) -> None:
        self.memory.set_limit(limit)
        if self.controller is not None:
            self.warn_if_over()

    def warn_if_over(self) -> None:
        used_bytes, allowed_bytes = self.memory.in_use()
        if 0 < allowed_bytes < used_bytes:
            used, allowed = format_bytes(used_bytes), format_bytes(allowed_bytes)
            fixed = format_bytes(self.memory.unreclaimable_bytes())
            warn_once(f"memory_limit: {used} are in use already, {allowed} are allowed; {fixed} cannot be given back")

    def guard(self, on: bool) -> None:
        if self.controller is not None:
            self.controller.guard_requests(on)

    @property
    def is_at_work(self) -> bool:
        return self.controller is None or self.controller.is_acting

    def restart_in_child(self) -> None:
        self.memory = MemoryReader(self.memory.limit)
        self.advice = Advice()
        if self.controller is not None:
            self.controller.restart_in_child(self.percent, self.memory)


class _Process:
    """What this process has of it."""

    def __init__(self) -> None:
        self.pacer: _Pacer | None = None
        self.changing = RLock()  # held by whoever starts, stops or turns a knob
        self.is_registered = False


_process = _Process()


def start(
    mode: str = "act", percent: Percent = None, memory_limit: Limit = "auto", *, guard_requests: bool = False
) -> None:
    """Start the pacer; where it runs already, change what differs.

    A knob left at its default is what the environment says: LOWTIDE_GC_PERCENT, LOWTIDE_MEMORY_LIMIT.

    Args:
        mode: "act" takes automatic full collections over, at once; "advise" changes nothing, and `status().advice`
            tells what acting would have saved.
        percent: growth of live blocks since the last full collection that makes the next one due, 1 to 1,000,000; 100
            means doubled. None: it depends on what the last ones have found.
        memory_limit: soft limit of memory: a size in bytes, "900MiB", "90%" of what the container may use, "auto" (90%
            of it, none without a container's limit), or None for off.
        guard_requests: have a `gc.collect()` that some library calls in a request scan next to nothing.

    Raises: SettingsError for a value out of range; CoreUnavailableError where the native core is missing, and in a
        sub-interpreter.

    *Threads:* any; the pacer has none of its own. *Source:* GOGC and GOMEMLIMIT of Go.
    """
    checked_mode = check_mode(mode)
    percent = check_percent(percent) if percent is not None else _from_environment(read_percent(os.environ))
    limit = parse_limit(memory_limit) if memory_limit != "auto" else _from_environment(read_limit(os.environ))
    if guard_requests and checked_mode != "act":
        raise SettingsError("guard_requests needs mode 'act', got 'advise', which changes nothing")
    with _process.changing:
        pacer = _process.pacer
        if pacer is not None and pacer.mode == checked_mode and pacer.is_at_work:
            pacer.set_percent(percent)
            pacer.set_limit(limit)
        else:
            stop()
            pacer = _Pacer(checked_mode, percent, limit)
            try:
                pacer.begin()
            except BaseException:
                pacer.end()
                raise
            _process.pacer = pacer
            _end_with_the_process()
        pacer.guard(guard_requests)


def stop() -> None:
    """Give the collector back as it was found: its thresholds, and what the pacer froze.

    What others have changed meanwhile stays as they left it. Without a start it does nothing.
    """
    with _process.changing:
        pacer, _process.pacer = _process.pacer, None
        if pacer is not None:
            pacer.end()


def set_percent(percent: Percent) -> Percent:
    """Set by how much live blocks may grow before a full collection is due.

    Args:
        percent: 1 to 1,000,000, or None for what the last collections have found; a negative one changes nothing.

    Returns: the previous value.

    Raises: SettingsError; NotStartedError.

    *Source:* debug.SetGCPercent of Go.
    """
    with _process.changing:
        pacer = _running()
        previous = pacer.percent
        if not (isinstance(percent, int) and percent < 0):
            pacer.set_percent(check_percent(percent))
        return previous


def set_memory_limit(memory_limit: Limit) -> Limit:
    """Set the soft limit of memory.

    Args:
        memory_limit: as in `start`; a negative number changes nothing.

    Returns: the previous value, in its shortest form.

    Raises: SettingsError; NotStartedError.

    *Source:* debug.SetMemoryLimit of Go.
    """
    with _process.changing:
        pacer = _running()
        previous = pacer.memory.limit
        if not isinstance(memory_limit, int) or memory_limit >= 0:
            pacer.set_limit(parse_limit(memory_limit))
        return previous


def free_os_memory() -> int:
    """Collect everything, empty the pools, and give what is free then back to the system; started or not.

    Returns: bytes of resident memory given back, as far as others have not taken as much meanwhile.

    *Cost:* a full collection, and milliseconds for the C library; what is used again costs page faults.
    *Source:* debug.FreeOSMemory of Go.
    """
    before_bytes = rss_bytes()
    gc.collect()
    memory_pressure.publish()
    (_process.pacer.memory if _process.pacer is not None else MemoryReader(None)).trim()
    return max(0, before_bytes - rss_bytes())


def status() -> Status:
    """Tell what the pacer does now.

    *Threads:* any.
    """
    pacer, thresholds = _process.pacer, gc.get_threshold()
    if pacer is None:
        return Status("off", thresholds)
    found = Status(
        mode=pacer.mode,
        thresholds=thresholds,
        percent=pacer.percent,
        memory_limit=pacer.memory.limit,
        memory_limit_source=pacer.memory.limit_source,
        advice=pacer.advice,
    )
    controller = pacer.controller
    if controller is None:
        return found
    policy = controller.policy.status()
    return found._replace(
        goal_blocks=policy.goal_blocks,
        frozen=controller.frozen,
        collections=dict(controller.collections),
        unreclaimable_bytes=policy.unreclaimable_bytes,
        throttled=policy.throttled,
        released=controller.released,
    )


def _running() -> _Pacer:
    if _process.pacer is None:
        raise NotStartedError("the pacer was not started: call lowtide.pacer.start() first")
    return _process.pacer


def _from_environment(knob: Knob) -> Any:
    if knob.problem:
        warn_once(f"{knob.problem}; it is ignored")
    return knob.value


def _end_with_the_process() -> None:
    if not _process.is_registered:
        _process.is_registered = True
        atexit.register(stop)
        os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)


def _before_fork() -> None:
    if _process.pacer is not None and _process.pacer.controller is not None:
        _process.pacer.controller.ask(Moment.FORK)


def _after_fork_in_child() -> None:
    _process.changing = RLock()  # whoever held it is not here
    if _process.pacer is not None:
        _process.pacer.restart_in_child()
