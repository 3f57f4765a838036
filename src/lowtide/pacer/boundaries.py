"""Where requests begin and end: what is in flight, which thread executes one, and who is told of the moments between.

"In a request" is a context variable. It holds the request that the current context began, and that says itself whether
it has ended: so a task that awaits is not in one, and a task that outlives its request is not either.
"""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, ContextVar
from typing import Any
from weakref import ref

from lowtide.pacer.reading import Moment

try:
    from lowtide._core import gc_request as _count
    from lowtide._core import gc_set_request_variable
except ImportError:  # where there is no core nobody listens either: requests are marked and nothing else

    def _count(delta: int) -> int:  # noqa: ARG001 - as the core has it
        return 0

    def gc_set_request_variable(variable: ContextVar[Any] | None) -> None:
        """Do nothing."""


_current: ContextVar["Request | None"] = ContextVar("lowtide_request", default=None)


class _State:
    """What this process has seen."""

    __slots__ = ("ended", "generation", "listener")

    def __init__(self) -> None:
        self.generation = 0  # 0 until somebody watches; a forked child is another: it owes nothing for its parent's
        self.listener: Callable[[Moment, float], object] | None = None
        self.ended = 0  # threads may lose some of it to each other; it tells that a program serves, not how much


_state = _State()


class Request:
    """A request, from `begin` to `end` or as a `with` block; one within another counts as a part of that.

    In a coroutine it is a `with` block as well, not an `async with`.

    *Threads:* it may end in another thread or task than it began in. *Cost:* about a microsecond; a tenth of it where
    nobody watches.
    """

    __slots__ = ("__weakref__", "_generation", "active")

    def __init__(self) -> None:
        self.active = False  # the core asks this, too
        self._generation = 0

    def begin(self) -> None:
        """Count the request as in flight, unless it is a part of another one."""
        if not _state.generation or (self.active and self._generation == _state.generation):
            return
        outer = _current.get()
        if outer is None or not outer.active:
            self.active = True
            self._generation = _state.generation
            _current.set(self)
            _count(1)
            _open.add(ref(self, _drop))

    def end(self) -> None:
        """Let the listener know that a request has ended; calling it again does nothing."""
        if not self.active:
            return
        self.active = False
        if _current.get() is self:
            _current.set(None)
        if self._generation != _state.generation:
            return
        _state.ended += 1
        in_flight = _count(-1)
        _open.discard(ref(self))
        if _state.listener is not None:
            loop = running_loop()
            if loop is None:
                tell(Moment.BUSY if in_flight else Moment.SAFE)
            else:
                # After the step that is running, with all that it has yet to send. The context is an empty one: a copy
                # of this one would keep what the request has put there.
                with suppress(Exception):  # a loop of the program's own make may refuse
                    loop.call_soon(_pass, context=Context())

    __enter__ = begin

    def __exit__(self, *_: object) -> None:
        self.end()


request = Request

# References to those that have begun here and not ended. A finalizer would run for every request, and an interrupt that
# comes in a finalizer is lost.
_open: set[ref[Request]] = set()


def _drop(reference: ref[Request]) -> None:
    """Count a request out that is gone without an end; nothing is told, for this may be anywhere."""
    _open.discard(reference)
    _count(-1)


def step() -> None:
    """Mark a point between two steps of a training or batch loop, where a collection disturbs nobody.

    Within a request it does nothing.

    *Cost:* a fraction of a microsecond when nothing is due.
    """
    if _state.listener is not None and not in_request():
        _state.ended += 1
        _pass()


def watch() -> None:
    """Count requests from now on, and let the core see which thread executes one. Those that have begun are not seen.

    *Threads:* the main interpreter's only. Calling it again does nothing.
    """
    if not _state.generation:
        _state.generation = 1
        gc_set_request_variable(_current)
        os.register_at_fork(after_in_child=_after_fork_in_child)


def listen(callback: Callable[[Moment, float], object] | None) -> None:
    """Call `callback` at the moments between requests, in the place of an earlier one; None ends it.

    Args:
        callback: gets the moment (never IN_REQUEST) and for how many seconds the program is predicted to wait. It runs
            in whichever thread reaches such a moment, in several at a time; what it raises is dropped.
    """
    if callback is not None:
        watch()
    _state.listener = callback


def is_listening() -> bool:
    """Tell whether anybody is told of the moments."""
    return _state.listener is not None


def tell(moment: Moment, idle_seconds: float = 0.0) -> None:
    """Let the listener know of a moment."""
    listener = _state.listener
    if listener is not None:
        try:
            listener(moment, idle_seconds)
        except Exception:  # noqa: BLE001 - nothing that befalls the pacer may reach the program
            return


def in_request() -> bool:
    """Tell whether the code that calls this belongs to a request."""
    current = _current.get()
    return current is not None and current.active


def in_flight() -> int:
    """Return the number of requests that have begun and not ended, in all threads."""
    return _count(0)


def ended() -> int:
    """Return how many requests and steps have ended, roughly."""
    return _state.ended


def running_loop() -> Any:
    """Return the event loop that executes the caller, or None; asyncio is not imported for it."""
    events = sys.modules.get("asyncio.events")
    get = getattr(events, "_get_running_loop", None)  # None while another thread imports it
    return get and get()


def _pass() -> None:
    tell(Moment.BUSY if _count(0) else Moment.SAFE)


def _after_fork_in_child() -> None:
    # The threads that serve what was in flight are the parent's, and whoever forks within a request starts another job.
    _state.generation += 1
    _count(-_count(0))
    _open.clear()
    current = _current.get()
    if current is not None:
        current.active = False
