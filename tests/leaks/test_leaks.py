"""Every callable of the extension, called many times over: no block, no memory, no descriptor stays behind."""

import gc
import os
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path

import pytest

from tests.leaks.growth import assert_leaves_nothing
from tests.unit.pacer.collecting import give_the_variable_back

core = pytest.importorskip("lowtide._core", reason="the extension is not built")

SETTINGS = (64 * 1024, 32, 4 * 2**20)


def encode(*arguments: object, by: Callable[..., None] = core.encode) -> None:
    with Path(os.devnull).open("wb") as sink:
        by(sink.fileno(), *arguments)


def watch_and_be_thrown_out() -> None:
    core.gc_watch(True)  # noqa: FBT003 - takes no keyword
    gc.callbacks.clear()


def look_elsewhere_for_requests() -> None:
    core.gc_set_request_variable(ContextVar("v"))
    give_the_variable_back()


def collect() -> None:
    core.gc_announce("idle", 1, 2)
    gc.collect(0)


# One entry per callable: what is right, then what is wrong about it.
ENTRIES: dict[str, list[Callable[[], object]]] = {
    "start": [
        lambda: core.start(*SETTINGS),
        lambda: core.start(SETTINGS[0] * 2, 16, SETTINGS[2]),
        lambda: core.start(0, 0, 0),
        lambda: core.start("many", None, 2**80),
    ],
    "stop": [core.stop],
    "is_active": [core.is_active],
    "stats": [core.stats],
    "encode": [
        lambda: encode((b"/usr/lib", b"/srv"), b"/srv/main.py", (b"lowtide", b"two"), 1),
        lambda: encode(("text",), b"", (), 0),
        lambda: encode((b"root", 1), b"", (b"comment",), 2**80),
        lambda: encode((), b"", (b"comment", None), 0),
        lambda: encode(7, b"", (), 0),
        lambda: core.encode(-1, (), b"", (), 0),
    ],
    "bypass": [lambda: core.bypass(core.bypass(True)), lambda: core.bypass(Wrong())],  # noqa: FBT003 - positional only
    "seed": [lambda: core.seed(7), lambda: core.seed(-1), lambda: core.seed("seven")],
    "call_soon": [lambda: core.call_soon(bool)],
    "walk": [core.walk],
    "guard_count": [
        lambda: core.guard_count(3, bytes, 1000),
        lambda: core.guard_count(1, int, "x"),
        lambda: core.guard_count("x", bytes),
        lambda: core.guard_count(1),
    ],
    "guard_encode": [
        lambda: encode((b"/srv",), b"", (), 1, by=core.guard_encode),
        lambda: core.guard_encode(-1, (), b"", (), 0),
    ],
    "gc_watch": [
        lambda: (core.gc_watch(True), core.gc_watch(False)),  # noqa: FBT003 - positional only
        watch_and_be_thrown_out,
        lambda: core.gc_watch(Wrong()),
    ],
    "gc_is_watched": [core.gc_is_watched],
    "gc_records": [lambda: core.gc_records(0), lambda: core.gc_records(2**80), lambda: core.gc_records("one")],
    "gc_state": [core.gc_state],
    "gc_totals": [core.gc_totals],
    "gc_frozen": [core.gc_frozen],
    "gc_announce": [
        collect,
        lambda: core.gc_announce("", 0, 0),
        lambda: core.gc_announce("young", 0, 0),
        lambda: core.gc_announce("idle", -1, 0),
        lambda: core.gc_announce("idle", 2**80, "two"),
    ],
    "gc_set_tick": [lambda: (core.gc_set_tick(bool), core.gc_set_tick(None)), lambda: core.gc_set_tick(1)],
    "gc_request": [lambda: (core.gc_request(1), core.gc_request(-1)), lambda: core.gc_request(2**31)],
    "gc_set_request_variable": [
        look_elsewhere_for_requests,
        lambda: core.gc_set_request_variable("v"),
    ],
    "gc_set_watchdog": [
        lambda: core.gc_set_watchdog(0, (700, 10, 10)),
        lambda: core.gc_set_watchdog(-1, (700, 10, 10)),
        lambda: core.gc_set_watchdog(0, (700, 10)),
    ],
    "gc_watchdog_barked": [core.gc_watchdog_barked],
    "gc_set_guard": [lambda: core.gc_set_guard(False), lambda: core.gc_set_guard(Wrong())],  # noqa: FBT003 - takes no keyword
}


class Wrong:
    def __bool__(self) -> bool:
        raise ValueError("neither")


@pytest.fixture
def armed() -> Iterator[None]:
    """Something to encode, and hooks that every call goes through."""
    core.start(*SETTINGS)
    blocks = [bytes(4096) for _ in range(512)]
    yield
    del blocks
    core.stop()


@pytest.fixture
def watched() -> Iterator[None]:
    """Records to return, and a callback that every collection goes through."""
    before = list(gc.callbacks)
    core.gc_watch(True)  # noqa: FBT003 - takes no keyword
    for _ in range(10):
        gc.collect(0)
    yield
    core.gc_watch(False)  # noqa: FBT003 - takes no keyword
    gc.callbacks[:] = before


def test_every_callable_has_an_entry() -> None:
    assert set(ENTRIES) == {name for name, value in vars(core).items() if callable(value)}


@pytest.mark.parametrize(
    "call", [pytest.param(call, id=f"{name}-{n}") for name, calls in ENTRIES.items() for n, call in enumerate(calls)]
)
def test_calls_leave_nothing_behind(armed: None, watched: None, call: Callable[[], object]) -> None:
    assert_leaves_nothing(call)
