"""Carries out what the policy decides, one thing at a time, and gives the collector back as it was.

Whatever goes wrong in here is never the program's: it ends in CPython's own behaviour and one line on stderr.
"""

import gc
import sys
from _thread import allocate_lock, get_ident
from collections import Counter
from collections.abc import Callable
from time import monotonic, monotonic_ns, perf_counter

from lowtide import _core
from lowtide.pacer import boundaries, idle, watch
from lowtide.pacer.memory import MemoryReader
from lowtide.pacer.messages import warn, warn_once
from lowtide.pacer.policy import Policy
from lowtide.pacer.pressure import relieve
from lowtide.pacer.reading import Act, Decision, Moment, Reading, Triple
from lowtide.pacer.record import OWN_CAUSES, UNREAD

WATCHDOG_SECONDS = 120.0  # without being asked, then CPython's thresholds are in force again
RENEW_SECONDS = 1.0
BLOCKS_SECONDS = 0.1  # between two counts of live blocks: each walks all arenas
HAND_OVER_SECONDS = 1.0  # that stop() waits for a decision under way in another thread

# CPython 3.12 sets a few hundred immortal objects aside itself.
_IMMORTAL = 1_000 if sys.version_info[:2] == (3, 12) else 0

_GENERATION = {Act.YOUNG: 0, Act.MIDDLE: 1, Act.FULL: 2, Act.FREEZE: 2, Act.AUDIT: 2}


def can_steer() -> bool:
    """Tell whether the fields of the interpreter's collector are known; those of the incremental one are not."""
    return _core.gc_frozen() >= 0


class Controller:
    """Acts on the collector until it is stopped, or its policy lets go.

    Args:
        percent: growth of live blocks that makes a full collection due; None leaves it to the policy.
        memory: reads memory, and trims it.
        clock: seconds that should never go back.
    """

    def __init__(self, percent: int | None, memory: MemoryReader, clock: Callable[[], float] = monotonic) -> None:
        self.is_acting = True
        self.released = ""  # why it has let go by itself
        self.frozen = 0  # objects, by us
        self._clock = clock
        self._before: Triple = gc.get_threshold()
        self._own = self._before
        self._others_froze = _core.gc_frozen() > _IMMORTAL
        self._begin(percent, memory)

    def _begin(self, percent: int | None, memory: MemoryReader) -> None:
        self._turn = allocate_lock()
        self._turn.acquire()  # a tick may come in between
        self._actor = 0  # the thread that has the turn
        gc.set_threshold(*self._thresholds_back())
        self.policy = Policy(self._before, percent)
        self.memory = memory
        self.collections: Counter[str] = Counter()  # those asked for here, by cause
        self._requests_before = boundaries.ended()
        self._last = max((collection.number for collection in watch.records()), default=0)
        self._has_begun = False  # to collect everything
        self._blocks = 0
        self._blocks_read = float("-inf")
        self._renewed_ns = 0
        # What others had frozen appears after the first reading: so the policy sees that it is somebody else's.
        self._seen_frozen = 0 if self._others_froze else _core.gc_frozen()
        self._turn.release()
        self.ask(Moment.IN_REQUEST)  # for the thresholds: nothing that takes time is done in a request
        self._seen_frozen = _core.gc_frozen()

    def ask(self, moment: Moment, idle_seconds: float = 0.0) -> None:
        """Let the policy decide, and do it; nothing where a decision is being carried out already.

        *Threads:* any. *Cost:* about five microseconds while nothing is due.
        """
        turn = self._turn  # a finalizer may fork, and the child has another
        if not self.is_acting or not turn.acquire(blocking=False):
            return
        try:
            self._actor = get_ident()
            if self._is_watched():
                self._learn()
                self._decide(self._read(moment, idle_seconds))
        except Exception as error:  # noqa: BLE001 - the program is not to know
            self._let_go(f"an error of its own, {type(error).__name__}: {error}")
        finally:
            self._actor = 0
            turn.release()
            self._end_if_stopped()  # meanwhile: by a finalizer, or in another thread

    def stop(self) -> None:
        """Give the collector back: the thresholds, and what was frozen here."""
        self.is_acting = False
        if self._actor != get_ident() and self._turn.acquire(timeout=HAND_OVER_SECONDS):
            self._turn.release()
        self._hand_back()

    def guard_requests(self, on: bool) -> None:
        """Have explicit collections in requests scan next to nothing, or not."""
        _core.gc_set_guard(on and self.is_acting)

    def restart_in_child(self, percent: int | None, memory: MemoryReader) -> None:
        """Go on after a fork: what was learnt is the parent's, what it froze stays frozen."""
        if self.is_acting:
            self._begin(percent, memory)

    # What the policy is told

    def _learn(self) -> None:
        for collection in watch.records(self._last):
            self._last = collection.number
            if collection.cause in OWN_CAUSES:
                self.collections[collection.cause] += 1
            if collection.frozen != UNREAD:
                self._seen_frozen = collection.frozen
            if collection.generation == 2:
                self.memory.collected()
            self.policy.collected(collection)

    def _read(self, moment: Moment, idle_seconds: float) -> Reading:
        now = self._clock()
        counts, thresholds, _, _, is_enabled = _core.gc_state()
        if abs(now - self._blocks_read) >= BLOCKS_SECONDS:
            self._blocks_read, self._blocks = now, sys.getallocatedblocks()
        return Reading(
            now_seconds=now,
            moment=moment,
            idle_seconds=idle_seconds,
            counts=counts,
            thresholds=thresholds,
            is_enabled=is_enabled,
            frozen=self._seen_frozen,
            blocks=self._blocks,
            requests_ended=boundaries.ended() - self._requests_before,
            memory=self.memory.read(now, in_request=moment is Moment.IN_REQUEST),
        )

    # What it asks for

    def _decide(self, reading: Reading) -> None:
        policy = self.policy
        decision = policy.decide(reading)
        if decision.act is not Act.NOTHING:
            self._carry_out(decision)
        elif decision.reason:
            warn_once(f"pacer: {decision.reason}")
        # A finalizer may have stopped us, or forked, and this is the child: then what was decided is no more.
        if self.is_acting and self.policy is policy:
            if reading.memory:
                self.memory.lease.stand_down(reading.now_seconds + policy.limit_rest_seconds())
            idle.wanted = self._blocks >= decision.goal_blocks or not self._has_begun
            if decision.thresholds != gc.get_threshold():
                self._own = decision.thresholds
                gc.set_threshold(*decision.thresholds)

    def _carry_out(self, decision: Decision) -> None:
        began = perf_counter()
        match decision.act:
            case Act.YOUNG | Act.MIDDLE:
                self._collect(decision)
            case Act.FULL | Act.FREEZE | Act.AUDIT:
                with self.memory.lease.full_collection() as is_our_turn:
                    if is_our_turn:
                        self._collect_all(decision)
                    else:
                        self.policy.denied()
            case Act.PRESSURE:
                relieve()
                self.policy.pressured(perf_counter() - began)
            case Act.TRIM:
                freed_bytes = self.memory.trim()
                self.policy.trimmed(freed_bytes, perf_counter() - began)
            case Act.RELEASE:
                self._let_go(decision.reason)

    def _collect(self, decision: Decision) -> bool:
        """Collect; tell whether it came to that: while another thread collects, CPython begins nothing."""
        before = self.collections[decision.cause]
        _core.gc_announce(decision.cause, decision.predicted_ns, decision.goal_blocks)
        try:
            gc.collect(_GENERATION[decision.act])
        finally:
            _core.gc_announce("", 0, decision.goal_blocks)
        self._learn()
        return self.collections[decision.cause] > before

    def _collect_all(self, decision: Decision) -> None:
        policy = self.policy
        frozen, seen_frozen = self.frozen, self._seen_frozen
        if decision.act is Act.AUDIT:
            self._unfreeze()
        has_collected = self._collect(decision)
        if not self.is_acting or self.policy is not policy:
            return
        if not has_collected:
            if frozen and not self.frozen and not self._others_froze:
                gc.freeze()  # again: nobody has looked at it
                self.frozen, self._seen_frozen = _core.gc_frozen(), seen_frozen
            policy.denied()
            return
        self._has_begun = True
        if decision.act is Act.FREEZE and not self._have_others_frozen():
            gc.freeze()
            self._seen_frozen = self.frozen = _core.gc_frozen()

    def _unfreeze(self) -> None:
        may_unfreeze = self.frozen > 0 and not self._have_others_frozen()
        self.frozen = 0
        if may_unfreeze:
            gc.unfreeze()
            self._seen_frozen = 0

    def _have_others_frozen(self) -> bool:
        """Count what is frozen; what others freeze, after us too, is everything, and is meant to stay."""
        self._others_froze |= _core.gc_frozen() > max(self.frozen, _IMMORTAL)
        return self._others_froze

    # Giving back

    def _is_watched(self) -> bool:
        """Tell the watchdog that somebody is here; and tell whether it is there, for else it is no safety."""
        now_ns = monotonic_ns()
        if _core.gc_watchdog_barked():
            if gc.get_threshold() == self._before:
                gc.set_threshold(*self._own)  # the program was quiet for long, and here we are again
        elif now_ns - self._renewed_ns < RENEW_SECONDS * 1e9:
            return True
        self._renewed_ns = now_ns
        _core.gc_set_watchdog(now_ns + round(WATCHDOG_SECONDS * 1e9), self._before)
        if _core.gc_is_watched():
            return True
        self._let_go("somebody else has emptied gc.callbacks")
        return False

    def _let_go(self, reason: str) -> None:
        self.is_acting = False
        self.released = reason
        warn(f"the pacer hands back to CPython: {reason}")

    def _end_if_stopped(self) -> None:
        if not self.is_acting:
            self._hand_back()

    def _hand_back(self) -> None:
        idle.wanted = False
        _core.gc_set_guard(False)
        _core.gc_set_watchdog(0, self._before)
        gc.set_threshold(*self._thresholds_back())
        self._unfreeze()

    def _thresholds_back(self) -> list[int]:
        # What somebody else has changed meanwhile is theirs.
        in_force = gc.get_threshold()
        return [old if now == own else now for old, own, now in zip(self._before, self._own, in_force, strict=True)]
