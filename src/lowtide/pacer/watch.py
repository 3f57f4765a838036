"""Who wants to hear of collections: one watch of the collector for all of them, on while there is one."""

import os
from _thread import allocate_lock
from collections.abc import Callable
from contextlib import suppress

from lowtide._core_support import why_missing
from lowtide.errors import CoreUnavailableError
from lowtide.pacer.record import Collection

try:
    from lowtide import _core
except ImportError as error:
    _import_error: ImportError | None = error
else:
    _import_error = None

Listener = Callable[[list[Collection]], object]


class _Watch:
    def __init__(self) -> None:
        self._listeners: list[Listener] = []
        self._delivered = 0  # number of the last collection that they have heard of
        self._turn = allocate_lock()  # whose it is to deliver
        self._knows_forks = False

    def subscribe(self, listener: Listener) -> None:
        """Let `listener` hear of all collections from now on, each once and in order, several at a time.

        It is called on the main thread at most every 100 ms, in whichever thread calls `deliver`, and at the
        interpreter's last collection. What it raises is dropped.

        Raises: CoreUnavailableError where the native core is missing; RuntimeError in a sub-interpreter.
        """
        if _import_error is not None:
            problem = f"collections cannot be watched: {why_missing(_import_error)}"
            raise CoreUnavailableError(problem) from _import_error
        self.deliver()
        _core.gc_watch(True)
        if not self._listeners:
            self._delivered = 0
            _core.gc_set_tick(self.deliver)
        if not self._knows_forks:
            self._knows_forks = True
            os.register_at_fork(after_in_child=self._after_fork_in_child)
        self._listeners.append(listener)

    def unsubscribe(self, listener: Listener) -> None:
        """Tell `listener` what it has not heard yet, and no more; one that never subscribed is passed over."""
        self.deliver()
        if listener not in self._listeners:
            return
        self._listeners.remove(listener)
        if not self._listeners:
            _core.gc_set_tick(None)
            _core.gc_watch(False)

    def deliver(self) -> None:
        """Tell every listener what has happened since the last time.

        *Threads:* any. One that comes while another delivers leaves it to that one.
        """
        turn = self._turn  # a listener may fork, and the child has another
        if not self._listeners or not turn.acquire(blocking=False):
            return
        try:
            collections = records(self._delivered)
            if collections:
                self._delivered = collections[-1].number
                for listener in tuple(self._listeners):
                    with suppress(Exception):
                        listener(collections)
        finally:
            turn.release()

    def _after_fork_in_child(self) -> None:
        self._delivered = 0
        self._turn = allocate_lock()


def records(after: int = 0) -> list[Collection]:
    """Return the last collections that were watched, at most 4,096, oldest first; only those numbered above `after`."""
    return [Collection(*fields) for fields in _core.gc_records(after)] if _import_error is None else []


_watch = _Watch()
subscribe, unsubscribe, deliver = _watch.subscribe, _watch.unsubscribe, _watch.deliver
