"""Collections of a test's own making, under the core's eyes."""

import contextlib
import gc
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import pytest

from lowtide.pacer import boundaries
from lowtide.pacer.record import Collection

core = pytest.importorskip("lowtide._core", reason="the extension is not built")

ON, OFF = True, False


class Request:
    """What the context variable holds, as `boundaries` has it."""

    def __init__(self, *, active: object = True) -> None:
        self.active = active


class Cycle:
    """Garbage for the collector, once it is dropped."""

    def __init__(self, finalizer: Callable[[], object] = lambda: None) -> None:
        self.itself = self
        self.finalizer = finalizer

    def __del__(self) -> None:
        self.finalizer()


def records() -> list[Collection]:
    return [Collection(*fields) for fields in core.gc_records(0)]


def last() -> Collection:
    return records()[-1]


def give_the_variable_back() -> None:
    """Let the core look at the boundaries' variable again, which they tell it once."""
    core.gc_set_request_variable(boundaries._current if boundaries._state.generation else None)


@contextlib.contextmanager
def watched() -> Iterator[None]:
    """Watch from record 1 on, with no collections but those that are asked for."""
    was_enabled = gc.isenabled()
    gc.disable()
    core.gc_watch(OFF)
    core.gc_watch(ON)
    try:
        yield
    finally:
        core.gc_watch(OFF)
        core.gc_set_tick(None)
        give_the_variable_back()
        core.gc_set_guard(OFF)
        core.gc_set_watchdog(0, (700, 10, 10))
        core.gc_announce("", 0, 0)
        if was_enabled:
            gc.enable()


@contextlib.contextmanager
def requesting() -> Iterator[ContextVar[Any]]:
    """Execute a request."""
    variable: ContextVar[Any] = ContextVar("request")
    core.gc_set_request_variable(variable)
    token = variable.set(Request())
    try:
        yield variable
    finally:
        variable.reset(token)
        give_the_variable_back()


@contextlib.contextmanager
def thresholds(*values: int) -> Iterator[None]:
    """Collect automatically, at these thresholds."""
    before = gc.get_threshold()
    gc.set_threshold(*values)
    gc.enable()
    try:
        yield
    finally:
        gc.disable()
        gc.set_threshold(*before)
