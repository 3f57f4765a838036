"""The program's own ways to give memory back, for when there is too little of it."""

from collections.abc import Callable
from typing import TypeVar

from lowtide._events import memory_pressure
from lowtide.errors import SettingsError
from lowtide.pacer.messages import warn_once

Callback = TypeVar("Callback", bound=Callable[[], object])

_callbacks: list[Callable[[], object]] = []


def on_pressure(callback: Callback) -> Callback:
    """Have `callback` called when memory is short: it drops what the program can do without, such as a cache.

    Pools are emptied first. An exception of the callback becomes one line on stderr. Can be used as a decorator.

    Args:
        callback: takes no argument; quick, since the thread that calls it serves requests or runs an event loop.

    Returns: `callback`.

    Raises: SettingsError where it cannot be called.

    *Threads:* any; it is called on whichever thread the pacer acts, in no request where that can be helped.
    """
    if not callable(callback):
        raise SettingsError(f"callback must be callable without arguments, got {callback!r}")
    if callback not in _callbacks:
        _callbacks.append(callback)
    return callback


def relieve() -> None:
    """Empty the pools, then call what the program has registered."""
    memory_pressure.publish()
    for callback in tuple(_callbacks):
        try:
            callback()
        except Exception as error:  # noqa: BLE001 - it was called in the middle of something else
            name = f"{getattr(callback, '__module__', '?')}.{getattr(callback, '__qualname__', callback)}"
            warn_once(f"pressure callback {name} raised {type(error).__name__}: {error}; later ones are not reported")
