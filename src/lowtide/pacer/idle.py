"""An event loop that waits: the moments when nothing is ready, and for how long they are likely to last.

A loop of the standard library asks its selector for events with the time until its next timer. In between is put: a
question whether anything is ready now, and if not the listener is told. It then goes back to the loop, because what
the listener did may have scheduled something (finalizers do), and comes here again with the wait going on.

uvloop has no selector. There a timer looks whether anything was served since it last looked: weaker, for work that
is no request is seen only if it makes the timer late.

Nothing is told where no loop runs: a process that neither allocates nor serves does nothing.
"""

from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from contextvars import Context
from time import monotonic
from typing import Any
from weakref import ReferenceType, WeakKeyDictionary, ref

from lowtide.pacer import boundaries
from lowtide.pacer.reading import Moment

HEARTBEAT_SECONDS = 1.0  # a wait is interrupted this often even if nothing is wanted
FIRST_PAUSE_SECONDS = 0.01  # until a wait that goes on is reported again; then it doubles
CHECK_SECONDS = 0.05  # between two looks at a loop without a selector, while something is wanted
LATE_SECONDS = 0.002  # a timer that is later than this had something before it
INSTANT_SECONDS = 50e-6  # a selector that returns sooner had something ready
LONG_SECONDS = 0.1  # a pause is small beside what a request has waited then, should a thread execute it after all
KEPT = 64  # waits, to learn from

wanted = False  # set while a longer pause is due: only then a loop is asked twice a turn

# A plain set of references: unlike a WeakSet it can be copied while another thread adds to it.
_hooks: "set[ReferenceType[_SelectorHook | _TimerHook]]" = set()
_timers: "WeakKeyDictionary[Any, _TimerHook]" = WeakKeyDictionary()


def adopt_running_loop() -> None:
    """Tell of the idle moments of the event loop that executes the caller, if one does.

    *Threads:* each adopts its own. *Cost:* a fraction of a microsecond for a loop that is adopted. A loop is not kept
    alive by it.
    """
    loop = boundaries.running_loop()
    if loop is None:
        return
    selector = getattr(loop, "_selector", None)
    if callable(getattr(selector, "select", None)):
        hook = getattr(selector, "lowtide_idle", None)
        with suppress(AttributeError, TypeError):  # one that takes no attributes is left alone
            (hook or _SelectorHook(selector)).install()
    else:
        timer = _timers.get(loop)
        if timer is None:
            timer = _timers[loop] = _TimerHook(loop)
        timer.install()


def release_all() -> None:
    """Leave all event loops as they were found."""
    for reference in tuple(_hooks):
        hook = reference()
        if hook is not None:
            hook.release()


def predict(gaps: Iterable[float], waited: float) -> float:
    """Predict how long a wait goes on, seconds, so that nine in ten last longer.

    Args:
        gaps: recent waits, seconds.
        waited: how long this one has lasted.

    *Source:* with too few gaps as long as this one their lengths are taken for Pareto distributed with exponent 1
    (Gott, "Implications of the Copernican principle", 1993): of those that reach w, nine in ten reach 10/9 w.
    """
    longer = sorted(gap - waited for gap in gaps if gap > waited)
    if len(longer) >= 10:
        return longer[len(longer) // 10]
    return min([waited / 9, *longer])


def _tell(idle_seconds: float, waited: float) -> None:
    # What a request in flight awaits may be a thread that executes it: unseen from here, but for the time it takes.
    if waited >= LONG_SECONDS or not boundaries.in_flight():
        boundaries.tell(Moment.IDLE, idle_seconds)


class _SelectorHook:
    """What stands before a selector's `select`; the selector holds it, and it holds the selector weakly."""

    def __init__(self, selector: Any) -> None:
        self._selector = ref(selector)
        self._replaced: Callable[[float | None], list[Any]] | None = None  # another's, who did the same before
        self._select: Callable[[Any, float | None], list[Any]] = type(selector).select
        self._gaps: deque[float] = deque(maxlen=KEPT)
        self._since: float | None = None  # when the wait began that goes on; timers do not end it, only events do
        self._due = 0.0  # when it is reported next, at the latest
        self._is_new = True  # it has only begun, or a timer has run since
        self._is_released = True
        self._is_in_place = False

    def install(self) -> None:
        selector = self._selector()
        if self._is_released and selector is not None:
            self._is_released = False
            self._since = None
            _hooks.add(ref(self, _hooks.discard))
            if not self._is_in_place:
                self._replaced = vars(selector).get("select")
                selector.select = self.select
                selector.lowtide_idle = self
                self._is_in_place = True

    def release(self) -> None:
        selector = self._selector()
        self._is_released = True
        # Whoever wrapped it since calls it on: then it stays, and only passes on.
        if selector is not None and vars(selector).get("select") == self.select:
            self._is_in_place = False
            del selector.lowtide_idle
            if self._replaced is None:
                del selector.select
            else:
                selector.select = self._replaced

    def _ask(self, timeout: float | None) -> list[Any]:
        if self._replaced is not None:
            return self._replaced(timeout)
        return self._select(self._selector(), timeout)

    def select(self, timeout: float | None = None) -> list[Any]:
        if self._is_released or not boundaries.is_listening():
            self._since = None
            return self._ask(timeout)
        if timeout is not None and timeout <= 0:
            events = self._ask(timeout)
            if events:
                self._since = None
            return events
        now = monotonic()
        if self._since is None:
            self._since, self._due, self._is_new = now, now + HEARTBEAT_SECONDS, True
        due = self._due
        if wanted:
            due = now if self._is_new else min(due, now + max(FIRST_PAUSE_SECONDS, now - self._since))
        pause = max(0.0, due - now)
        is_last = timeout is not None and timeout <= pause
        events = self._ask(timeout if is_last else pause)
        after = monotonic()
        if events:
            if after - now >= INSTANT_SECONDS:  # else it has come earlier, nobody knows when
                self._gaps.append(after - self._since)
            self._since = None
        elif is_last:
            self._is_new = True
        else:
            self._is_new, self._due = False, after + HEARTBEAT_SECONDS
            waited = after - self._since
            left = float("inf") if timeout is None else timeout - (after - now)
            _tell(min(predict(self._gaps, waited), left), waited)
        return events


class _TimerHook:
    """A timer in a loop that has no selector; it holds the loop weakly."""

    def __init__(self, loop: Any) -> None:
        self._loop = ref(loop)
        self._is_running = False
        self._is_released = True
        self._quiet_since = 0.0
        self._ended = 0

    def install(self) -> None:
        self._is_released = False
        if not self._is_running:
            self._is_running = True
            self._quiet_since = monotonic()
            _hooks.add(ref(self, _hooks.discard))
            self._wait()

    def release(self) -> None:
        self._is_released = True  # the timer sees it when it runs next

    def _wait(self) -> None:
        loop = self._loop()
        self._is_running = loop is not None and not self._is_released
        if loop is not None and self._is_running:
            delay = CHECK_SECONDS if wanted else HEARTBEAT_SECONDS
            loop.call_later(delay, self._look, monotonic() + delay, context=Context())

    def _look(self, due: float) -> None:
        loop = self._loop()
        now = monotonic()
        ended = boundaries.ended()
        if now - due > LATE_SECONDS or ended != self._ended or boundaries.in_flight():
            self._quiet_since = now
            self._ended = ended
            self._wait()
        elif loop is not None:
            loop.call_soon(self._look_behind_what_is_ready, now, context=Context())

    def _look_behind_what_is_ready(self, asked: float) -> None:
        now = monotonic()
        if now - asked > LATE_SECONDS:
            self._quiet_since = now
        elif not self._is_released:
            _tell(predict((), now - self._quiet_since), 0.0)
        self._wait()
