"""Who wants to hear of collections: one watch of the collector for all of them, on while there is one."""

import os
from _thread import RLock
from collections.abc import Callable
from contextlib import suppress

from lowtide._core_support import why_missing
from lowtide.errors import CoreUnavailableError
from lowtide.pacer.reading import Triple
from lowtide.pacer.record import Collection

try:
    from lowtide import _core
except ImportError as error:
    _import_error: ImportError | None = error
else:
    _import_error = None

Listener = Callable[[list[Collection]], object]

PATIENCE_SECONDS = 1.0


class _Watch:
    def __init__(self) -> None:
        self._heard: dict[Listener, int] = {}  # number of the last collection that each has heard of
        self._turn = RLock()  # whose it is to deliver
        self._is_delivering = False
        self._knows_forks = False

    def subscribe(self, listener: Listener) -> None:
        """Let `listener` hear of all collections from now on, each once and in order, several at a time.

        It is called on the main thread at most every 100 ms, in whichever thread calls `deliver`, and at the
        interpreter's last collection. What it raises is dropped. It may collect and call `deliver`: then it is called
        within its own call, as it may be when a finalizer does.

        Raises: CoreUnavailableError where the native core is missing; RuntimeError in a sub-interpreter.
        """
        if _import_error is not None:
            problem = f"collections cannot be watched: {why_missing(_import_error)}"
            raise CoreUnavailableError(problem) from _import_error
        _core.gc_watch(True)
        if not self._heard:
            _core.gc_set_tick(self._tick)
        if not self._knows_forks:
            self._knows_forks = True
            os.register_at_fork(after_in_child=self._after_fork_in_child)
        self._heard[listener] = sum(_core.gc_totals()[0])

    def unsubscribe(self, listener: Listener) -> None:
        """Tell `listener` what it has not heard yet, and no more; one that never subscribed is passed over.

        *Threads:* any. Where another delivers, it waits for the end of that; a second at most, lest both wait forever.
        """
        turn = self._turn
        is_ours = turn.acquire(timeout=PATIENCE_SECONDS)
        try:
            self.deliver()
            self._heard.pop(listener, None)
            if not self._heard and _import_error is None:
                _core.gc_set_tick(None)
                _core.gc_watch(False)
        finally:
            if is_ours:
                turn.release()

    def deliver(self) -> None:
        """Tell every listener what has happened since the last time.

        *Threads:* any. One that comes while another delivers leaves it to that one.
        """
        turn = self._turn  # a listener may fork, and the child has another
        if not self._heard or not turn.acquire(blocking=False):
            return
        outer, self._is_delivering = self._is_delivering, True
        try:
            for listener in tuple(self._heard):
                self._deliver_to(listener)
        finally:
            self._is_delivering = outer
            turn.release()

    def _deliver_to(self, listener: Listener) -> None:
        after = self._heard.get(listener, 0)
        collections = records(after)
        # A collection meanwhile may have run a finalizer that delivered; from here on there is no place for one.
        if collections and listener in self._heard and self._heard[listener] == after:
            self._heard[listener] = collections[-1].number
            with suppress(Exception):
                listener(collections)

    def _tick(self) -> None:
        # Not within a listener's own work, which the main thread may be interrupted in.
        if not self._is_delivering:
            self.deliver()

    def _after_fork_in_child(self) -> None:
        self._heard = dict.fromkeys(self._heard, 0)
        self._turn = RLock()
        self._is_delivering = False


def records(after: int = 0) -> list[Collection]:
    """Return the last collections that were watched, at most 4,096, oldest first; only those numbered above `after`."""
    return [Collection(*fields) for fields in _core.gc_records(after)] if _import_error is None else []


def totals() -> tuple[Triple, Triple, int]:
    """Return (collections, their pauses in ns, each by generation; ns since watching began)."""
    return _core.gc_totals()


_watch = _Watch()
subscribe, unsubscribe, deliver = _watch.subscribe, _watch.unsubscribe, _watch.deliver
